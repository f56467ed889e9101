//! Many writers at once.

use serde_json::{Value, json};

use crate::harness::Running;

const WRITERS: usize = 8;
const BATCHES: usize = 20;
const POINTS: usize = 500;

#[test]
fn eight_writers_lose_nothing_and_double_nothing() {
    let server = Running::start();
    let runs: Vec<String> = (0..WRITERS).map(|_| server.run()).collect();
    let shared = server.run();
    std::thread::scope(|scope| {
        for (writer, run) in runs.iter().enumerate() {
            let (server, shared) = (&server, &shared);
            scope.spawn(move || {
                let mut client = server.client();
                for batch in 0..BATCHES {
                    let metrics: Vec<Value> = (0..POINTS)
                        .map(|point| json!({"key": "m", "value": writer * 1_000_000 + batch * POINTS + point, "timestamp": 1, "step": batch * POINTS + point}))
                        .collect();
                    client.post("runs/log-batch", &json!({"run_id": run, "metrics": metrics})).ok();
                    let point = json!({"run_id": shared, "key": "s", "value": 1, "timestamp": writer, "step": batch});
                    client.post("runs/log-metric", &point).ok();
                }
            });
        }
    });
    let mut client = server.client();
    for (writer, run) in runs.iter().enumerate() {
        let history = client.get(&format!("metrics/get-history?run_id={run}&metric_key=m")).ok();
        let values: Vec<u64> = history["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point["value"].as_f64().unwrap() as u64)
            .collect();
        let expected: Vec<u64> =
            (0..BATCHES * POINTS).map(|point| (writer * 1_000_000 + point) as u64).collect();
        assert_eq!(values, expected);
    }
    let history = client.get(&format!("metrics/get-history?run_id={shared}&metric_key=s")).ok();
    assert_eq!(history["metrics"].as_array().unwrap().len(), WRITERS * BATCHES);
}

#[test]
fn slow_clients_do_not_keep_others_waiting() {
    let server = Running::start();
    let run = server.run();
    // More downloads that nobody reads, and requests that never end, than the server has threads.
    let target = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/big");
    server.client().request("PUT", &target, &[], &vec![0; 8 << 20]).ok();
    let mut stalled = Vec::new();
    for number in 0..150 {
        let mut client = server.client();
        let request = if number % 2 == 0 {
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        } else {
            "POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
                .to_owned()
        };
        client.send(request.as_bytes()).unwrap();
        stalled.push(client);
    }
    assert_eq!(server.client().get("/health").text(), "OK");
    server.client().get(&format!("runs/get?run_id={run}")).ok();
    server.client().request("PUT", &format!("{target}-2"), &[], b"x").ok();
}
