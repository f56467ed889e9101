//! The model registry, and the sources that it takes.

use serde_json::{Value, json};

use crate::harness::Running;
use crate::http::text;

#[test]
fn versions_aliases_tags_and_stages() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    client.post("registered-models/create", &json!({"name": "net", "description": "d"})).ok();
    client.post("registered-models/create", &json!({"name": "net"})).refused(400, "RESOURCE_ALREADY_EXISTS");
    for expected in ["1", "2"] {
        let version = json!({"name": "net", "source": format!("runs:/{run}/model"), "run_id": run});
        let created = client.post("model-versions/create", &version).ok();
        assert_eq!(text(&created, "/model_version/version"), expected);
    }
    client.post("registered-models/alias", &json!({"name": "net", "alias": "best", "version": "2"})).ok();
    let found = client.get("registered-models/alias?name=net&alias=best").ok();
    assert_eq!(
        (text(&found, "/model_version/version"), text(&found, "/model_version/aliases/0")),
        ("2", "best")
    );
    client
        .post("model-versions/set-tag", &json!({"name": "net", "version": 2, "key": "k", "value": "v"}))
        .ok();
    let moved =
        json!({"name": "net", "version": "1", "stage": "production", "archive_existing_versions": true});
    assert_eq!(
        text(&client.post("model-versions/transition-stage", &moved).ok(), "/model_version/current_stage"),
        "Production"
    );
    let latest = client.get("registered-models/get-latest-versions?name=net&stages=Production").ok();
    assert_eq!(text(&latest, "/model_versions/0/version"), "1");
    let found = client
        .get("model-versions/search?filter=name%3D%27net%27&order_by=version_number+DESC&max_results=1")
        .ok();
    assert_eq!(text(&found, "/model_versions/0/version"), "2");
    assert!(found["next_page_token"].is_string());
    client.post("registered-models/rename", &json!({"name": "net", "new_name": "new"})).ok();
    client.json("DELETE", "model-versions/delete", &json!({"name": "new", "version": "2"})).ok();
    client.get("registered-models/alias?name=new&alias=best").is_clients_fault();
    client.json("DELETE", "registered-models/delete", &json!({"name": "new"})).ok();
    client.get("registered-models/get?name=new").refused(404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn sources_that_lead_to_other_files_are_refused() {
    let server = Running::start();
    let mut client = server.client();
    let (run, other) = (server.run(), server.run());
    client.post("registered-models/create", &json!({"name": "net"})).ok();
    let below = format!("mlflow-artifacts:/0/{run}/artifacts");
    let sources = [
        "/etc".to_owned(),
        "file:///etc".into(),
        "file:/etc".into(),
        "FILE:///etc".into(),
        "//proc/self/root".into(),
        "relative/path".into(),
        "../..".into(),
        "mlflow-artifacts:/../../etc".into(),
        "mlflow-artifacts:/..%2f..%2fetc".into(),
        "mlflow-artifacts:/%252e%252e/etc".into(),
        "http:///#/../..".into(),
        "s3://bucket/../x".into(),
        "s3://bucket/a;/../b".into(),
        "x%00y".into(),
        format!("mlflow-artifacts:/0/{other}/artifacts"),
        format!("mlflow-artifacts:/0/{run}"),
        format!("{below}/../../{other}"),
        format!("http://localhost/api/2.0/mlflow-artifacts/artifacts/0/{other}/artifacts"),
        format!("runs:/{other}/model"),
        "models:/m-none".into(),
        "models:/net/1".into(),
        "models:/net".into(),
        "runs://".into(),
        " ".into(),
    ];
    for source in sources {
        for tags in [json!([]), json!([{"key": "mlflow.prompt.is_prompt", "value": "true"}])] {
            let version = json!({"name": "net", "source": source, "run_id": run, "tags": tags});
            client.post("model-versions/create", &version).is_clients_fault();
        }
    }
    client.post("model-versions/create", &json!({"name": "net", "source": "runs://"})).is_clients_fault();
    let latest = json!({"name": "net", "source": "models:/net/latest"});
    client.post("model-versions/create", &latest).is_clients_fault();
    for source in [format!("{below}/model"), format!("runs:/{run}/model"), "s3://bucket/model".into()] {
        client.post("model-versions/create", &json!({"name": "net", "source": source, "run_id": run})).ok();
    }
    // By what it is called in its registry.
    let copied = client.post("model-versions/create", &latest).ok();
    assert_eq!(text(&copied, "/model_version/source"), "models:/net/3");
}

#[test]
fn files_of_a_version_are_those_of_its_source() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    client.post("registered-models/create", &json!({"name": "net"})).ok();
    let put = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/MLmodel");
    client.request("PUT", &put, &[], b"flavors: {}").ok();
    let sources: [Value; 2] =
        [json!(format!("runs:/{run}/model")), json!(format!("mlflow-artifacts:/0/{run}/artifacts/model"))];
    for (source, version) in sources.iter().zip(1..) {
        client.post("model-versions/create", &json!({"name": "net", "source": source, "run_id": run})).ok();
        let file =
            client.get(&format!("/model-versions/get-artifact?name=net&version={version}&path=MLmodel"));
        assert_eq!((file.status, file.text().as_str()), (200, "flavors: {}"));
        client
            .get(&format!("/model-versions/get-artifact?name=net&version={version}&path=..%2fx"))
            .is_clients_fault();
    }
    client.post("model-versions/create", &json!({"name": "net", "source": "s3://b/x", "run_id": run})).ok();
    client.get("/model-versions/get-artifact?name=net&version=3&path=MLmodel").is_clients_fault();
    // A copy of a version reads from the same place.
    client.post("registered-models/create", &json!({"name": "copy"})).ok();
    client.post("model-versions/create", &json!({"name": "copy", "source": "models:/net/2"})).ok();
    let uri = client.get("model-versions/get-download-uri?name=copy&version=1").ok();
    assert_eq!(text(&uri, "/artifact_uri"), format!("mlflow-artifacts:/0/{run}/artifacts/model"));
}
