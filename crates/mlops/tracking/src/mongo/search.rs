//! Searches page by page.

use mongodb::{
    bson::{Bson, Document, deserialize_from_document, doc},
    sync::Collection,
};
use serde::de::DeserializeOwned;

use super::{
    MongoStore,
    documents::{ExperimentDocument, RunDocument},
    experiments,
    points::{Place, blocks_after, place, place_from_hex},
    query::{conditions, expression, view},
    runs,
};
use crate::{
    Experiment, HistoryQuery, Metric, Page, Run, SearchExperiments, SearchRuns, TrackingError,
    filter::{OrderKey, Scope, parse_filter, parse_order_by},
    limits::page_size,
    page_token::{self, Cell},
};

/// Results of a page unless it is asked otherwise.
const USUAL_PAGE: usize = 1000;
/// MLflow's largest page of runs or experiments.
const LARGEST_PAGE: usize = 50_000;
/// MLflow's largest page of a history.
const LARGEST_HISTORY_PAGE: usize = 25_000;

/// A search that has been read and checked.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) scope: Scope,
    /// All of them hold.
    pub(super) conditions: Vec<Document>,
    pub(super) order: Vec<OrderKey>,
    /// Fields that make the order total, each with whether it descends.
    pub(super) last: &'a [(&'a str, bool)],
    pub(super) page_size: usize,
    /// What a page token must have been made for.
    pub(super) identity: String,
    pub(super) page_token: Option<&'a str>,
}

/// A column of an order.
#[derive(Debug)]
struct Column {
    name: String,
    descending: bool,
    /// Documents may lack it, and come last then, whatever the direction.
    is_optional: bool,
}

impl MongoStore {
    /// A page of the documents that a search finds.
    pub(super) fn page<D: DeserializeOwned + Send + Sync>(
        &self,
        collection: &Collection<D>,
        search: &Search<'_>,
    ) -> Result<Page<D>, TrackingError> {
        let columns = columns(&search.order, search.last);
        // MLflow's clients send an empty token for the first page.
        let token = search.page_token.filter(|token| !token.is_empty());
        let after =
            token.map(|token| page_token::decode(&search.identity, token, columns.len())).transpose()?;
        let mut pipeline = Vec::new();
        if !search.conditions.is_empty() {
            pipeline.push(doc! { "$match": { "$and": search.conditions.clone() } });
        }
        pipeline.push(doc! { "$project": runs::projection() });
        if !search.order.is_empty() {
            let mut values = Document::new();
            let mut absences = Document::new();
            for (index, key) in search.order.iter().enumerate() {
                values.insert(format!("o{index}"), expression(search.scope, &key.field));
                let is_absent = doc! { "$in": [{ "$type": format!("$o{index}") }, ["missing", "null"]] };
                absences.insert(format!("n{index}"), doc! { "$cond": [is_absent, 1, 0] });
            }
            pipeline.extend([doc! { "$addFields": values }, doc! { "$addFields": absences }]);
        }
        if let Some(after) = &after {
            pipeline.push(doc! { "$match": beyond(&columns, after) });
        }
        pipeline.push(doc! { "$sort": sort(&columns) });
        // One more tells whether there is a next page.
        pipeline.push(doc! { "$limit": search.page_size as i64 + 1 });

        let found =
            collection.aggregate(pipeline).allow_disk_use(true).run().map_err(|error| self.failed(error))?;
        let mut items = Vec::new();
        let mut last = Vec::new();
        for document in found {
            let document = document.map_err(|error| self.failed(error))?;
            if items.len() == search.page_size {
                let next_page_token = Some(page_token::encode(&search.identity, last));
                return Ok(Page { items, next_page_token });
            }
            if items.len() + 1 == search.page_size {
                last = columns.iter().map(|column| cell(document.get(&column.name))).collect();
            }
            items.push(deserialize_from_document(document).map_err(|error| self.failed(error.into()))?);
        }
        Ok(Page { items, next_page_token: None })
    }

    pub(super) fn find_runs(&self, search: &SearchRuns) -> Result<Page<Run>, TrackingError> {
        let mut all = conditions(Scope::Runs, &parse_filter(Scope::Runs, &search.filter)?)?;
        all.insert(0, doc! { "experiment_id": { "$in": Self::experiment_keys(&search.experiment_ids) } });
        all.extend(view(search.view));
        let prepared = Search {
            scope: Scope::Runs,
            conditions: all,
            order: parse_order_by(Scope::Runs, &search.order_by)?,
            last: &[("start_time", true), ("_id", false)],
            page_size: page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
            identity: format!(
                "runs {:?} {:?} {:?} {:?}",
                search.experiment_ids, search.filter, search.view, search.order_by
            ),
            page_token: search.page_token.as_deref(),
        };
        let page: Page<RunDocument> = self.page(&self.collections()?.runs, &prepared)?;
        Ok(Page { items: self.read_runs(page.items)?, next_page_token: page.next_page_token })
    }

    pub(super) fn find_experiments(
        &self,
        search: &SearchExperiments,
    ) -> Result<Page<Experiment>, TrackingError> {
        let mut all = conditions(Scope::Experiments, &parse_filter(Scope::Experiments, &search.filter)?)?;
        all.extend(view(search.view));
        let prepared = Search {
            scope: Scope::Experiments,
            conditions: all,
            order: parse_order_by(Scope::Experiments, &search.order_by)?,
            last: &[("creation_time", true), ("_id", true)],
            page_size: page_size(search.max_results, USUAL_PAGE, LARGEST_PAGE)?,
            identity: format!("experiments {:?} {:?} {:?}", search.filter, search.view, search.order_by),
            page_token: search.page_token.as_deref(),
        };
        let page: Page<ExperimentDocument> = self.page(&self.collections()?.experiments, &prepared)?;
        let items = page.items.into_iter().map(experiments::read).collect();
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    pub(super) fn history_page(&self, query: &HistoryQuery) -> Result<Page<Metric>, TrackingError> {
        let size = page_size(query.max_results, LARGEST_HISTORY_PAGE, LARGEST_HISTORY_PAGE)?;
        let identity = format!("history {:?} {:?}", query.run_id, query.key);
        let token = query.page_token.as_deref().filter(|token| !token.is_empty());
        let after = match token.map(|token| page_token::decode(&identity, token, 1)).transpose()? {
            None => None,
            Some(cells) => match cells.as_slice() {
                [Cell::Text(digits)] => Some(place_from_hex(digits).ok_or(TrackingError::PageToken)?),
                _ => return Err(TrackingError::PageToken),
            },
        };
        self.settle_all(&query.run_id)?;
        let blocks = self.collections()?.points.find(blocks_after(&query.run_id, &query.key, after.as_ref()));
        let blocks = blocks.sort(doc! { "run_id": 1, "key": 1, "low": 1 });
        let mut found = FirstPoints::new(size + 1);
        for block in blocks.run().map_err(|error| self.failed(error))? {
            let block = block.map_err(|error| self.failed(error))?;
            if found.are_before(&block.low.bytes) {
                break;
            }
            let points = block.into_metrics().into_iter().map(|metric| (place(&metric), metric));
            found.add(points.filter(|(place, _)| after.is_none_or(|after| *place > after)));
        }
        // One more tells whether there is a next page.
        let mut points = found.into_sorted();
        let has_more = points.len() > size;
        points.truncate(size);
        let last = points.last().filter(|_| has_more).map(|(place, _)| place);
        let token = last.map(|place| place.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(Page {
            next_page_token: token.map(|id| page_token::encode(&identity, vec![Cell::Text(id)])),
            items: points.into_iter().map(|(_, metric)| metric).collect(),
        })
    }
}

/// The first points of those that blocks hold, blocks which may overlap.
struct FirstPoints {
    most: usize,
    points: Vec<(Place, Metric)>,
    /// No point beyond it is among the first.
    bound: Option<Place>,
}

impl FirstPoints {
    fn new(most: usize) -> Self {
        Self { most, points: Vec::new(), bound: None }
    }

    /// Whether all first points are there, if all others follow `place`.
    fn are_before(&self, place: &[u8]) -> bool {
        self.bound.is_some_and(|bound| bound.as_slice() < place)
    }

    fn add(&mut self, points: impl Iterator<Item = (Place, Metric)>) {
        let bound = self.bound;
        self.points.extend(points.filter(|(place, _)| bound.is_none_or(|bound| *place <= bound)));
        // Sorted once for many blocks that overlap, and at once where that may be the end.
        if self.points.len() >= if bound.is_some() { 2 * self.most } else { self.most } {
            self.settle();
        }
    }

    /// Leaves each point once, and not more than are wanted.
    fn settle(&mut self) {
        self.points.sort_unstable_by_key(|(place, _)| *place);
        self.points.dedup_by_key(|(place, _)| *place);
        self.points.truncate(self.most);
        self.bound = self.points.get(self.most - 1).map(|(place, _)| *place);
    }

    fn into_sorted(mut self) -> Vec<(Place, Metric)> {
        self.settle();
        self.points
    }
}

fn columns(order: &[OrderKey], last: &[(&str, bool)]) -> Vec<Column> {
    let keys = order.iter().enumerate().map(|(index, key)| Column {
        name: format!("o{index}"),
        descending: key.descending,
        is_optional: true,
    });
    let last = last.iter().map(|&(name, descending)| Column {
        name: name.to_owned(),
        descending,
        is_optional: false,
    });
    keys.chain(last).collect()
}

/// The name of the column that says whether an optional one is absent.
fn absence(name: &str) -> String {
    name.replace('o', "n")
}

fn sort(columns: &[Column]) -> Document {
    let mut sort = Document::new();
    for Column { name, descending, is_optional } in columns {
        if *is_optional {
            sort.insert(absence(name), 1);
        }
        sort.insert(name, if *descending { -1 } else { 1 });
    }
    sort
}

/// What comes after the document with these values. Not an offset, so documents that are added or removed meanwhile shift
/// nothing.
fn beyond(columns: &[Column], last: &[Cell]) -> Document {
    let mut alternatives = Vec::new();
    for (index, (column, value)) in columns.iter().zip(last).enumerate() {
        // Nothing comes after an absent value.
        let Some(value) = bson(value) else { continue };
        let mut all: Vec<Document> = columns.iter().zip(last).take(index).map(equal).collect();
        let sign = if column.descending { "$lt" } else { "$gt" };
        let further = doc! { &column.name: { sign: value } };
        if column.is_optional {
            all.push(doc! { "$or": [further, { absence(&column.name): 1 }] });
        } else {
            all.push(further);
        }
        alternatives.push(doc! { "$and": all });
    }
    doc! { "$or": alternatives }
}

fn equal((column, value): (&Column, &Cell)) -> Document {
    match bson(value) {
        Some(value) => doc! { &column.name: { "$eq": value } },
        None => doc! { absence(&column.name): 1 },
    }
}

fn cell(value: Option<&Bson>) -> Cell {
    match value {
        Some(Bson::Int64(number)) => Cell::Integer(*number),
        Some(Bson::Int32(number)) => Cell::Integer(i64::from(*number)),
        Some(Bson::Double(number)) => Cell::Real(number.to_bits()),
        Some(Bson::String(text)) => Cell::Text(text.clone()),
        _ => Cell::Null,
    }
}

fn bson(cell: &Cell) -> Option<Bson> {
    match cell {
        Cell::Null => None,
        Cell::Integer(number) => Some(Bson::Int64(*number)),
        Cell::Real(bits) => Some(Bson::Double(f64::from_bits(*bits))),
        Cell::Text(text) => Some(Bson::String(text.clone())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_points_of_overlapping_blocks_are_each_there_once(
            blocks in proptest::collection::vec(proptest::collection::vec(0..60_i64, 1..8), 0..20),
            most in 1..10_usize,
        ) {
            let point = |step: i64| { let metric = Metric::at_step("m", 1.0, step); (place(&Metric { timestamp: 1, ..metric.clone() }), Metric { timestamp: 1, ..metric }) };
            let mut expected: Vec<i64> = blocks.concat();
            expected.sort_unstable();
            expected.dedup();
            expected.truncate(most);
            let mut blocks = blocks;
            blocks.sort_by_key(|block| block.iter().min().copied());
            let mut first = FirstPoints::new(most);
            for block in blocks {
                let low = block.iter().min().copied().unwrap();
                if first.are_before(&point(low).0) {
                    break;
                }
                first.add(block.into_iter().map(point));
            }
            let found: Vec<i64> = first.into_sorted().iter().map(|(_, metric)| metric.step).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
