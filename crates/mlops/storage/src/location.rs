//! Where a store is, as its URI says. The forms are those that MLflow writes.

use std::path::PathBuf;

use object_store::path::Path as ObjectPath;
use percent_encoding::percent_decode_str;

use crate::StorageError;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A prefix in an object store.
    Objects {
        /// Which kind, and which bucket of it.
        bucket: Bucket,
        /// Where in it.
        prefix: ObjectPath,
    },
}

/// A bucket, or container, of a kind of object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// Amazon S3 and all that speak its language.
    S3 { name: String },
    /// Google Cloud Storage.
    Gcs { name: String },
    /// Azure Blob Storage and Data Lake Storage.
    Azure {
        container: String,
        /// None: `AZURE_STORAGE_ACCOUNT_NAME` says it.
        account: Option<String>,
        /// Where the account is reached, if not at `core.windows.net`.
        endpoint: Option<String>,
    },
}

/// What a URI may look like, for messages.
const FORMS: &str = "expected a path, file:///path, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, \
     abfss://container@account.dfs.core.windows.net/prefix or wasbs://container@account.blob.core.windows.net/prefix";

impl Location {
    /// Reads a URI or a path.
    pub(crate) fn parse(uri: &str) -> Result<Self, StorageError> {
        let wrong = |reason: String| StorageError::Uri { uri: uri.to_owned(), reason };
        if uri.is_empty() {
            return Err(wrong(format!("it is empty; {FORMS}")));
        }
        let Some((scheme, rest)) = scheme(uri) else { return Ok(Self::Folder(PathBuf::from(uri))) };
        if scheme == "file" {
            return file(rest)
                .map(Self::Folder)
                .ok_or_else(|| wrong(format!("it names no folder here; {FORMS}")));
        }
        let bucket_of: fn(&str) -> Option<Bucket> = match scheme {
            "s3" | "s3a" => |name| plain(name).map(|name| Bucket::S3 { name }),
            "gs" => |name| plain(name).map(|name| Bucket::Gcs { name }),
            "az" | "azure" | "abfs" | "abfss" | "wasb" | "wasbs" => azure,
            "mlflow-artifacts" | "http" | "https" => {
                return Err(wrong(
                    "a tracking server keeps these artifacts: ask for them through it".to_owned(),
                ));
            }
            _ => return Err(wrong(format!("there is no store of the kind '{scheme}'; {FORMS}"))),
        };
        let rest = rest.strip_prefix("//").ok_or_else(|| wrong(format!("`//` is missing; {FORMS}")))?;
        if rest.contains(['?', '#']) {
            return Err(wrong("a query or fragment means nothing here: leave it out".to_owned()));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket =
            bucket_of(authority).ok_or_else(|| wrong(format!("it names no bucket or container; {FORMS}")))?;
        let prefix = ObjectPath::parse(path).map_err(|error| wrong(error.to_string()))?;
        Ok(Self::Objects { bucket, prefix })
    }
}

/// The scheme of `uri`, and what follows its colon; none for a path. One letter is a drive.
fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

/// `file:///a%20b`, `file:/a` and, as MLflow takes it, `file:a`. Another machine's folder is none.
fn file(rest: &str) -> Option<PathBuf> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let is_here = !rest.starts_with("//") || path.starts_with('/');
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    (is_here && !decoded.is_empty() && !decoded.contains('\0')).then(|| PathBuf::from(decoded.as_ref()))
}

fn plain(name: &str) -> Option<String> {
    (!name.is_empty() && !name.contains(['@', ':'])).then(|| name.to_owned())
}

/// `container`, or `container@account.blob.core.windows.net`, also of another cloud's domain.
fn azure(authority: &str) -> Option<Bucket> {
    let Some((container, host)) = authority.split_once('@') else {
        return Some(Bucket::Azure { container: plain(authority)?, account: None, endpoint: None });
    };
    let (account, domain) = host.split_once('.')?;
    let (service, cloud) = domain.split_once('.')?;
    let is_known = matches!(service, "blob" | "dfs") && !cloud.is_empty();
    let endpoint = (cloud != "core.windows.net").then(|| format!("https://{account}.blob.{cloud}"));
    is_known.then_some(())?;
    Some(Bucket::Azure { container: plain(container)?, account: Some(plain(account)?), endpoint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(uri: &str) -> (Bucket, String) {
        match Location::parse(uri) {
            Ok(Location::Objects { bucket, prefix }) => (bucket, prefix.to_string()),
            other => panic!("{uri}: {other:?}"),
        }
    }

    #[test]
    fn paths_and_file_uris_are_folders() {
        for (uri, path) in [
            ("mlruns/0", "mlruns/0"),
            ("/data/a b", "/data/a b"),
            ("file:///data/a%20b", "/data/a b"),
            ("file://localhost/data", "/data"),
            ("file:/data", "/data"),
            ("./a:b", "./a:b"),
        ] {
            assert_eq!(Location::parse(uri).unwrap(), Location::Folder(path.into()), "{uri}");
        }
    }

    #[test]
    fn buckets_are_read_as_mlflow_writes_them() {
        let s3 = || Bucket::S3 { name: "bucket".into() };
        assert_eq!(objects("s3://bucket/1/ab/artifacts"), (s3(), "1/ab/artifacts".into()));
        assert_eq!(objects("s3://bucket"), (s3(), String::new()));
        assert_eq!(objects("s3://bucket/a b/%25/"), (s3(), "a b/%25".into()));
        assert_eq!(objects("gs://bucket/a"), (Bucket::Gcs { name: "bucket".into() }, "a".into()));
        let azure = |account: Option<&str>, endpoint: Option<&str>| Bucket::Azure {
            container: "c".into(),
            account: account.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
        };
        assert_eq!(objects("az://c/a").0, azure(None, None));
        assert_eq!(
            objects("wasbs://c@acc.blob.core.windows.net/a/b"),
            (azure(Some("acc"), None), "a/b".into())
        );
        assert_eq!(objects("abfss://c@acc.dfs.core.windows.net/a").0, azure(Some("acc"), None));
        let china = "https://acc.blob.core.chinacloudapi.cn";
        assert_eq!(objects("wasbs://c@acc.blob.core.chinacloudapi.cn/a").0, azure(Some("acc"), Some(china)));
    }

    #[test]
    fn other_uris_are_refused_with_a_way_out() {
        for uri in [
            "",
            "ftp://host/a",
            "s3:bucket",
            "s3:///a",
            "s3://b/../a",
            "s3://b/a//b",
            "s3://b/a?x=1",
            "file://host/a",
            "wasbs://c@acc/a",
            "wasbs://c@acc.queue.core.windows.net/a",
            "gs://user@b/a",
            "mlflow-artifacts:/0",
        ] {
            assert!(matches!(Location::parse(uri), Err(StorageError::Uri { .. })), "{uri}");
        }
        let message = Location::parse("ftp://host/a").unwrap_err().to_string();
        assert!(message.starts_with("ftp://host/a: ") && message.contains("s3://bucket/prefix"), "{message}");
    }
}
