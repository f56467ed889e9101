//! Any text as a filter or an order of any search: an answer or a refusal of the request, never a failure of the store.
#![no_main]

use std::sync::OnceLock;

use fulmen_tracking::{
    ErrorKind, LineageStore, ModelRegistry, Page, SearchExperiments, SearchLoggedModels, SearchRegistry, SearchRuns,
    SqliteStore, TrackingError, TrackingStore,
};
use libfuzzer_sys::fuzz_target;

fn store() -> &'static SqliteStore {
    static STORE: OnceLock<(tempfile::TempDir, SqliteStore)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fulmen.db")).unwrap();
        (folder, store)
    });
    store
}

fn check<T>(text: &str, found: Result<Page<T>, TrackingError>) {
    if let Err(error) = found {
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{text:?}: {error}");
    }
}

fuzz_target!(|text: &str| {
    let (filter, order) = text.split_once('\n').unwrap_or((text, ""));
    let (filter, order_by) = (filter.to_owned(), Vec::from_iter((!order.is_empty()).then(|| order.to_owned())));
    let experiment_ids = vec!["0".to_owned()];
    let runs = SearchRuns { experiment_ids: experiment_ids.clone(), filter: filter.clone(), order_by: order_by.clone(), ..Default::default() };
    check(text, store().search_runs(&runs));
    let experiments = SearchExperiments { filter: filter.clone(), order_by: order_by.clone(), ..Default::default() };
    check(text, store().search_experiments(&experiments));
    let registry = SearchRegistry { filter: filter.clone(), order_by, ..Default::default() };
    check(text, store().search_registered_models(&registry));
    check(text, store().search_model_versions(&registry));
    check(text, store().search_logged_models(&SearchLoggedModels { experiment_ids, filter, ..Default::default() }));
});
