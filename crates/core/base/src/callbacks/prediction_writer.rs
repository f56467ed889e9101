//! Writes predictions to files.

use std::path::PathBuf;

use fulmen_registry::component;
use fulmen_utils::atomic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::callback::{Callback, CallbackKind, HookContext};

/// Writes predictions to files, one record a sample: each batch as it is done, or all of them at the end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictionWriterConfig {
    /// The folder, below the run's artifacts unless it begins with a slash.
    #[serde(default = "default_output_dir")]
    pub output_dir: PathBuf,
    /// `batch` writes a file a batch as it is done, `epoch` one file at the end, `batch_and_epoch` both.
    #[serde(default)]
    pub write_interval: WriteInterval,
    /// How records are written.
    #[serde(default)]
    pub format: PredictionFormat,
}

/// When predictions are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteInterval {
    /// After each batch.
    #[default]
    Batch,
    /// At the end.
    Epoch,
    /// Both.
    BatchAndEpoch,
}

/// How predictions are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PredictionFormat {
    /// One JSON object a line.
    #[default]
    Jsonl,
    /// One row a record under a head of field names (RFC 4180); lists and objects as JSON.
    Csv,
}

fn default_output_dir() -> PathBuf {
    "predictions".into()
}

component! { CallbackKind, "prediction_writer", PredictionWriterConfig => |config, ()| {
    Ok(Box::new(PredictionWriter { config: config.clone(), records: Vec::new() }))
} }

/// Writes predictions to files.
#[derive(Debug)]
pub struct PredictionWriter {
    config: PredictionWriterConfig,
    /// What is to be written at the end.
    records: Vec<Value>,
}

impl PredictionWriter {
    fn write(&self, context: &HookContext<'_>, name: &str, records: &[Value]) -> Result<()> {
        let folder = context.folder.join(&self.config.output_dir);
        atomic::create_folder(&folder)?;
        let (extension, text) = match self.config.format {
            PredictionFormat::Jsonl => {
                ("jsonl", records.iter().map(|record| format!("{record}\n")).collect())
            }
            PredictionFormat::Csv => ("csv", csv(records)),
        };
        Ok(atomic::write(&folder.join(format!("{name}.{extension}")), String::as_bytes(&text))?)
    }
}

/// Rows under the names of all fields, in the order in which they first come.
fn csv(records: &[Value]) -> String {
    let mut fields: Vec<&str> = Vec::new();
    for field in records.iter().filter_map(Value::as_object).flat_map(|record| record.keys()) {
        if !fields.contains(&field.as_str()) {
            fields.push(field);
        }
    }
    let quoted = |text: &str| {
        let special = text.contains([',', '"', '\n', '\r']);
        if special { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let cell = |record: &Value, field: &str| match &record[field] {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    };
    let row = |cells: Vec<String>| cells.join(",") + "\r\n";
    let head = row(fields.iter().map(|field| quoted(field)).collect());
    let rows = records.iter().map(|record| row(fields.iter().map(|field| cell(record, field)).collect()));
    std::iter::once(head).chain(rows).collect()
}

impl Callback for PredictionWriter {
    fn on_predict_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.write_interval != WriteInterval::Batch {
            self.records.extend_from_slice(context.predictions);
        }
        if self.config.write_interval != WriteInterval::Epoch {
            let name = format!("batch_{:06}", context.batch_index);
            self.write(context, &name, context.predictions)?;
        }
        Ok(())
    }

    fn on_predict_epoch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        if self.config.write_interval != WriteInterval::Batch {
            let records = std::mem::take(&mut self.records);
            self.write(context, "predictions", &records)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::tests::CallbackHook;
    use serde_json::json;

    /// The files that two batches of predictions become.
    fn written(settings: Value) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::from_value(settings).unwrap();
        let mut callback = PredictionWriter { config, records: Vec::new() };
        let mut hook = CallbackHook::new([]);
        hook.folder = folder.path().to_path_buf();
        for (index, text) in [(0, "a"), (1, "b, \"c\"")] {
            hook.batch_index = Some(index);
            hook.predictions = vec![json!({"label": text, "scores": [0.5, index]})];
            callback.on_predict_batch_end(&mut hook.context()).unwrap();
        }
        callback.on_predict_epoch_end(&mut hook.context()).unwrap();
        let mut files: Vec<_> = std::fs::read_dir(folder.path().join("predictions"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn each_batch_is_a_file_of_one_record_a_line() {
        let files = written(json!({}));
        assert_eq!(files[0], ("batch_000000.jsonl".into(), "{\"label\":\"a\",\"scores\":[0.5,0]}\n".into()));
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn an_epoch_is_one_table_whose_cells_are_quoted_where_they_must_be() {
        let files = written(json!({"write_interval": "epoch", "format": "csv"}));
        let expected = "label,scores\r\na,\"[0.5,0]\"\r\n\"b, \"\"c\"\"\",\"[0.5,1]\"\r\n";
        assert_eq!(files, [("predictions.csv".to_owned(), expected.to_owned())]);
        assert_eq!(written(json!({"write_interval": "batch_and_epoch"})).len(), 3);
    }
}
