//! Experiments, runs, metrics, datasets, logged models.

use serde_json::{Value, json};

use crate::harness::Running;
use crate::http::text;

#[test]
fn a_run_is_created_logged_found_deleted_and_restored() {
    let server = Running::start();
    let mut client = server.client();
    let created =
        client.post("experiments/create", &json!({"name": "e", "tags": [{"key": "a", "value": "1"}]})).ok();
    let experiment = text(&created, "/experiment_id").to_owned();
    let run = client
        .post("runs/create", &json!({"experiment_id": experiment, "run_name": "first", "start_time": "7"}))
        .ok();
    assert_eq!(
        text(&run, "/run/info/artifact_uri"),
        format!("mlflow-artifacts:/{experiment}/{}/artifacts", text(&run, "/run/info/run_id"))
    );
    let run_id = text(&run, "/run/info/run_id").to_owned();

    client
        .post("runs/log-metric", &json!({"run_id": run_id, "key": "m", "value": "NaN", "timestamp": 1}))
        .ok();
    let batch = json!({
        "runId": run_id,
        "metrics": [{"key": "m", "value": 0.5, "timestamp": "2", "step": "3"}],
        "params": [{"key": "p", "value": "x".repeat(6001)}],
        "tags": [{"key": "t", "value": "v"}],
    });
    client.post("runs/log-batch", &batch).ok();
    let read = client.get(&format!("runs/get?run_id={run_id}")).ok();
    assert_eq!(read.pointer("/run/data/metrics/0/value"), Some(&json!(0.5)));
    assert_eq!(text(&read, "/run/data/params/0/value").len(), 6000, "longer values are cut, as in MLflow");
    assert_eq!(read.pointer("/run/info/start_time"), Some(&json!(7)));
    let history = client.get(&format!("metrics/get-history?run_uuid={run_id}&metric_key=m")).ok();
    assert_eq!(history["metrics"][0]["value"], "NaN");
    assert_eq!(history["metrics"][1]["step"], 3);

    let search =
        json!({"experiment_ids": [experiment], "filter": "metrics.m > 0.1", "run_view_type": "ACTIVE_ONLY"});
    assert_eq!(client.post("runs/search", &search).ok()["runs"].as_array().unwrap().len(), 1);
    client.post("runs/update", &json!({"run_id": run_id, "status": 3, "end_time": 9})).ok();
    client.post("runs/delete", &json!({"run_id": run_id})).ok();
    assert_eq!(client.post("runs/search", &search).ok(), json!({}));
    client
        .post("runs/set-tag", &json!({"run_id": run_id, "key": "t", "value": "w"}))
        .refused(400, "INVALID_PARAMETER_VALUE");
    client.post("runs/restore", &json!({"run_id": run_id})).ok();
    let read = client.get(&format!("/ajax-api/2.0/mlflow/runs/get?run_id={run_id}")).ok();
    assert_eq!(text(&read, "/run/info/status"), "FINISHED");
}

#[test]
fn pages_of_a_search_cover_everything_once() {
    let server = Running::start();
    let mut client = server.client();
    let mut expected: Vec<String> = (0..7).map(|_| server.run()).collect();
    let (mut found, mut token) = (Vec::new(), Value::Null);
    loop {
        let search = json!({"experiment_ids": ["0"], "max_results": 3, "page_token": token});
        let page = client.post("runs/search", &search).ok();
        found.extend(page["runs"].as_array().unwrap().iter().map(|run| text(run, "/info/run_id").to_owned()));
        token = page["next_page_token"].clone();
        if token.is_null() {
            break;
        }
    }
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let forged = json!({"experiment_ids": ["0"], "max_results": 3, "page_token": "6e6f"});
    client.post("runs/search", &forged).refused(400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn histories_of_several_runs_come_whole_or_sampled() {
    let server = Running::start();
    let mut client = server.client();
    let (first, second) = (server.run(), server.run());
    for run in [&first, &second] {
        let metrics: Vec<Value> = (0..1000)
            .map(|step| json!({"key": "m", "value": step, "timestamp": step, "step": step}))
            .collect();
        client.post("runs/log-batch", &json!({"run_id": run, "metrics": metrics})).ok();
    }
    let runs = format!("run_ids={first}&run_ids={second}&metric_key=m");
    let sampled = client.get(&format!("metrics/get-history-bulk-interval?{runs}&max_results=10")).ok();
    let points = sampled["metrics"].as_array().unwrap();
    let steps: Vec<i64> = points.iter().map(|point| point["step"].as_i64().unwrap()).collect();
    assert_eq!((points.len(), steps[0], steps[9], steps[10], steps[19]), (20, 0, 999, 0, 999));
    assert_eq!(text(&points[0], "/run_id"), first);
    let part = client.get(&format!("metrics/get-history-bulk-interval?{runs}&start_step=5&end_step=7")).ok();
    assert_eq!(part["metrics"].as_array().unwrap().len(), 6);
    let bulk = client
        .get(&format!(
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={first}&run_id={second}&metric_key=m"
        ))
        .ok();
    assert_eq!(bulk["metrics"].as_array().unwrap().len(), 2000);
    client.get("metrics/get-history-bulk-interval?metric_key=m").refused(400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn datasets_and_logged_models_belong_to_their_runs() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    let dataset = json!({"name": "d", "digest": "abc", "source_type": "local", "source": "{}"});
    let tags = json!([{"key": "mlflow.data.context", "value": "training"}]);
    client
        .post("runs/log-inputs", &json!({"run_id": run, "datasets": [{"tags": tags, "dataset": dataset}]}))
        .ok();
    let found = client.post("experiments/search-datasets", &json!({"experiment_ids": ["0"]})).ok();
    assert_eq!(
        found["dataset_summaries"][0],
        json!({"experiment_id": "0", "name": "d", "digest": "abc", "context": "training"})
    );

    let model = client
        .post("logged-models", &json!({"experiment_id": "0", "name": "net", "source_run_id": run}))
        .ok();
    let id = text(&model, "/model/info/model_id").to_owned();
    assert_eq!(
        text(&model, "/model/info/artifact_uri"),
        format!("mlflow-artifacts:/0/models/{id}/artifacts")
    );
    assert_eq!(text(&model, "/model/info/status"), "LOGGED_MODEL_PENDING");
    client.post("runs/outputs", &json!({"run_id": run, "models": [{"model_id": id, "step": 4}]})).ok();
    client.json("PATCH", &format!("logged-models/{id}"), &json!({"status": "LOGGED_MODEL_READY"})).ok();
    let tag = json!({"tags": [{"key": "a/b", "value": "1"}]});
    client.json("PATCH", &format!("logged-models/{id}/tags"), &tag).ok();
    let metric = json!({"run_id": run, "key": "acc", "value": 0.9, "timestamp": 1, "model_id": id, "dataset_name": "d", "dataset_digest": "abc"});
    client.post("runs/log-metric", &metric).ok();
    let read = client.get(&format!("logged-models/{id}")).ok();
    assert_eq!(read.pointer("/model/data/metrics/0/dataset_name"), Some(&json!("d")));
    assert_eq!(text(&read, "/model/info/tags/0/key"), "a/b");
    client.json("DELETE", &format!("logged-models/{id}/tags/a%2Fb"), &json!({})).ok();
    let search = json!({"experiment_ids": ["0"], "filter": "metrics.acc > 0.5", "order_by": [{"field_name": "metrics.acc", "ascending": false}]});
    assert_eq!(client.post("logged-models/search", &search).ok()["models"].as_array().unwrap().len(), 1);
    let run = client.get(&format!("runs/get?run_id={run}")).ok();
    assert_eq!(run.pointer("/run/outputs/model_outputs/0"), Some(&json!({"model_id": id, "step": 4})));
    client.json("DELETE", &format!("logged-models/{id}"), &json!({})).ok();
    client.get(&format!("logged-models/{id}")).refused(404, "RESOURCE_DOES_NOT_EXIST");
}
