//! Names for runs that were given none, such as `calm-heron-417`.

use uuid::Uuid;

use crate::{
    NewRun, Tag, TrackingError,
    limits::{self, invalid},
};

/// The tag that MLflow keeps equal to the run's name.
pub(crate) const TAG: &str = "mlflow.runName";

const ADJECTIVES: [&str; 16] = [
    "amber", "brisk", "calm", "clever", "eager", "gentle", "keen", "lively", "mellow", "nimble", "patient",
    "quiet", "rapid", "steady", "vivid", "wise",
];
const NOUNS: [&str; 16] = [
    "badger", "crane", "falcon", "finch", "fox", "heron", "lark", "lynx", "marten", "otter", "owl", "raven",
    "seal", "stork", "swift", "wren",
];

/// The name of a new run: its own, that of its tag (the two must agree), or a made-up one.
pub(crate) fn of_new_run(new: &NewRun) -> Result<String, TrackingError> {
    let tag = new.tags.iter().find(|tag| tag.key == TAG).map(|tag| tag.value.as_str());
    let name = new.run_name.as_deref().filter(|name| !name.is_empty());
    match (name, tag) {
        (Some(name), Some(tag)) if name != tag => {
            Err(invalid("run name", name, &format!("the tag {TAG} says {tag:?}; give one of the two")))
        }
        (Some(name), _) => {
            limits::check_tags(&[Tag::new(TAG, name)])?;
            Ok(name.to_owned())
        }
        (None, Some(tag)) => Ok(tag.to_owned()),
        (None, None) => Ok(random()),
    }
}

/// A name made of random words and a number below 1000.
pub(crate) fn random() -> String {
    let [adjective, noun, high, low, ..] = Uuid::new_v4().into_bytes();
    let number = u16::from_be_bytes([high, low]) % 1000;
    format!("{}-{}-{number}", ADJECTIVES[usize::from(adjective % 16)], NOUNS[usize::from(noun % 16)])
}
