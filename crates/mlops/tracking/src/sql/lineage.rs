//! What runs were given and what they made: datasets, and the ids of logged models.

use std::collections::HashMap;

use super::{
    Fault,
    search::experiment_keys,
    session::{Row, Session},
};
use crate::{
    Dataset, DatasetInput, DatasetSummary, ModelOutput, Run, RunInputs, Tag,
    lineage::{CONTEXT_TAG, MOST_SUMMARIES},
};

pub(super) fn log_inputs(session: &Session<'_>, run_id: &str, inputs: &RunInputs) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    for input in &inputs.datasets {
        let dataset = dataset_key(session, run, &input.dataset)?;
        let sql = "INSERT INTO run_datasets (run, dataset) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        if session.execute(sql, &[&run, &dataset])? == 0 {
            continue;
        }
        let sql = "INSERT INTO run_dataset_tags (run, dataset, key, value) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (run, dataset, key) DO UPDATE SET value = excluded.value";
        for Tag { key, value } in &input.tags {
            session.execute(sql, &[&run, &dataset, key, value])?;
        }
    }
    let sql = "INSERT INTO run_input_models (run, model_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    for model_id in &inputs.models {
        session.execute(sql, &[&run, model_id])?;
    }
    Ok(())
}

/// Row key of a dataset, which an experiment has once.
fn dataset_key(session: &Session<'_>, run: i64, dataset: &Dataset) -> Result<i64, Fault> {
    let Dataset { name, digest, source_type, source, schema, profile } = dataset;
    let insert = "INSERT INTO datasets (experiment_id, name, digest, source_type, source, schema, profile) \
                  SELECT experiment_id, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE run = ?1 ON CONFLICT DO NOTHING";
    session.execute(insert, &[&run, name, digest, source_type, source, schema, profile])?;
    let select = "SELECT d.dataset FROM datasets d JOIN runs r USING (experiment_id) \
                  WHERE r.run = ?1 AND d.name = ?2 AND d.digest = ?3";
    let found = session.first(select, &[&run, name, digest], |row| row.get(0))?;
    found.ok_or_else(|| session.not_found("dataset", name))
}

pub(super) fn log_outputs(session: &Session<'_>, run_id: &str, models: &[ModelOutput]) -> Result<(), Fault> {
    let run = session.active_run(run_id)?;
    let sql =
        "INSERT INTO run_output_models (run, step, model_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    for ModelOutput { model_id, step } in models {
        session.execute(sql, &[&run, step, model_id])?;
    }
    Ok(())
}

pub(super) fn search_datasets(
    session: &Session<'_>,
    experiment_ids: &[String],
) -> Result<Vec<DatasetSummary>, Fault> {
    let in_keys = session.in_keys();
    let sql = format!(
        "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value FROM datasets d \
         JOIN run_datasets i USING (dataset) \
         LEFT JOIN run_dataset_tags t ON t.run = i.run AND t.dataset = i.dataset AND t.key = ?2 \
         WHERE d.experiment_id {in_keys} ORDER BY d.experiment_id, d.name, d.digest, t.value LIMIT ?3"
    );
    let keys = session.key_list(&experiment_keys(experiment_ids));
    session.all(&sql, &[&keys, &CONTEXT_TAG, &(MOST_SUMMARIES as i64)], |row| {
        Ok(DatasetSummary {
            experiment_id: row.get::<i64>(0)?.to_string(),
            name: row.get(1)?,
            digest: row.get(2)?,
            context: row.get(3)?,
        })
    })
}

/// Fills in the inputs and outputs of runs.
pub(super) fn attach(session: &Session<'_>, runs: &mut HashMap<i64, Run>) -> Result<(), Fault> {
    let keys: Vec<i64> = runs.keys().copied().collect();
    let (list, in_keys) = (session.key_list(&keys), session.in_keys());
    let sql = format!(
        "SELECT i.run, i.dataset, d.name, d.digest, d.source_type, d.source, d.schema, d.profile \
         FROM run_datasets i JOIN datasets d USING (dataset) WHERE i.run {in_keys} ORDER BY i.run, i.dataset"
    );
    let datasets = session.all(&sql, &[&list], |row| {
        let dataset = Dataset {
            name: row.get(2)?,
            digest: row.get(3)?,
            source_type: row.get(4)?,
            source: row.get(5)?,
            schema: row.get(6)?,
            profile: row.get(7)?,
        };
        Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, dataset))
    })?;
    if !datasets.is_empty() {
        let sql = format!(
            "SELECT run, dataset, key, value FROM run_dataset_tags WHERE run {in_keys} ORDER BY run, dataset, key"
        );
        let mut tags: HashMap<(i64, i64), Vec<Tag>> = HashMap::new();
        session.all(&sql, &[&list], |row| {
            let tag = Tag { key: row.get(2)?, value: row.get(3)? };
            tags.entry((row.get(0)?, row.get(1)?)).or_default().push(tag);
            Ok(())
        })?;
        for (run, dataset_key, dataset) in datasets {
            let tags = tags.remove(&(run, dataset_key)).unwrap_or_default();
            if let Some(run) = runs.get_mut(&run) {
                run.inputs.datasets.push(DatasetInput { tags, dataset });
            }
        }
    }
    let sql =
        format!("SELECT run, model_id FROM run_input_models WHERE run {in_keys} ORDER BY run, model_id");
    for (run, model_id) in session.all(&sql, &[&list], |row| Ok((row.get::<i64>(0)?, row.get(1)?)))? {
        if let Some(run) = runs.get_mut(&run) {
            run.inputs.models.push(model_id);
        }
    }
    let sql = format!(
        "SELECT run, step, model_id FROM run_output_models WHERE run {in_keys} ORDER BY run, step, model_id"
    );
    let read =
        |row: &Row<'_>| Ok((row.get::<i64>(0)?, ModelOutput { step: row.get(1)?, model_id: row.get(2)? }));
    for (run, output) in session.all(&sql, &[&list], read)? {
        if let Some(run) = runs.get_mut(&run) {
            run.outputs.push(output);
        }
    }
    Ok(())
}
