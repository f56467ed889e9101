//! Changing a document as a whole or not at all: read it, change it here, write it back if its revision is still the same.
//! One document's update is atomic on every MongoDB deployment; a standalone server has no transactions.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use mongodb::{
    bson::{Bson, Document, doc, serialize_to_document},
    sync::Collection,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    MongoStore,
    documents::{Pending, Revisioned, RunDocument},
    error::MongoError,
};
use crate::TrackingError;

/// How often a change is tried against other writers.
const MOST_TRIES: u32 = 200;
/// Most bytes of a document as its users see it. MongoDB's limit is 16 MiB; the rest is for the points of many writers at
/// once, on their way through their run's document.
const LARGEST: usize = 15 << 20;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl MongoStore {
    /// Applies `change` to the document with this id, and returns what it became. `change` may be called several times.
    pub(super) fn modify<D>(
        &self,
        collection: &Collection<D>,
        what: &'static str,
        id: impl Into<Bson>,
        change: impl Fn(&mut D) -> Result<(), TrackingError>,
    ) -> Result<D, TrackingError>
    where
        D: Revisioned + Serialize + DeserializeOwned + Clone + Send + Sync,
    {
        let id = id.into();
        for attempt in 0..MOST_TRIES {
            let found = collection.find_one(doc! { "_id": id.clone() }).run();
            let before = found.map_err(|error| self.failed(error))?;
            let before = before.ok_or_else(|| self.not_found(what, &shown(&id)))?;
            let mut after = before.clone();
            change(&mut after)?;
            if self.replace(collection, &id, before, &mut after, None)? {
                return Ok(after);
            }
            thread::sleep(pause(attempt));
        }
        Err(MongoError::Busy { uri: self.uri.clone(), id: format!("{what} {}", shown(&id)) }.into())
    }

    /// As [`modify`](Self::modify) for a run, with points to be settled afterwards. Threads of this process that write the
    /// same run take turns, and find the run as the last of them left it, without asking the server.
    pub(super) fn modify_run(
        &self,
        run_id: &str,
        pending: Option<&Pending>,
        change: impl Fn(&mut RunDocument) -> Result<(), TrackingError>,
    ) -> Result<RunDocument, TrackingError> {
        let runs = &self.collections()?.runs;
        let id = Bson::from(run_id);
        let mut slot = self.slot(run_id);
        let mut remembered = slot.take().filter(|run| run.run_id == run_id);
        for attempt in 0..MOST_TRIES {
            let was_remembered = remembered.is_some();
            let before = match remembered.take() {
                Some(run) => run,
                None => self.run_document(run_id)?,
            };
            let mut after = before.clone();
            match change(&mut after) {
                // Another process may have changed the run meanwhile.
                Err(_) if was_remembered => continue,
                result => result?,
            }
            if self.replace(runs, &id, before, &mut after, pending)? {
                *slot = Some(after.clone());
                return Ok(after);
            }
            if !was_remembered {
                thread::sleep(pause(attempt));
            }
        }
        Err(MongoError::Busy { uri: self.uri.clone(), id: format!("run {run_id}") }.into())
    }

    /// Forgets what this process knows of a run.
    pub(super) fn forget(&self, run_id: &str) {
        *self.slot(run_id) = None;
    }

    fn slot(&self, run_id: &str) -> MutexGuard<'_, Option<RunDocument>> {
        let mut hasher = DefaultHasher::new();
        run_id.hash(&mut hasher);
        let index = hasher.finish() as usize % self.slots.len();
        // A writer that panicked has taken its run out before.
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the fields that changed, if the document still has its revision; `false` where it has not.
    fn replace<D: Revisioned + Serialize + Send + Sync>(
        &self,
        collection: &Collection<D>,
        id: &Bson,
        mut before: D,
        after: &mut D,
        pending: Option<&Pending>,
    ) -> Result<bool, TrackingError> {
        let revision = *before.revision();
        *after.revision() = revision + 1;
        let encode =
            |document: &D| serialize_to_document(document).map_err(|error| self.failed(error.into()));
        let changed = encode(after)?;
        if changed.to_vec().map_err(|error| self.failed(error.into()))?.len() > LARGEST {
            return Err(MongoError::TooLarge { uri: self.uri.clone() }.into());
        }
        let mut update = difference(&encode(&before)?, changed);
        if let Some(pending) = pending {
            let pending = serialize_to_document(pending).map_err(|error| self.failed(error.into()))?;
            update.insert("$push", doc! { "pending": pending });
        }
        let result = collection.update_one(doc! { "_id": id.clone(), "revision": revision }, update).run();
        Ok(result.map_err(|error| self.failed(error))?.matched_count == 1)
    }
}

/// An update that turns `before` into `after`.
fn difference(before: &Document, after: Document) -> Document {
    let mut unset = Document::new();
    for (field, _) in before.iter().filter(|(field, _)| !after.contains_key(field)) {
        unset.insert(field, "");
    }
    let mut set = Document::new();
    for (field, value) in after {
        if before.get(&field) != Some(&value) {
            set.insert(field, value);
        }
    }
    let mut update = doc! { "$set": set };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    update
}

/// An id without the quotes of its JSON form.
fn shown(id: &Bson) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// Longer from try to try, and different for each writer.
fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_millis(1 << attempt.min(6)).min(LONGEST_PAUSE);
    let [random, ..] = uuid::Uuid::new_v4().into_bytes();
    longest.mul_f64(f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let before = doc! { "_id": 1, "a": 1, "gone": 2, "list": [1, 2] };
        let after = doc! { "_id": 1, "a": 2, "list": [1, 2], "new": "x" };
        let expected = doc! { "$set": { "a": 2, "new": "x" }, "$unset": { "gone": "" } };
        assert_eq!(difference(&before, after), expected);
    }
}
