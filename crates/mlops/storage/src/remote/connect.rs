//! From a bucket and the environment to a client.
//!
//! What the environment variables mean is object_store's documentation; besides them MLflow's own are read:
//! `MLFLOW_S3_ENDPOINT_URL`, `MLFLOW_S3_IGNORE_TLS`, and `AZURE_STORAGE_CONNECTION_STRING` as Azure's tools have it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
};

use crate::location::Bucket;

/// Environment variables by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// The variables that hold credentials, for messages.
pub(crate) fn credential_variables(bucket: &Bucket) -> &'static str {
    match bucket {
        Bucket::S3 { .. } => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        Bucket::Gcs { .. } => "GOOGLE_APPLICATION_CREDENTIALS",
        Bucket::Azure { .. } => "AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCESS_KEY",
    }
}

/// A client of the bucket. It speaks to nobody yet.
pub(crate) fn connect(
    bucket: &Bucket,
    environment: &Environment,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    // The client leaves the choice of TLS's cryptography open; another part of the program may have made it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(match bucket {
        Bucket::S3 { name } => Arc::new(s3(name, environment).build()?),
        Bucket::Gcs { name } => Arc::new(gcs(name, environment).build()?),
        Bucket::Azure { container, account, endpoint } => {
            Arc::new(azure(container, account.as_deref(), endpoint.as_deref(), environment).build()?)
        }
    })
}

/// A large object may take as long as it needs, as long as something comes.
fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_read_timeout(Duration::from_secs(30))
        .with_timeout_disabled()
}

/// Some seconds of outage are waited for; more is for the caller to know.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(4), ..BackoffConfig::default() },
        max_retries: 5,
        retry_timeout: Duration::from_secs(60),
    }
}

fn s3(name: &str, environment: &Environment) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client_options())
        .with_retry(retries())
        .with_bucket_name(name);
    for (key, value) in with_prefix(environment, "AWS_") {
        if let Ok(key) = key.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    let endpoints = ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    if let Some(endpoint) = endpoints.iter().find_map(|name| set(environment, name)) {
        let is_plain = endpoint.starts_with("http://");
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        if is_plain {
            builder = builder.with_allow_http(true);
        }
    }
    if set(environment, "MLFLOW_S3_IGNORE_TLS").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        builder =
            builder.with_config(AmazonS3ConfigKey::Client(ClientConfigKey::AllowInvalidCertificates), "true");
    }
    builder
}

fn gcs(name: &str, environment: &Environment) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client_options())
        .with_retry(retries())
        .with_bucket_name(name);
    for (key, value) in with_prefix(environment, "GOOGLE_") {
        if let Ok(key) = key.parse() {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

fn azure(
    container: &str,
    account: Option<&str>,
    endpoint: Option<&str>,
    environment: &Environment,
) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(client_options())
        .with_retry(retries())
        .with_container_name(container);
    for (key, value) in with_prefix(environment, "AZURE_") {
        if let Ok(key) = key.parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    for field in set(environment, "AZURE_STORAGE_CONNECTION_STRING").unwrap_or_default().split(';') {
        let key = match field.split_once('=') {
            Some(("AccountName", value)) => Some((AzureConfigKey::AccountName, value)),
            Some(("AccountKey", value)) => Some((AzureConfigKey::AccessKey, value)),
            Some(("SharedAccessSignature", value)) => Some((AzureConfigKey::SasKey, value)),
            Some(("BlobEndpoint", value)) => Some((AzureConfigKey::Endpoint, value)),
            _ => None,
        };
        if let Some((key, value)) = key {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_config(AzureConfigKey::Endpoint, endpoint);
    }
    let is_plain = builder
        .get_config_value(&AzureConfigKey::Endpoint)
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    builder.with_allow_http(is_plain)
}

fn set<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The variables whose names begin with `prefix`, in lower case, as object_store's keys are written.
fn with_prefix<'a>(
    environment: &'a Environment,
    prefix: &'a str,
) -> impl Iterator<Item = (String, &'a str)> + 'a {
    let ours = environment.iter().filter(move |(name, value)| name.starts_with(prefix) && !value.is_empty());
    ours.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use object_store::gcp::GoogleConfigKey;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn s3_takes_mlflows_endpoint_before_amazons() {
        let variables = environment(&[
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "https://other"),
            ("MLFLOW_S3_ENDPOINT_URL", "http://localhost:9000"),
        ]);
        let builder = s3("bucket", &variables);
        let value = |key| builder.get_config_value(&key);
        assert_eq!(value(AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("id"));
        assert_eq!(value(AmazonS3ConfigKey::DefaultRegion).as_deref(), Some("eu-west-1"));
        assert_eq!(value(AmazonS3ConfigKey::S3Endpoint).as_deref(), Some("http://localhost:9000"));
        assert_eq!(value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp)).as_deref(), Some("true"));
        assert!(connect(&Bucket::S3 { name: "bucket".into() }, &variables).is_ok());
    }

    #[test]
    fn azure_takes_account_and_key_from_uri_and_connection_string() {
        let variables = environment(&[(
            "AZURE_STORAGE_CONNECTION_STRING",
            "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=a2V5PT0=;BlobEndpoint=http://localhost:10000/dev;",
        )]);
        let builder = azure("c", None, None, &variables);
        let value = |key| builder.get_config_value(&key);
        assert_eq!(value(AzureConfigKey::AccountName).as_deref(), Some("dev"));
        assert_eq!(value(AzureConfigKey::AccessKey).as_deref(), Some("a2V5PT0="));
        assert_eq!(value(AzureConfigKey::Endpoint).as_deref(), Some("http://localhost:10000/dev"));
        let builder = azure("c", Some("acc"), None, &environment(&[("AZURE_STORAGE_ACCESS_KEY", "a2V5")]));
        let value = |key| builder.get_config_value(&key);
        assert_eq!(value(AzureConfigKey::AccountName).as_deref(), Some("acc"));
        assert_eq!(value(AzureConfigKey::AccessKey).as_deref(), Some("a2V5"));
        assert_eq!(value(AzureConfigKey::ContainerName).as_deref(), Some("c"));
    }

    #[test]
    fn gcs_takes_googles_variables() {
        let builder = gcs("bucket", &environment(&[("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")]));
        let value = builder.get_config_value(&GoogleConfigKey::ApplicationCredentials);
        assert_eq!(value.as_deref(), Some("/key.json"));
    }
}
