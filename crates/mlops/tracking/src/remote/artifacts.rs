//! Artifacts that an MLflow server hands through: whole files, streamed, never held in memory.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    client::{Again, Client, IntoRemote as _, encode},
    error::RemoteError,
};
use crate::{TrackingError, limits::invalid};

/// What the URIs of artifacts that go through the server begin with.
const SCHEME: &str = "mlflow-artifacts:";
/// How long one read or write of a transfer may take.
const STALLED: Duration = Duration::from_secs(60);

/// Artifacts below `mlflow-artifacts:` URIs, as the server's `--artifacts-destination` keeps them.
#[derive(Debug, Clone)]
pub struct RemoteArtifacts {
    client: Client,
}

/// A file or a folder that the server lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteFile {
    /// Its name below the folder that was listed.
    pub path: String,
    /// Whether it is a folder.
    #[serde(default)]
    pub is_dir: bool,
    /// Bytes of a file.
    #[serde(default)]
    pub file_size: Option<u64>,
}

impl RemoteArtifacts {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether the artifacts of a run with this artifact URI go through the server.
    #[must_use]
    pub fn serves(artifact_uri: &str) -> bool {
        artifact_uri.starts_with(SCHEME)
    }

    /// Uploads the file `from` as `path` below `artifact_uri`; what is there is replaced.
    ///
    /// # Errors
    /// A file that cannot be read, a path that climbs, an artifact URI that does not go through the server, and what the
    /// server may fail with.
    pub fn put_file(&self, artifact_uri: &str, path: &str, from: &Path) -> Result<(), TrackingError> {
        let url = self.url(artifact_uri, path)?;
        let file = File::open(from).map_err(|source| file_error(from, "open it for an upload", source))?;
        let request =
            self.client.request("PUT", &url).map_err(|error| error.into_remote(self.client.uri()))?;
        let request = request.header("Content-Type", "application/octet-stream").body(file);
        let request = request.map_err(|error| ureq::Error::from(error).into_remote(self.client.uri()))?;
        let agent = self.client.agent();
        let request = agent
            .configure_request(request)
            .timeout_per_read(Some(STALLED))
            .timeout_per_write(Some(STALLED))
            .build();
        let mut answer = agent.run(request).map_err(|error| error.into_remote(self.client.uri()))?;
        self.refuse_failure(&mut answer)
    }

    /// Downloads `path` below `artifact_uri` to the file `to`, which appears when it is whole.
    ///
    /// # Errors
    /// A file that cannot be written, a path that climbs, an artifact URI that does not go through the server, and what
    /// the server may fail with.
    pub fn get_file(&self, artifact_uri: &str, path: &str, to: &Path) -> Result<(), TrackingError> {
        let mut reader = self.open(artifact_uri, path)?;
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|source| file_error(folder, "create the folder", source))?;
        }
        let partial = partial_name(to);
        let mut download = || {
            let mut file = File::create(&partial)?;
            io::copy(&mut reader, &mut file)?;
            file.sync_all()?;
            fs::rename(&partial, to)
        };
        download().map_err(|source| {
            let _ = fs::remove_file(&partial);
            file_error(to, "write the download", source)
        })?;
        Ok(())
    }

    /// Opens `path` below `artifact_uri`. The reader fails where the transfer ends early.
    ///
    /// # Errors
    /// A path that climbs, an artifact URI that does not go through the server, and what the server may fail with.
    pub fn open(&self, artifact_uri: &str, path: &str) -> Result<Box<dyn Read + Send>, TrackingError> {
        let url = self.url(artifact_uri, path)?;
        let request =
            self.client.request("GET", &url).map_err(|error| error.into_remote(self.client.uri()))?;
        let request =
            request.body(()).map_err(|error| ureq::Error::from(error).into_remote(self.client.uri()))?;
        let agent = self.client.agent();
        let request = agent.configure_request(request).timeout_per_read(Some(STALLED)).build();
        let mut answer = agent.run(request).map_err(|error| error.into_remote(self.client.uri()))?;
        self.refuse_failure(&mut answer)?;
        let left = answer.body().content_length();
        Ok(Box::new(Download { body: answer.into_body().into_reader(), left }))
    }

    /// Removes the file or folder `path` below `artifact_uri`. One that is not there is fine.
    ///
    /// # Errors
    /// A path that climbs, an artifact URI that does not go through the server, and what the server may fail with.
    pub fn delete(&self, artifact_uri: &str, path: &str) -> Result<(), TrackingError> {
        let url = self.url(artifact_uri, path)?;
        self.client.call::<serde_json::Value>("DELETE", &url, None, Again::Harmless).map(drop)
    }

    /// What lies directly below `path`; empty for the folder of `artifact_uri` itself.
    ///
    /// # Errors
    /// A path that climbs, an artifact URI that does not go through the server, and what the server may fail with.
    pub fn list(&self, artifact_uri: &str, path: &str) -> Result<Vec<RemoteFile>, TrackingError> {
        #[derive(Debug, Deserialize)]
        struct Listed {
            #[serde(default)]
            files: Vec<RemoteFile>,
        }
        let folder = self.place(artifact_uri, path)?;
        let url = format!("/api/2.0/mlflow-artifacts/artifacts?path={}", encode(&folder));
        let listed: Listed = self.client.call("GET", &url, None, Again::Harmless)?;
        Ok(listed.files)
    }

    fn refuse_failure(&self, answer: &mut ureq::http::Response<ureq::Body>) -> Result<(), TrackingError> {
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(());
        }
        let body = answer.body_mut().read_to_vec().unwrap_or_default();
        Err(self.client.refusal(status, &body).into())
    }

    fn url(&self, artifact_uri: &str, path: &str) -> Result<String, TrackingError> {
        let parts: Vec<String> = self.place(artifact_uri, path)?.split('/').map(encode).collect();
        Ok(format!("/api/2.0/mlflow-artifacts/artifacts/{}", parts.join("/")))
    }

    /// The path below the server's root of artifacts.
    fn place(&self, artifact_uri: &str, path: &str) -> Result<String, TrackingError> {
        let foreign = || RemoteError::ForeignArtifacts {
            uri: self.client.uri().to_owned(),
            artifact_uri: artifact_uri.to_owned(),
        };
        let root = artifact_uri.strip_prefix(SCHEME).ok_or_else(foreign)?;
        // `mlflow-artifacts://host:port/path` names a server; it has to be this one.
        let root = match root.strip_prefix("//") {
            Some(rest) => {
                let (host, root) = rest.split_once('/').unwrap_or((rest, ""));
                let own = self.client.uri().split_once("://").map_or("", |(_, rest)| rest);
                if !host.is_empty() && own != host && !own.starts_with(&format!("{host}/")) {
                    return Err(foreign().into());
                }
                root
            }
            None => root,
        };
        let place = [root.trim_matches('/'), path.trim_end_matches('/')];
        let place = place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\');
        if path.starts_with('/') || !place.split('/').all(is_plain) {
            return Err(invalid(
                "artifact path",
                path,
                "it is not a plain path below the artifacts of its run",
            ));
        }
        Ok(place)
    }
}

/// A file on its way.
struct Download {
    body: ureq::BodyReader<'static>,
    /// Bytes that are still to come, where the server said so.
    left: Option<u64>,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.left.is_some_and(|left| left > 0) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server sent less than it said"));
        }
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        Ok(count)
    }
}

fn partial_name(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", uuid::Uuid::new_v4().simple()));
    to.with_file_name(name)
}

fn file_error(path: &Path, action: &'static str, source: io::Error) -> RemoteError {
    RemoteError::File { path: path.to_path_buf(), action, source }
}

#[cfg(test)]
mod tests {
    use crate::RemoteStore;

    #[test]
    fn paths_stay_below_their_run() {
        let artifacts = RemoteStore::open("http://host:5000/prefix").unwrap().artifacts();
        let place = |uri, path| artifacts.place(uri, path);
        assert_eq!(place("mlflow-artifacts:/1/r/artifacts", "model/a b").unwrap(), "1/r/artifacts/model/a b");
        assert_eq!(place("mlflow-artifacts:/1", "").unwrap(), "1");
        assert_eq!(place("mlflow-artifacts://host:5000/1", "x").unwrap(), "1/x");
        assert_eq!(
            artifacts.url("mlflow-artifacts:/1", "a b/%2e").unwrap(),
            "/api/2.0/mlflow-artifacts/artifacts/1/a%20b/%252e"
        );
        for (uri, path) in [
            ("mlflow-artifacts:/1", "../2/x"),
            ("mlflow-artifacts:/1", "/etc/passwd"),
            ("mlflow-artifacts:/1", "a//b"),
            ("mlflow-artifacts:/1", "a\\..\\b"),
            ("mlflow-artifacts:/1/..", "x"),
            ("mlflow-artifacts://other/1", "x"),
            ("s3://bucket/1", "x"),
            ("/data/1", "x"),
        ] {
            assert!(place(uri, path).is_err(), "{uri} {path}");
        }
    }
}
