//! What nobody should send: a refusal in MLflow's form, and a server that goes on.

use serde_json::{Value, json};

use crate::harness::Running;

#[test]
fn wrong_bodies_are_refused() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    let json_type = [("Content-Type", "application/json")];
    let deep = "[".repeat(100_000);
    let bodies: [&[u8]; 9] = [
        b"{",
        b"[]",
        b"null x",
        b"1",
        b"\xff\xfe",
        b"{\"name\": \"\\ud800\"}",
        deep.as_bytes(),
        b"\"{\"",
        b"{\"name\": 1e999}",
    ];
    for body in bodies {
        client.request("POST", "/api/2.0/mlflow/experiments/create", &json_type, body).is_clients_fault();
    }
    client
        .request(
            "POST",
            "/api/2.0/mlflow/experiments/create",
            &[("Content-Type", "text/plain")],
            b"{\"name\": \"x\"}",
        )
        .refused(400, "INVALID_PARAMETER_VALUE");
    let faults = [
        ("experiments/create", json!({})),
        ("experiments/create", json!({"name": 123})),
        ("experiments/create", json!({"name": ""})),
        ("experiments/create", json!({"name": ["x"]})),
        ("experiments/create", json!({"name": "x", "tags": {"key": "a"}})),
        ("experiments/create", json!({"name": "x", "tags": [1]})),
        ("experiments/create", json!({"name": "x", "artifact_location": "http:///#/../.."})),
        ("experiments/create", json!({"name": "x", "artifact_location": "mlflow-artifacts:/../.."})),
        ("runs/create", json!({"experiment_id": "0", "start_time": 1e30})),
        ("runs/create", json!({"experiment_id": "0", "start_time": "1.5"})),
        ("runs/create", json!({"experiment_id": "0", "start_time": true})),
        ("runs/update", json!({"run_id": run, "status": "SLEEPING"})),
        ("runs/update", json!({"run_id": run, "status": 99})),
        ("runs/log-metric", json!({"run_id": run, "key": "m", "timestamp": 1})),
        ("runs/log-metric", json!({"run_id": run, "key": "m", "value": "x", "timestamp": 1})),
        ("runs/log-metric", json!({"run_id": run, "key": "m", "value": 1})),
        ("runs/log-metric", json!({"run_id": run, "key": "m\u{0}", "value": 1, "timestamp": 1})),
        ("runs/log-batch", json!({"run_id": run, "metrics": "x"})),
        ("runs/log-batch", json!({"run_id": run, "metrics": [[]]})),
        ("runs/search", json!({"experiment_ids": "0"})),
        ("runs/search", json!({"experiment_ids": ["0"], "max_results": -1})),
        ("runs/search", json!({"experiment_ids": ["0"], "max_results": 50_001})),
        ("runs/search", json!({"experiment_ids": ["0"], "page_token": "💥"})),
        ("runs/search", json!({"experiment_ids": ["0"], "page_token": {"$gt": ""}})),
        ("runs/search", json!({"experiment_ids": ["0"], "filter": {"$ne": null}})),
        ("logged-models/search", json!({"experiment_ids": ["0"], "order_by": [{"ascending": true}]})),
        ("model-versions/create", json!({"name": "x"})),
    ];
    for (path, body) in faults {
        let answer = client.post(path, &body);
        assert!(answer.status == 400, "{path} {body}: {} {}", answer.status, answer.text());
        answer.is_clients_fault();
    }
}

#[test]
fn unknown_things_are_not_found() {
    let server = Running::start();
    let mut client = server.client();
    let id = "0".repeat(32);
    for path in [
        "experiments/get?experiment_id=99",
        "experiments/get-by-name?experiment_name=none",
        &format!("runs/get?run_id={id}"),
        "runs/get?run_id=%27%3B--",
        "registered-models/get?name=none",
        "model-versions/get?name=none&version=1",
        "logged-models/m-none",
        &format!("artifacts/list?run_id={id}"),
    ] {
        client.get(path).refused(404, "RESOURCE_DOES_NOT_EXIST");
    }
    client.get("experiments/get?experiment_id=0%20OR%201%3D1").refused(400, "INVALID_PARAMETER_VALUE");
    client.get("no/such/endpoint").refused(404, "ENDPOINT_NOT_FOUND");
    client.get("/api/9.9/mlflow/runs/get").refused(404, "ENDPOINT_NOT_FOUND");
    client.get("/etc/passwd").refused(404, "ENDPOINT_NOT_FOUND");
    client.get("runs/create").refused(405, "ENDPOINT_NOT_FOUND");
}

#[test]
fn filters_cannot_be_more_than_filters() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    for filter in [
        "tags.a = 'x' OR 1=1",
        "tags.a = 'x'; DROP TABLE runs",
        "tags.a = 'x' UNION SELECT * FROM runs",
        "tags.\"a' OR '1'='1\" = 'x' --",
        "name = 'x' AND $where = 'sleep(1000)'",
        "attributes.run_id IN (SELECT run_id FROM runs)",
        &"metrics.a > 1 AND ".repeat(20_000),
        &"(".repeat(20_000),
    ] {
        let answer = client.post("runs/search", &json!({"experiment_ids": ["0"], "filter": filter}));
        assert!(answer.status == 200 || answer.status == 400, "{filter:.60}: {}", answer.status);
    }
    let quoted = json!({"run_id": run, "key": "k", "value": "'; DROP TABLE runs; --"});
    client.post("runs/set-tag", &quoted).ok();
    client.get(&format!("runs/get?run_id={run}")).ok();
}

#[test]
fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let server = Running::start();
    let mut client = server.client();
    let head = format!(
        "POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
        server.address
    );
    client.send(head.as_bytes()).unwrap();
    client.read_answer(false).unwrap().refused(413, "INVALID_PARAMETER_VALUE");

    // The same without a word about the length.
    let mut client = server.client();
    let head = format!(
        "POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address
    );
    client.send(head.as_bytes()).unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    while client.send(&chunk).is_ok() {}
    assert_eq!(server.client().get("/health").text(), "OK");
}

#[test]
fn a_client_that_sends_too_much_still_reads_why() {
    let server = Running::start();
    let body = vec![b' '; (48 << 20) + 1];
    let json_type = [("Content-Type", "application/json")];
    let refused = server.client().request("POST", "/api/2.0/mlflow/experiments/create", &json_type, &body);
    refused.refused(413, "INVALID_PARAMETER_VALUE");
}

#[test]
fn long_values_come_back_cut_and_long_paths_are_the_clients_fault() {
    let server = Running::start();
    let mut client = server.client();
    let run = server.run();
    let long = "|".repeat(200_000);
    for (path, body) in [
        ("runs/set-tag", json!({"run_id": run, "key": long})),
        ("runs/search", json!({"experiment_ids": ["0"], "filter": long})),
        ("experiments/create", json!({"name": long})),
    ] {
        let refused = client.post(path, &body).refused(400, "INVALID_PARAMETER_VALUE");
        assert!(refused["message"].as_str().unwrap().len() < 5000, "{path}");
    }
    let deep = format!("{}b", "a/".repeat(3000));
    for path in [
        format!("/api/2.0/mlflow-artifacts/artifacts/{deep}"),
        format!("/api/2.0/mlflow-artifacts/artifacts?path={deep}"),
        format!("artifacts/list?run_id={run}&path={deep}"),
        format!("/get-artifact?run_id={run}&path={deep}"),
    ] {
        client.get(&path).refused(400, "INVALID_PARAMETER_VALUE");
    }
}

#[test]
fn broken_http_ends_the_connection_and_nothing_else() {
    let server = Running::start();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".as_slice(),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST /api/2.0/mlflow/runs/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[b'A'; 300_000],
    ] {
        let mut client = server.client();
        let _ = client.send(bytes);
        if let Ok(answer) = client.read_answer(false) {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
    }
    assert_eq!(server.client().get("/health").text(), "OK");
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file() {
    let server = Running::start();
    let run = server.run();
    let mut client = server.client();
    let name = format!("0/{run}/artifacts/half.bin");
    let head = format!(
        "PUT /api/2.0/mlflow-artifacts/artifacts/{name} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\nhalf",
        server.address
    );
    client.send(head.as_bytes()).unwrap();
    drop(client);
    let folder = server.artifacts().join(format!("0/{run}/artifacts"));
    // The server notices in its own time; at last neither the file nor its beginnings are there.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let left = std::fs::read_dir(&folder).map(|entries| entries.count()).unwrap_or(0);
        let listed: Value = server.client().get(&format!("artifacts/list?run_id={run}")).ok();
        assert!(listed.get("files").is_none(), "{listed}");
        if left == 0 && folder.is_dir() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{left} files are left in {}", folder.display());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
