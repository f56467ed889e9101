//! What MLflow's clients, and code written for its server, rely on beyond the messages: words of refusals, orders, samples.

use serde_json::{Value, json};

use crate::harness::Running;
use crate::http::text;

/// The message of a refusal.
#[track_caller]
fn message(answer: &Value) -> &str {
    text(answer, "/message")
}

#[test]
fn refusals_use_mlflows_words() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    client.post("runs/log-parameter", &json!({"run_id": run, "key": "p", "value": "1"})).ok();
    client.post("registered-models/create", &json!({"name": "net"})).ok();
    let many: Vec<Value> =
        (0..101).map(|number| json!({"key": format!("p{number}"), "value": "1"})).collect();
    for (path, body, words) in [
        ("experiments/create", json!({"name": 123}), "Invalid value 123 for parameter 'name' supplied"),
        ("experiments/create", json!({}), "Missing value for required parameter 'name'"),
        ("experiments/create", json!({"name": "Default"}), "Experiment(name=Default) already exists"),
        ("experiments/delete", json!({"experiment_id": "x"}), "Invalid experiment ID 'x'"),
        (
            "runs/log-metric",
            json!({"run_id": run, "key": "m", "value": 1, "timestamp": "now"}),
            "Invalid value \"now\" for parameter 'timestamp' supplied",
        ),
        (
            "runs/log-metric",
            json!({"run_id": run, "key": "../m", "value": 1, "timestamp": 1}),
            "Invalid value \"../m\" for parameter 'name' supplied",
        ),
        (
            "runs/log-batch",
            json!({"run_id": run, "metrics": [{"key": "m", "value": 1}]}),
            "Missing value for required parameter 'metrics[0].timestamp'",
        ),
        (
            "runs/log-batch",
            json!({"run_id": run, "metrics": "x"}),
            "Invalid value \"x\" for parameter 'metrics' supplied",
        ),
        (
            "runs/log-batch",
            json!({"run_id": run, "params": many}),
            "can contain at most 100 params. Got 101 params",
        ),
        (
            "runs/log-batch",
            json!({"run_id": run, "params": [{"key": "a", "value": "1"}, {"key": "a", "value": "1"}]}),
            "Duplicate parameter keys have been submitted",
        ),
        (
            "runs/log-parameter",
            json!({"run_id": run, "key": "p", "value": "2"}),
            "Changing param values is not allowed. Param with key='p' was already logged with value='1'",
        ),
        (
            "runs/search",
            json!({"experiment_ids": ["0"], "max_results": 123_456_789}),
            "Invalid value 123456789 for parameter 'max_results' supplied",
        ),
        ("runs/search", json!({"experiment_ids": ["0"], "page_token": "x"}), "Invalid page token"),
        ("registered-models/create", json!({"name": "net"}), "Registered Model (name=net) already exists"),
        (
            "model-versions/create",
            json!({"name": "net", "source": "/etc"}),
            "To use a local path as a model version source",
        ),
        (
            "model-versions/create",
            json!({"name": "net", "source": "s3://b/../x"}),
            "If supplying a source as an http, https,",
        ),
    ] {
        let refused = client.post(path, &body).refused(400, refusal_code(words));
        assert!(message(&refused).contains(words), "{path} {body}: {refused}");
    }
    for (path, words) in [
        ("runs/get?run_id=none", "Run with id=none not found"),
        ("experiments/get?experiment_id=77", "No Experiment with id=77 exists"),
        ("registered-models/get?name=none", "Registered Model with name=none not found"),
        ("model-versions/get?name=net&version=7", "Model Version (name=net, version=7) not found"),
        ("logged-models/m-none", "Logged model with ID 'm-none' not found"),
    ] {
        let refused = client.get(path).refused(404, "RESOURCE_DOES_NOT_EXIST");
        assert!(message(&refused).contains(words), "{path}: {refused}");
    }
    let refused =
        client.get("model-versions/get?name=net&version=first").refused(400, "INVALID_PARAMETER_VALUE");
    assert!(message(&refused).contains("Parameter 'version' must be an integer, got 'first'"), "{refused}");
    let tag = json!({"run_id": run, "key": "none"});
    let refused = client.post("runs/delete-tag", &tag).refused(404, "RESOURCE_DOES_NOT_EXIST");
    assert_eq!(message(&refused), format!("No tag with name: none in run with id {run}"));
    client.post("runs/delete", &json!({"run_id": run})).ok();
    let refused = client.post("runs/delete-tag", &tag).refused(400, "INVALID_PARAMETER_VALUE");
    assert!(message(&refused).contains(&format!("The run {run} must be in the 'active' state")), "{refused}");
}

fn refusal_code(words: &str) -> &'static str {
    if words.contains("already exists") { "RESOURCE_ALREADY_EXISTS" } else { "INVALID_PARAMETER_VALUE" }
}

#[test]
fn paths_and_uploads_of_the_page_are_refused_in_its_words() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    for path in [
        format!("artifacts/list?run_id={run}&path=../x"),
        format!("/get-artifact?run_id={run}&path=../x"),
        // Of a model that there is none of: the path comes first.
        "/model-versions/get-artifact?name=none&version=1&path=../x".into(),
        // MLflow leads such a request to the address with one slash.
        "//model-versions/get-artifact?name=none&version=1&path=../x".into(),
    ] {
        let refused = client.get(&path).refused(400, "INVALID_PARAMETER_VALUE");
        assert_eq!(message(&refused), "Invalid path", "{path}");
    }
    for (query, words) in [
        (String::new(), "Request must specify run_uuid."),
        (format!("run_uuid={run}"), "Request must specify path."),
        (format!("run_uuid={run}&path="), "Request must specify path."),
        (format!("run_uuid={run}&path=../x"), "Invalid path"),
        (format!("run_uuid={run}&path=x"), "Request must specify data."),
    ] {
        let upload = format!("/ajax-api/2.0/mlflow/upload-artifact?{query}");
        let refused = client.request("POST", &upload, &[], b"").refused(400, "INVALID_PARAMETER_VALUE");
        assert_eq!(message(&refused), words, "{query}");
    }
}

#[test]
fn samples_are_those_that_mlflow_takes() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    let metrics: Vec<Value> =
        (0..10).map(|step| json!({"key": "m", "value": 1, "timestamp": 1, "step": step})).collect();
    client.post("runs/log-batch", &json!({"run_id": run, "metrics": metrics})).ok();
    let mut steps = |most: usize| -> Vec<i64> {
        let query =
            format!("metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results={most}");
        let found = client.get(&query).ok();
        found["metrics"].as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()).collect()
    };
    assert_eq!(steps(5), [0, 2, 4, 6, 9]);
    assert_eq!(steps(4), [0, 3, 6, 9]);
    assert_eq!(steps(1), [9]);
    assert_eq!(steps(10).len(), 10);
    for (query, words) in [
        ("run_ids=r&metric_key=m&start_step=1&end_step=0", "end_step must be greater than start_step. "),
        ("run_ids=r&metric_key=m&start_step=1", "both must be specified."),
        ("run_ids=r&metric_key=m&max_results=0", "max_results must be between 1 and 2500"),
        ("metric_key=m", "Missing value for required parameter 'run_ids'."),
        ("run_ids=r", "Missing value for required parameter 'metric_key'"),
    ] {
        let path = format!("metrics/get-history-bulk-interval?{query}");
        let refused = client.get(&path).refused(400, "INVALID_PARAMETER_VALUE");
        assert!(message(&refused).contains(words), "{query}: {refused}");
    }
    for (query, words) in [
        ("metric_key=m", "must specify at least one run_id"),
        ("run_id=r", "must specify a metric_key"),
        (&format!("metric_key=m{}", "&run_id=r".repeat(101)), "cannot specify more than 100"),
    ] {
        let path = format!("/ajax-api/2.0/mlflow/metrics/get-history-bulk?{query}");
        let refused = client.get(&path).refused(400, "INVALID_PARAMETER_VALUE");
        assert!(message(&refused).contains(words), "{query}: {refused}");
    }
}

#[test]
fn versions_come_with_the_last_changed_first_and_their_model_lists_them() {
    let server = Running::start();
    let mut client = server.client();
    let model = client.post("logged-models", &json!({"experiment_id": "0", "name": "net"})).ok();
    let (id, uri) = (text(&model, "/model/info/model_id"), text(&model, "/model/info/artifact_uri"));
    for name in ["b", "a\"b"] {
        client.post("registered-models/create", &json!({"name": name})).ok();
        client.post("model-versions/create", &json!({"name": name, "source": uri, "model_id": id})).ok();
        // Times are of milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    let tags = client.get(&format!("logged-models/{id}")).ok();
    assert_eq!(
        tags.pointer("/model/info/tags/0"),
        Some(
            &json!({"key": "mlflow.modelVersions", "value": r#"[{"name": "b", "version": 1}, {"name": "a\"b", "version": 1}]"#})
        )
    );
    let mut names = |path: &str| -> Vec<String> {
        let found = client.get(path).ok();
        found["model_versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| text(version, "/name").to_owned())
            .collect()
    };
    assert_eq!(names("model-versions/search"), ["a\"b", "b"]);
    assert_eq!(names("model-versions/search?order_by=name+DESC"), ["b", "a\"b"]);
    client
        .json("PATCH", "model-versions/update", &json!({"name": "b", "version": "1", "description": "d"}))
        .ok();
    let found = client.get("model-versions/search").ok();
    assert_eq!(text(&found, "/model_versions/0/name"), "b");
}

#[test]
fn logged_models_are_ordered_by_a_metric_on_one_dataset_and_their_files_are_read() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    for (name, train, test) in [("a", 0.9, 0.1), ("b", 0.5, 0.3)] {
        let model = client.post("logged-models", &json!({"experiment_id": "0", "name": name})).ok();
        let id = text(&model, "/model/info/model_id").to_owned();
        for (dataset, value) in [("train", train), ("test", test)] {
            let metric = json!({"run_id": run, "key": "acc", "value": value, "timestamp": 1, "model_id": id, "dataset_name": dataset, "dataset_digest": "d"});
            client.post("runs/log-metric", &metric).ok();
        }
    }
    let mut first = |order: Value| -> String {
        let search = json!({"experiment_ids": ["0"], "order_by": [order]});
        text(&client.post("logged-models/search", &search).ok(), "/models/0/info/name").to_owned()
    };
    assert_eq!(first(json!({"field_name": "metrics.acc", "dataset_name": "train"})), "b");
    assert_eq!(first(json!({"field_name": "metrics.acc", "dataset_name": "test"})), "a");
    assert_eq!(
        first(
            json!({"field_name": "metrics.acc", "dataset_name": "test", "dataset_digest": "d", "ascending": false})
        ),
        "b"
    );

    let model = client.post("logged-models", &json!({"experiment_id": "0"})).ok();
    let id = text(&model, "/model/info/model_id");
    let put = format!("/api/2.0/mlflow-artifacts/artifacts/0/models/{id}/artifacts/MLmodel");
    client.request("PUT", &put, &[], b"flavors: {}").ok();
    let files = format!("/ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files?artifact_file_path=");
    assert_eq!(client.get(&format!("{files}MLmodel")).text(), "flavors: {}");
    client.get(&format!("{files}none")).refused(404, "RESOURCE_DOES_NOT_EXIST");
    client.get(&format!("{files}..%2f..%2fx")).refused(400, "INVALID_PARAMETER_VALUE");
}
