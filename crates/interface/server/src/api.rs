//! MLflow's endpoints that answer from the store: tables of routes, one file a group.

mod datasets;
mod experiments;
mod logged_models;
mod metrics;
mod registry;
mod runs;
mod sources;

use fulmen_tracking::{Page, Store};
use hyper::Method;
use serde::Serialize;

use crate::{
    artifacts::Artifacts,
    frame::{ApiError, Code},
    wire::{Fields, WireFile, decode},
};

/// A request as a handler sees it.
pub(crate) struct Call<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) artifacts: &'a Artifacts,
    pub(crate) fields: Fields<'a>,
}

/// Answers a request with JSON; may block.
type Handler = fn(&Call<'_>) -> Result<Vec<u8>, ApiError>;

/// An endpoint below `/api/2.0/mlflow/`; `{name}` in its path is a field of the request.
pub(crate) struct Route {
    method: Method,
    path: &'static str,
    pub(crate) handler: Handler,
}

const fn get(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::GET, path, handler }
}

const fn post(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::POST, path, handler }
}

const fn patch(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::PATCH, path, handler }
}

const fn delete(path: &'static str, handler: Handler) -> Route {
    Route { method: Method::DELETE, path, handler }
}

/// Fields that stand in a path, by name.
pub(crate) type PathFields = Vec<(&'static str, String)>;

const ROUTES: [&[Route]; 6] = [
    runs::ROUTES,
    metrics::ROUTES,
    experiments::ROUTES,
    logged_models::ROUTES,
    registry::ROUTES,
    datasets::ROUTES,
];

/// The route of a path below `/api/2.0/mlflow/`, and the fields in it.
pub(crate) fn find(method: &Method, path: &str) -> Result<(&'static Route, PathFields), ApiError> {
    let mut known = false;
    // A fixed path comes before one with fields: `logged-models/search` is no model.
    for fixed in [true, false] {
        for route in ROUTES.into_iter().flatten().filter(|route| route.path.contains('{') != fixed) {
            let Some(fields) = matched(route.path, path) else { continue };
            known = true;
            if route.method == *method || (*method == Method::HEAD && route.method == Method::GET) {
                let decoded = fields.into_iter().map(|(name, value)| Ok((name, decode(value)?)));
                return Ok((route, decoded.collect::<Result<_, ApiError>>()?));
            }
        }
    }
    let code = if known { Code::WRONG_METHOD } else { Code::NO_ENDPOINT };
    Err(ApiError::new(code, format!("no endpoint {method} {path:?}")))
}

/// The fields of `path` where it has the form of `pattern`.
fn matched<'path>(pattern: &'static str, path: &'path str) -> Option<Vec<(&'static str, &'path str)>> {
    let mut fields = Vec::new();
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !part.is_empty() => fields.push((name, part)),
            _ if expected == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(fields)
}

/// An answer as JSON.
pub(crate) fn answer(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::unwritable(&error))
}

/// The answer of what only writes.
fn done() -> Result<Vec<u8>, ApiError> {
    Ok(b"{}".to_vec())
}

/// An answer with one field.
fn one(name: &'static str, value: impl Serialize) -> Result<Vec<u8>, ApiError> {
    answer(&std::collections::BTreeMap::from([(name, value)]))
}

/// An answer with one list; an empty one is left out, as protobuf does.
fn list<T: Serialize>(name: &'static str, values: Vec<T>) -> Result<Vec<u8>, ApiError> {
    if values.is_empty() { done() } else { one(name, values) }
}

/// An answer with a page of a list.
fn page<'a, T, W>(name: &'static str, page: &'a Page<T>) -> Result<Vec<u8>, ApiError>
where
    W: Serialize + From<&'a T>,
{
    use serde::ser::{SerializeMap as _, Serializer as _};
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut write = || -> Result<(), serde_json::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !page.items.is_empty() {
            map.serialize_entry(name, &page.items.iter().map(W::from).collect::<Vec<_>>())?;
        }
        if let Some(token) = &page.next_page_token {
            map.serialize_entry("next_page_token", token)?;
        }
        map.end()
    };
    write().map_err(|error| ApiError::unwritable(&error))?;
    Ok(bytes)
}

/// A listing of artifacts below `root_uri`.
fn files(call: &Call<'_>, root_uri: &str, path: &str) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Listing<'a> {
        root_uri: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        files: Vec<WireFile>,
    }
    answer(&Listing { root_uri, files: call.artifacts.list_below(root_uri, path)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_routes() {
        let (route, fields) = find(&Method::GET, "logged-models/m-1%2F2").unwrap();
        assert_eq!(
            (route.path, fields),
            ("logged-models/{model_id}", vec![("model_id", "m-1/2".to_owned())])
        );
        assert_eq!(find(&Method::POST, "logged-models/search").unwrap().0.path, "logged-models/search");
        for (method, path, code) in [
            (Method::GET, "runs/create", Code::WRONG_METHOD),
            (Method::GET, "runs", Code::NO_ENDPOINT),
            (Method::GET, "logged-models/", Code::NO_ENDPOINT),
            (Method::GET, "runs/get/", Code::NO_ENDPOINT),
            (Method::GET, "logged-models/%ff", Code::INVALID),
        ] {
            assert_eq!(find(&method, path).err().map(|error| error.code), Some(code), "{path}");
        }
    }

    #[test]
    fn no_two_routes_are_the_same() {
        let mut seen = std::collections::HashSet::new();
        for route in ROUTES.into_iter().flatten() {
            assert!(seen.insert((route.method.clone(), route.path)), "{}", route.path);
        }
    }
}
