//! Models and versions by what people call them.

use fulmen_tracking::{
    ErrorKind, ModelRegistry, ModelVersion, RegisteredModel, SearchRegistry, TrackingError,
};
use fulmen_utils::nearest;

use crate::error::CliError;

/// The model of this name.
///
/// # Errors
/// When there is none: the message names the nearest.
pub(super) fn model(store: &dyn ModelRegistry, name: &str) -> Result<RegisteredModel, CliError> {
    match store.registered_model(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let known = models(store, SearchRegistry::default(), usize::MAX)?;
            let hint = nearest::hint(name, known.iter().map(|model| model.name.as_str()));
            Err(CliError::usage(format!("there is no model '{name}'{hint}: see `fulmen models list`")))
        }
        result => Ok(result?),
    }
}

/// The version of a model with this number or alias.
///
/// # Errors
/// When there is none: the message names those that there are.
pub(super) fn version(store: &dyn ModelRegistry, name: &str, wanted: &str) -> Result<ModelVersion, CliError> {
    let model = model(store, name)?;
    let found = match wanted.parse::<u64>() {
        Ok(number) => store.model_version(name, number),
        Err(_) => store.model_version_by_alias(name, wanted),
    };
    let missing =
        |error: &TrackingError| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidParameter);
    match found {
        Err(error) if missing(&error) => {
            let known = versions(store, name, SearchRegistry::default(), 20)?;
            let numbers = known.iter().map(|version| version.version.to_string());
            let aliases = model.aliases.into_iter().map(|alias| alias.alias);
            let known = numbers.chain(aliases).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {known}") };
            Err(CliError::usage(format!("{name} has no version '{wanted}': {known}")))
        }
        result => Ok(result?),
    }
}

/// All models that are found, over all pages.
///
/// # Errors
/// When the filter or the order cannot be read, or the store does not answer.
pub(super) fn models(
    store: &dyn ModelRegistry,
    mut search: SearchRegistry,
    limit: usize,
) -> Result<Vec<RegisteredModel>, CliError> {
    let mut all = Vec::new();
    loop {
        let page = store.search_registered_models(&search)?;
        all.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() || all.len() >= limit {
            all.truncate(limit);
            return Ok(all);
        }
    }
}

/// All versions of a model that are found, over all pages.
///
/// # Errors
/// As [`models`].
pub(super) fn versions(
    store: &dyn ModelRegistry,
    name: &str,
    mut search: SearchRegistry,
    limit: usize,
) -> Result<Vec<ModelVersion>, CliError> {
    let of_model = format!("name = '{}'", name.replace('\'', "''"));
    search.filter =
        if search.filter.trim().is_empty() { of_model } else { format!("{of_model} AND {}", search.filter) };
    let mut all = Vec::new();
    loop {
        let page = store.search_model_versions(&search)?;
        all.extend(page.items);
        search.page_token = page.next_page_token;
        if search.page_token.is_none() || all.len() >= limit {
            all.truncate(limit);
            return Ok(all);
        }
    }
}
