//! Names for runs that were given none, such as `calm-heron-417`.

use uuid::Uuid;

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

/// A name made of random words and a number below 1000.
pub(crate) fn random() -> String {
    let [adjective, noun, high, low, ..] = Uuid::new_v4().into_bytes();
    let number = u16::from_be_bytes([high, low]) % 1000;
    format!("{}-{}-{number}", ADJECTIVES[usize::from(adjective % 16)], NOUNS[usize::from(noun % 16)])
}
