//! The routes of artifacts.

use std::sync::Arc;

use fulmen_storage::StorageError;
use hyper::{
    Method,
    header::{HOST, HeaderMap},
    http::request::Parts,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{download, multipart, name, place::Place, upload, wire_file};
use crate::{
    api::answer,
    app::App,
    frame::{ApiError, Code, Reply, RequestBody, json, read_whole},
    wire::{Message, WireFile, decode},
};

/// Largest JSON of a multipart upload: ten thousand parts with their addresses.
const MULTIPART_JSON: usize = 8 << 20;
/// Largest file that the page of a run may send, as in MLflow.
const PAGE_UPLOAD: u64 = 10 << 20;
/// What stands as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Answers a request below `/api/2.0/mlflow-artifacts/`.
pub(crate) async fn proxied(
    app: &Arc<App>,
    path: &str,
    request: &Parts,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let place = app.artifacts.proxied_place()?;
    let (group, rest) = path.split_once('/').unwrap_or((path, ""));
    match (group, &request.method) {
        ("artifacts", &Method::GET) if rest.is_empty() => {
            let query = Message::parse(request.uri.query(), b"")?;
            let folder = name::folder(query.fields().text("path")?.unwrap_or_default())?;
            app.pool.call(move || list(&place, &folder)).await.map(json)
        }
        ("artifacts", &Method::GET | &Method::HEAD) => {
            download(app, place, name::file(&decode(rest)?)?, &request.headers).await
        }
        ("artifacts", &Method::PUT) => {
            let name = name::file(&decode(rest)?)?;
            upload::receive(&app.pool, body, None, move |content| Ok(place.write(&name, content)?)).await?;
            Ok(json(b"{}".to_vec()))
        }
        ("artifacts", &Method::DELETE) => {
            let name = name::file(decode(rest)?.trim_end_matches('/'))?;
            let delete = move || match place.delete(&name) {
                // What is gone already is as it should be, as in MLflow.
                Ok(()) | Err(StorageError::Missing { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            };
            app.pool.call(delete).await?;
            Ok(json(b"{}".to_vec()))
        }
        ("presigned", &Method::GET) => {
            let name = name::file(&decode(rest)?)?;
            let url = format!("{}/artifacts/{}", address(request)?, utf8_percent_encode(&name, PATH));
            app.pool.call(move || presigned(&place, &name, url)).await.map(json)
        }
        ("mpu", &Method::PUT) => match rest.strip_prefix("part/") {
            Some(part) => multipart::part(place, &app.pool, part, body).await,
            None => Err(ApiError::no_endpoint(request)),
        },
        ("mpu", &Method::POST) => multipart_step(app, place, rest, request, body).await,
        ("artifacts" | "presigned" | "mpu", method) => {
            Err(ApiError::new(Code::WRONG_METHOD, format!("artifacts have no method {method} here")))
        }
        _ => Err(ApiError::no_endpoint(request)),
    }
}

async fn multipart_step(
    app: &Arc<App>,
    place: Arc<Place>,
    path: &str,
    request: &Parts,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (step, folder) = path.split_once('/').unwrap_or((path, ""));
    let step = match step {
        "create" | "complete" | "abort" => step.to_owned(),
        _ => return Err(ApiError::no_endpoint(request)),
    };
    let folder = name::folder(&decode(folder)?)?;
    let address = format!("{}/mpu/part", address(request)?);
    let body = read_whole(body, MULTIPART_JSON).await?;
    let work = move || {
        let message = Message::parse(None, &body)?;
        match step.as_str() {
            "create" => multipart::create(&place, &folder, message.fields(), &address),
            "complete" => multipart::complete(&place, &folder, message.fields()).map(|()| b"{}".to_vec()),
            _ => multipart::abort(&place, &folder, message.fields()).map(|()| b"{}".to_vec()),
        }
    };
    app.pool.call(work).await.map(json)
}

/// `/get-artifact?run_id=…&path=…`
pub(crate) async fn run_artifact(app: &Arc<App>, request: &Parts) -> Result<Reply, ApiError> {
    let message = Message::parse(request.uri.query(), b"")?;
    let find = move |app: &App| {
        let fields = message.fields();
        let (run_id, path) = (fields.run_id()?, fields.required("path")?);
        app.artifacts.name_below(&app.store.run(run_id)?.info.artifact_uri, path)
    };
    found_file(app, request, find).await
}

/// `/model-versions/get-artifact?name=…&version=…&path=…`
pub(crate) async fn version_artifact(app: &Arc<App>, request: &Parts) -> Result<Reply, ApiError> {
    let message = Message::parse(request.uri.query(), b"")?;
    let find = move |app: &App| {
        let fields = message.fields();
        let (model, path) = (fields.required("name")?, fields.required("path")?);
        name::file(path)?;
        let version = fields.count("version")?.ok_or_else(|| fields.missing("version"))?;
        let version = app.store.model_version(model, version as u64)?;
        let source = version.storage_location.unwrap_or(version.source);
        // A source `runs:/<run>/<path>` lies among the artifacts of that run.
        let root = match source.strip_prefix("runs:/").and_then(|rest| rest.split_once('/')) {
            Some((run_id, folder)) => format!("{}/{folder}", app.store.run(run_id)?.info.artifact_uri),
            None => source,
        };
        name::file(&app.artifacts.name_below(&root, path)?)
    };
    found_file(app, request, find).await
}

/// `/ajax-api/2.0/mlflow/logged-models/<model>/artifacts/files?artifact_file_path=…`
pub(crate) async fn model_artifact(
    app: &Arc<App>,
    model_id: String,
    request: &Parts,
) -> Result<Reply, ApiError> {
    let message = Message::parse(request.uri.query(), b"")?;
    let find = move |app: &App| {
        let path = message.fields().required("artifact_file_path")?;
        app.artifacts.name_below(&app.store.logged_model(&model_id)?.artifact_uri, path)
    };
    found_file(app, request, find).await
}

/// `/ajax-api/2.0/mlflow/upload-artifact?run_uuid=…&path=…`: a small file from the page of a run.
pub(crate) async fn upload_artifact(
    app: &Arc<App>,
    request: &Parts,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let message = Message::parse(request.uri.query(), b"")?;
    let size = hyper::body::Body::size_hint(body);
    let is_empty = size.exact() == Some(0);
    let finder = Arc::clone(app);
    let find = move || {
        let fields = message.fields();
        let must_specify = |what: &str| ApiError::invalid(format!("Request must specify {what}."));
        let run_id = fields.run_id().map_err(|_| must_specify("run_uuid"))?;
        let path = fields.some_text("path")?.ok_or_else(|| must_specify("path"))?;
        name::file(&path)?;
        if is_empty {
            return Err(must_specify("data"));
        }
        let run = finder.store.run(run_id)?;
        finder.artifacts.name_below(&run.info.artifact_uri, &path)
    };
    let name = app.pool.call(find).await?;
    let place = app.artifacts.place()?;
    if size.lower() > PAGE_UPLOAD {
        return Err(upload::too_large(Some(PAGE_UPLOAD)));
    }
    upload::receive(&app.pool, body, Some(PAGE_UPLOAD), move |content| Ok(place.write(&name, content)?))
        .await?;
    Ok(json(b"{}".to_vec()))
}

async fn found_file(
    app: &Arc<App>,
    request: &Parts,
    find: impl FnOnce(&App) -> Result<String, ApiError> + Send + 'static,
) -> Result<Reply, ApiError> {
    let finder = Arc::clone(app);
    let name = app.pool.call(move || find(&finder)).await?;
    download(app, app.artifacts.place()?, name, &request.headers).await
}

async fn download(
    app: &Arc<App>,
    place: Arc<Place>,
    name: String,
    headers: &HeaderMap,
) -> Result<Reply, ApiError> {
    let read = name.clone();
    let (content, size) = app.pool.call(move || Ok(place.read(&read)?)).await?;
    download::file(&name, content, size, headers)
}

fn list(place: &Place, folder: &str) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Listing {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        files: Vec<WireFile>,
    }
    let files = place.list(folder)?.into_iter().map(|entry| wire_file(entry.name, entry.size)).collect();
    answer(&Listing { files })
}

/// Where to download a file in parallel ranges: from the proxy itself.
fn presigned(place: &Place, name: &str, url: String) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Presigned {
        url: String,
        headers: std::collections::BTreeMap<String, String>,
        file_size: u64,
    }
    let (_, file_size) = place.read(name)?;
    answer(&Presigned { url, headers: Default::default(), file_size })
}

/// The proxy's own address, as the client has it.
fn address(request: &Parts) -> Result<String, ApiError> {
    let host = match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let host = host.ok_or_else(|| ApiError::invalid("the request has no Host header"))?;
    // Behind a proxy that speaks TLS for this server.
    let secure = request.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    Ok(format!("{}://{host}/api/2.0/mlflow-artifacts", if secure { "https" } else { "http" }))
}
