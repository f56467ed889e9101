//! The master key: where it is, and what it is.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use fulmen_utils::atomic::WriteError;
use zeroize::Zeroizing;

use crate::EncryptionError;

/// Begins the line of a key, as age writes it.
const KEY_PREFIX: &str = "AGE-SECRET-KEY-1";

/// Where a master key is: `file:/path`, `env:NAME` or `command:program --flag`, whose standard output is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, as `age-keygen` writes it.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// What a shell command writes, such as one that asks a secret manager.
    Command(String),
}

impl FromStr for KeySource {
    type Err = EncryptionError;

    fn from_str(text: &str) -> Result<Self, EncryptionError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                Ok(Self::File(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("command", command)) if !command.trim().is_empty() => Ok(Self::Command(command.to_owned())),
            // The text may be a key that somebody put where its place belongs.
            _ if text.contains(KEY_PREFIX) => {
                Err(EncryptionError::Source { text: format!("{KEY_PREFIX}…") })
            }
            _ => Err(EncryptionError::Source { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "file:{}", path.display()),
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::Command(command) => write!(formatter, "command:{command}"),
        }
    }
}

impl KeySource {
    /// Fetches the key.
    ///
    /// # Errors
    /// When the place does not answer, or what is there is no key.
    pub fn load(&self) -> Result<MasterKey, EncryptionError> {
        let failed = |reason: String| EncryptionError::NoKey { place: self.to_string(), reason };
        let text = Zeroizing::new(match self {
            Self::File(path) => fs::read_to_string(path).map_err(|error| failed(error.to_string()))?,
            Self::Environment(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => failed("the variable is not set".to_owned()),
                // The error's own text would show the value.
                env::VarError::NotUnicode(_) => failed("the variable is no text".to_owned()),
            })?,
            Self::Command(command) => output(command).map_err(failed)?,
        });
        MasterKey::parse(&text).ok_or_else(|| EncryptionError::NotAKey { place: self.to_string() })
    }
}

/// What `command` writes to standard output. It may ask at the terminal.
fn output(command: &str) -> Result<String, String> {
    let child =
        Command::new("sh").args(["-c", command]).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let output = child.and_then(std::process::Child::wait_with_output).map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the command ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        "the command wrote no text".to_owned()
    })
}

/// A master key. It is cleared from memory when it is dropped, and shows itself to nobody.
#[derive(Clone)]
pub struct MasterKey(Identity);

impl MasterKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// The first line of `text` that is a key; comments are passed over, as in age's identity files.
    fn parse(text: &str) -> Option<Self> {
        text.lines().map(str::trim).find(|line| line.starts_with(KEY_PREFIX))?.parse().ok().map(Self)
    }

    /// Its public half, `age1…`: no secret, but whoever has it can write a keyring of their own making.
    #[must_use]
    pub fn public(&self) -> String {
        self.0.to_public().to_string()
    }

    /// Writes it to a new file that only its owner may read.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EncryptionError> {
        let failed = |error| EncryptionError::from(WriteError::new(path, error));
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fulmen_utils::atomic::create_folder(folder)?;
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let secret = self.0.to_string();
        let text = Zeroizing::new(format!("# public key: {}\n{}\n", self.public(), secret.expose_secret()));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        for text in ["file:/a/key", "env:FULMEN_KEY", "command:pass show fulmen"] {
            assert_eq!(text.parse::<KeySource>().unwrap().to_string(), text);
        }
        assert_eq!("file:///a/key".parse::<KeySource>().unwrap(), KeySource::File("/a/key".into()));
        for text in ["", "/a/key", "file:", "env:", "command: ", "vault:x"] {
            assert!(matches!(text.parse::<KeySource>(), Err(EncryptionError::Source { .. })), "{text}");
        }
    }

    #[test]
    fn no_message_shows_a_key() {
        let key = MasterKey::generate();
        let secret = key.0.to_string();
        let secret = secret.expose_secret();
        let messages = [
            format!("{key:?}"),
            secret.parse::<KeySource>().unwrap_err().to_string(),
            format!("file:{secret}").parse::<KeySource>().map(|source| format!("{source:?}")).map_or_else(
                |error| error.to_string(),
                // A path is shown; the file's content is not.
                |_| String::new(),
            ),
        ];
        assert!(messages.iter().all(|message| !message.contains(&secret[20..])), "{messages:?}");
    }

    #[test]
    fn a_key_comes_from_a_file_and_from_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        let key = MasterKey::generate();
        key.write(&path).unwrap();
        assert!(key.write(&path).is_err(), "a key is never written over");
        let command = KeySource::Command(format!("cat '{}'", path.display()));
        for source in [KeySource::File(path.clone()), command] {
            assert_eq!(source.load().unwrap().public(), key.public());
        }
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(KeySource::File(path).load(), Err(EncryptionError::NotAKey { .. })));
        let error = KeySource::Command("exit 3".into()).load().unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let error = KeySource::Environment("FULMEN_NO_SUCH_KEY".into()).load().unwrap_err();
        assert!(error.to_string().contains("env:FULMEN_NO_SUCH_KEY"), "{error}");
    }
}
