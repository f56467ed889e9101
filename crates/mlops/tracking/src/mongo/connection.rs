//! Reading the URI, and the first contact: what the database is, its version, its indexes.

use std::time::Duration;

use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::{Acknowledgment, ClientOptions, IndexOptions, WriteConcern},
    sync::{Client, Collection, Database},
};

use super::{
    documents::{
        DatasetDocument, ExperimentDocument, LoggedModelDocument, RegisteredModelDocument, RunDocument,
        VersionDocument,
    },
    error::{MongoError, is_duplicate, mongo_error},
    points::BlockDocument,
};
use crate::{TrackingError, UriError, now_ms};

/// The database of a URI that names none.
const USUAL_DATABASE: &str = "fulmen";
/// How long a call looks for a server, unless the URI says otherwise.
const SERVER_SELECTION: Duration = Duration::from_secs(5);
/// The newest version of the schema that this program knows.
const NEWEST: i64 = 2;
/// The oldest that it reads: before it, every point was a document.
const OLDEST: i64 = 2;

/// The collections of a database.
#[derive(Debug)]
pub(super) struct Collections {
    pub(super) experiments: Collection<ExperimentDocument>,
    pub(super) runs: Collection<RunDocument>,
    pub(super) points: Collection<BlockDocument>,
    pub(super) datasets: Collection<DatasetDocument>,
    pub(super) logged_models: Collection<LoggedModelDocument>,
    pub(super) registered_models: Collection<RegisteredModelDocument>,
    pub(super) versions: Collection<VersionDocument>,
    pub(super) counters: Collection<Document>,
    /// One document: whose database this is, and its version.
    about: Collection<Document>,
    database: Database,
}

/// A URI for messages: without user and password.
pub(super) fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return "mongodb:".to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (hosts, path) = rest.split_at(end);
    let hosts = hosts.rsplit_once('@').map_or(hosts, |(_, hosts)| hosts);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    format!("{scheme}://{hosts}{}", path.trim_end_matches('/'))
}

/// Reads the URI. Contacts no server.
pub(super) fn connect(uri: &str) -> Result<Collections, TrackingError> {
    let shown = without_secrets(uri);
    let invalid = |reason: String| UriError::Invalid { uri: shown.clone(), reason };
    if uri.starts_with("mongodb+srv:") {
        let reason = "hosts cannot be looked up in DNS; write them out: mongodb://host1,host2/database?replicaSet=…&tls=true";
        return Err(invalid(reason.to_owned()).into());
    }
    let mut options = ClientOptions::parse(uri).run().map_err(|error| invalid(error.kind.to_string()))?;
    options.app_name.get_or_insert_with(|| "fulmen".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    // What a call has written must survive the death of the server.
    let concern = options.write_concern.get_or_insert_default();
    concern.journal.get_or_insert(true);
    concern.w.get_or_insert(Acknowledgment::Majority);
    let database = options.default_database.clone().unwrap_or_else(|| USUAL_DATABASE.to_owned());
    let client = Client::with_options(options).map_err(|error| invalid(error.kind.to_string()))?;
    let database = client.database(&database);
    Ok(Collections {
        experiments: database.collection("experiments"),
        runs: database.collection("runs"),
        points: database.collection("points"),
        datasets: database.collection("datasets"),
        logged_models: database.collection("logged_models"),
        registered_models: database.collection("registered_models"),
        versions: database.collection("model_versions"),
        counters: database.collection("counters"),
        about: database.collection("about"),
        database,
    })
}

/// A write whose loss costs nothing.
pub(super) fn lazy_write() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Nodes(1)).journal(false).build()
}

impl Collections {
    /// Refuses a database that is not Fulmen's or is too new, and prepares an empty one. Any number of processes may do
    /// so at once: each step is harmless when it comes twice.
    pub(super) fn prepare(&self, uri: &str, artifact_root: &str) -> Result<(), TrackingError> {
        let failed = |error| mongo_error(uri, error);
        let about = self.about.find_one(doc! { "_id": "fulmen" }).run().map_err(failed)?;
        let version = about.as_ref().and_then(|about| about.get_i64("version").ok());
        match version {
            Some(NEWEST) => return Ok(()),
            Some(found) if found > NEWEST => {
                return Err(MongoError::Newer { uri: uri.to_owned(), found, known: NEWEST }.into());
            }
            Some(found) if (1..OLDEST).contains(&found) => {
                return Err(MongoError::Older { uri: uri.to_owned(), found, known: OLDEST }.into());
            }
            Some(_) => {}
            None => self.refuse_foreign(uri)?,
        }
        self.mark(0).map_err(failed)?;
        self.create_indexes().map_err(failed)?;
        let now = now_ms();
        let default = ExperimentDocument {
            id: 0,
            experiment_id: "0".to_owned(),
            revision: 0,
            name: "Default".to_owned(),
            artifact_location: format!("{artifact_root}/0"),
            creation_time: now,
            last_update_time: now,
            deleted_time: None,
            tags: Vec::new(),
        };
        match self.experiments.insert_one(default).run() {
            Err(error) if !is_duplicate(&error) => return Err(failed(error)),
            _ => {}
        }
        // Last, so that a process that dies before leaves the work to the next.
        self.mark(NEWEST).map_err(failed)
    }

    fn refuse_foreign(&self, uri: &str) -> Result<(), TrackingError> {
        let names = self.database.list_collection_names().run().map_err(|error| mongo_error(uri, error))?;
        let others = names.iter().any(|name| !name.starts_with("system.") && name != "about");
        if others {
            let (uri, database) = (uri.to_owned(), self.database.name().to_owned());
            return Err(MongoError::Foreign { uri, database }.into());
        }
        Ok(())
    }

    /// Marks the database as Fulmen's, with at least this version.
    fn mark(&self, version: i64) -> mongodb::error::Result<()> {
        let update = doc! { "$max": { "version": version } };
        let mut tries = 0;
        loop {
            match self.about.update_one(doc! { "_id": "fulmen" }, update.clone()).upsert(true).run() {
                // Two upserts at once: one inserts, the other may be refused, and finds the document next time.
                Err(error) if is_duplicate(&error) && tries < 5 => tries += 1,
                result => return result.map(drop),
            }
        }
    }

    fn create_indexes(&self) -> mongodb::error::Result<()> {
        let index = |keys| IndexModel::builder().keys(keys).build();
        let unique = |keys| {
            let options = IndexOptions::builder().unique(true).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        self.experiments.create_index(unique(doc! { "name": 1 })).run()?;
        self.runs.create_index(index(doc! { "experiment_id": 1, "start_time": -1, "_id": 1 })).run()?;
        // Blocks of a metric in the order of their first points; those that end too early are passed over in the index.
        self.points.create_index(index(doc! { "run_id": 1, "key": 1, "low": 1, "high": 1 })).run()?;
        self.datasets.create_index(index(doc! { "experiment_id": 1 })).run()?;
        self.logged_models
            .create_index(index(doc! { "experiment_id": 1, "creation_time": -1, "_id": 1 }))
            .run()?;
        // Those of one run, when it is purged.
        self.logged_models.create_index(index(doc! { "metrics.run_id": 1 })).run()?;
        self.registered_models.create_index(unique(doc! { "name": 1 })).run()?;
        self.versions.create_index(index(doc! { "model": 1, "version": -1 })).run()?;
        self.versions.create_index(index(doc! { "name": 1, "version": -1 })).run()?;
        self.versions.create_index(index(doc! { "run_id": 1 })).run()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_password() {
        for (uri, shown) in [
            ("mongodb://localhost:27017", "mongodb://localhost:27017"),
            ("mongodb://ada:s3cr@et@h1:1,h2:2/db?authSource=admin", "mongodb://h1:1,h2:2/db"),
            ("mongodb://h/", "mongodb://h"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }

    #[test]
    fn a_wrong_uri_is_refused_without_its_password() {
        for uri in
            ["mongodb://u:geheim@h:notaport/x", "mongodb+srv://u:geheim@cluster.example/x", "mongodb://"]
        {
            let error = connect(uri).unwrap_err();
            assert!(!error.to_string().contains("geheim"), "{error}");
            assert_eq!(error.kind(), crate::ErrorKind::InvalidParameter, "{error}");
        }
    }

    #[test]
    fn the_usual_database_is_fulmen() {
        assert_eq!(connect("mongodb://localhost:27017").unwrap().database.name(), "fulmen");
        assert_eq!(connect("mongodb://localhost:27017/team").unwrap().database.name(), "team");
    }
}
