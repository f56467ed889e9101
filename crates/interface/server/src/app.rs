//! From a request to its answer.

use std::sync::Arc;

use fulmen_tracking::Store;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    http::request::Parts,
};

use crate::{
    api::{self, Call},
    artifacts::{self, Artifacts},
    frame::{ApiError, Gate, Pool, Reply, RequestBody, drain, json, read_whole, text},
    wire::{Message, decode},
};

/// Largest JSON of a request. A dataset's profile alone may have 16 MiB.
const MAX_JSON: usize = 48 << 20;
/// The MLflow whose API this is; clients compare it with their own.
pub(crate) const MLFLOW_VERSION: &str = "3.17.2";

/// All that answers need.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) artifacts: Artifacts,
    pub(crate) gate: Gate,
    pub(crate) pool: Pool,
}

/// Answers any request.
pub(crate) async fn respond(app: Arc<App>, request: Request<RequestBody>) -> Reply {
    let (parts, mut body) = request.into_parts();
    let answered = match app.gate.admit(&parts) {
        Ok(()) => dispatch(&app, &parts, &mut body).await,
        Err(error) => Err(error),
    };
    let mut reply = match answered {
        Ok(reply) => reply,
        Err(error) => {
            drain(&mut body).await;
            error.reply()
        }
    };
    let headers = reply.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    app.gate.allow_origin(&parts.headers, headers);
    reply
}

async fn dispatch(app: &Arc<App>, request: &Parts, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let path = request.uri.path();
    // As MLflow, which sends such a request to the address with one slash.
    let path = if path.starts_with("//") { &path[leading_slashes(path) - 1..] } else { path };
    if request.method == Method::OPTIONS {
        return Ok(no_content());
    }
    if let Some(rest) = path.strip_prefix("/api/").or_else(|| path.strip_prefix("/ajax-api/")) {
        if let Some(rest) = rest.strip_prefix("2.0/mlflow-artifacts/") {
            return artifacts::proxied(app, rest, request, body).await;
        }
        if let (Some(model_id), &Method::GET | &Method::HEAD) = (model_of_files(rest), &request.method) {
            return artifacts::model_artifact(app, decode(model_id)?, request).await;
        }
        return match (rest, &request.method) {
            ("3.0/mlflow/server-info", &Method::GET) => Ok(json(server_info(app))),
            ("2.0/mlflow/upload-artifact", &Method::POST) => {
                artifacts::upload_artifact(app, request, body).await
            }
            // MLflow's own table of routes lacks a slash at one place, and its client follows it.
            _ => match rest.strip_prefix("2.0/mlflow/").or_else(|| rest.strip_prefix("2.0mlflow/")) {
                Some(rest) => call(app, rest, request, body).await,
                None => Err(ApiError::no_endpoint(request)),
            },
        };
    }
    match (path, &request.method) {
        ("/health", &Method::GET | &Method::HEAD) => Ok(text("OK")),
        ("/version", &Method::GET | &Method::HEAD) => Ok(text(MLFLOW_VERSION)),
        ("/", &Method::GET | &Method::HEAD) => Ok(text(
            "Fulmen's tracking server. It speaks MLflow's REST API: point MLFLOW_TRACKING_URI at this address.\n",
        )),
        ("/get-artifact", &Method::GET | &Method::HEAD) => artifacts::run_artifact(app, request).await,
        ("/model-versions/get-artifact", &Method::GET | &Method::HEAD) => {
            artifacts::version_artifact(app, request).await
        }
        _ => Err(ApiError::no_endpoint(request)),
    }
}

fn leading_slashes(path: &str) -> usize {
    path.len() - path.trim_start_matches('/').len()
}

/// The logged model whose files a path asks for.
fn model_of_files(path: &str) -> Option<&str> {
    let model_id = path.strip_prefix("2.0/mlflow/logged-models/")?.strip_suffix("/artifacts/files")?;
    (!model_id.contains('/')).then_some(model_id)
}

/// A request that the store answers.
async fn call(
    app: &Arc<App>,
    path: &str,
    request: &Parts,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let (route, path_fields) = api::find(&request.method, path)?;
    let body = read_whole(body, MAX_JSON).await?;
    if !body.is_empty() && request.method != Method::GET {
        check_content_type(request)?;
    }
    let query = request.uri.query().map(str::to_owned);
    let app = Arc::clone(app);
    let pool = app.pool.clone();
    let work = move || {
        let mut message = Message::parse(query.as_deref(), &body)?;
        for (name, value) in path_fields {
            message.set(name, value);
        }
        let call = Call { store: app.store.as_ref(), artifacts: &app.artifacts, fields: message.fields() };
        (route.handler)(&call)
    };
    pool.call(work).await.map(json)
}

/// Only JSON, as in MLflow: a page of another site cannot send it without asking first.
fn check_content_type(request: &Parts) -> Result<(), ApiError> {
    let content_type =
        request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Bad Request. Content-Type must be application/json, not {content_type:?}."
    )))
}

/// What the Python client asks before it uploads.
fn server_info(app: &App) -> Vec<u8> {
    serde_json::json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": app.artifacts.serves(),
        "multipart_downloads_enabled": app.artifacts.serves(),
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": { "gateway": false },
    })
    .to_string()
    .into_bytes()
}

fn no_content() -> Reply {
    let mut reply: Response<_> = text("");
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply.headers_mut().remove(CONTENT_TYPE);
    reply
}
