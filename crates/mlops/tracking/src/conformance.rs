//! The behaviour that every [`Store`] must show, as functions that a store's own tests call.
//!
//! [`tracking_store_conformance!`](crate::tracking_store_conformance) makes a `#[test]` of each; its argument is a
//! function that returns a [`StoreFixture`] over a new, empty store, or `None` where that cannot be had here; it has said so
//! then, and the case is skipped.

#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod concurrency;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod experiments;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod journal;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod lineage;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod logged_models;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod metrics;
pub mod postgres_server;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod registry;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod registry_search;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod runs;
#[expect(missing_docs, reason = "the name of a case is what it states")]
pub mod search;

use std::sync::Arc;

use crate::{
    ErrorKind, Metric, NewExperiment, NewRun, RunBatch, SearchRuns, Store, TrackingError, TrackingStore,
};

/// A store that exists as long as this value.
pub trait StoreFixture {
    /// Opens the store, each time as another process would.
    fn open(&self) -> Arc<dyn Store>;

    /// Whether this store cannot be asked for this case, such as `metrics::the_axis_is_kept`. The fixture says why.
    fn skips(&self, _case: &str) -> bool {
        false
    }
}

/// What a case returns: a failure of the store fails the test.
pub type CaseResult = Result<(), TrackingError>;

/// Defines one test per case of the suite.
#[macro_export]
macro_rules! tracking_store_conformance {
    ($fixture:ident) => {
        $crate::tracking_store_conformance! { @cases $fixture,
            experiments { an_experiment_is_found_by_id_and_by_name, the_default_experiment_exists, names_stay_unique,
                deletion_hides_and_restoring_brings_back, tags_are_set_overwritten_and_deleted,
                search_filters_orders_and_pages, bad_names_and_locations_are_refused,
                names_and_values_that_look_like_code_mean_themselves }
            runs { a_new_run_has_what_it_was_given, names_are_made_up_and_follow_the_tag, updates_change_only_what_they_name,
                a_deleted_run_refuses_writes_until_restored, purging_needs_deletion_and_is_final,
                params_never_change, tags_are_overwritten_and_deleted, unknown_runs_are_not_found,
                comparison_shows_only_differences }
            metrics { the_latest_point_is_by_step_then_time_then_value, nan_and_infinities_are_kept, the_axis_is_kept,
                an_identical_point_is_stored_once, histories_are_paged_in_order, limits_hold_and_nothing_is_written_beyond_them,
                one_bad_entry_refuses_the_whole_batch }
            search { filters_select_the_runs_they_describe, the_newest_run_comes_first, what_lacks_the_key_comes_last,
                pages_cover_all_runs_once_in_any_order, new_runs_do_not_shift_pages, tokens_belong_to_their_search,
                bad_filters_are_invalid_parameters, quotes_and_signs_in_values_mean_themselves }
            journal { records_are_written_once_and_in_order, a_refused_record_moves_nothing, the_end_of_a_run_is_recorded,
                the_recorder_delivers_everything_and_removes_its_journal, a_left_over_journal_is_delivered_once,
                a_recorder_goes_on_where_a_journal_ends, a_refused_param_costs_nothing_else,
                a_deleted_run_leaves_the_journal_behind, what_fails_for_a_while_is_delivered_later }
            lineage { datasets_are_kept_once_and_found_with_their_run, models_are_inputs_and_outputs, datasets_are_listed_once_per_context,
                runs_are_found_by_their_datasets, datasets_beyond_the_limits_are_refused, purging_takes_the_inputs_along }
            logged_models { a_new_model_has_what_it_was_given, params_stay_and_tags_change, a_deleted_model_is_hidden,
                the_latest_point_of_each_dataset_is_kept, searches_filter_order_and_page, unknown_models_are_not_found }
            registry { names_are_unique_and_fit_into_uris, a_model_is_renamed_with_all_it_has, version_numbers_are_never_used_again,
                tags_and_descriptions_change, aliases_move_and_vanish_with_their_version, stages_change_and_archive,
                unknown_models_and_versions_are_not_found, a_version_takes_the_run_of_its_logged_model }
            registry_search { models_are_filtered_ordered_and_paged, versions_are_filtered_ordered_and_paged,
                prompts_are_found_only_when_asked_for, quotes_in_names_and_values_mean_themselves }
            concurrency { eight_writers_over_two_connections_lose_and_double_nothing, writers_of_one_param_agree,
                readers_see_whole_batches, an_experiment_name_goes_to_one_creator,
                versions_of_one_model_get_different_numbers }
        }
    };
    (@cases $fixture:ident, $($group:ident { $($case:ident),* $(,)? })*) => {
        $(mod $group {
            $(#[test]
            fn $case() -> $crate::conformance::CaseResult {
                let case = concat!(stringify!($group), "::", stringify!($case));
                super::$fixture()
                    .filter(|fixture| !$crate::conformance::StoreFixture::skips(fixture, case))
                    .map_or(Ok(()), |fixture| $crate::conformance::$group::$case(&fixture))
            })*
        })*
    };
}

/// An active run in the experiment `Default`.
fn new_run(store: &dyn TrackingStore) -> Result<String, TrackingError> {
    let new = NewRun { experiment_id: "0".to_owned(), ..NewRun::default() };
    Ok(store.create_run(&new)?.info.run_id)
}

fn new_experiment(store: &dyn TrackingStore, name: &str) -> Result<String, TrackingError> {
    let new = NewExperiment { name: name.to_owned(), ..NewExperiment::default() };
    Ok(store.create_experiment(&new)?.experiment_id)
}

fn all_of(experiment_id: &str) -> SearchRuns {
    SearchRuns { experiment_ids: vec![experiment_id.to_owned()], ..SearchRuns::default() }
}

fn point(key: &str, value: f64, timestamp: i64, step: i64) -> Metric {
    Metric { timestamp, ..Metric::at_step(key, value, step) }
}

fn metrics(metrics: impl IntoIterator<Item = Metric>) -> RunBatch {
    RunBatch { metrics: metrics.into_iter().collect(), ..RunBatch::default() }
}

fn history(store: &dyn TrackingStore, run_id: &str, key: &str) -> Result<Vec<Metric>, TrackingError> {
    let mut query =
        crate::HistoryQuery { run_id: run_id.to_owned(), key: key.to_owned(), ..Default::default() };
    let mut points = Vec::new();
    loop {
        let page = store.metric_history(&query)?;
        points.extend(page.items);
        query.page_token = page.next_page_token;
        if query.page_token.is_none() {
            return Ok(points);
        }
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(kind: ErrorKind, result: Result<T, TrackingError>) {
    match result {
        Ok(value) => panic!("expected an error of kind {kind:?}, got {value:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}
