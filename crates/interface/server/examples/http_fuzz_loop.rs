//! Sends random requests to a server for a stated time: `http_fuzz_loop SECONDS [SEED]`. It ends with a panic, and the
//! request, where the server fails by its own fault or stops answering. The targets in `fuzz/` do the same with coverage,
//! on a nightly compiler.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "shares a client with the tests, which may panic"
)]

#[path = "../tests/it/harness.rs"]
mod harness;
#[path = "../tests/it/http.rs"]
mod http;

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// `RUN` stands for a run that exists.
const TARGETS: [&str; 34] = [
    "/api/2.0/mlflow/experiments/create",
    "/api/2.0/mlflow/experiments/get",
    "/api/2.0/mlflow/experiments/search",
    "/api/2.0/mlflow/experiments/update",
    "/api/2.0/mlflow/experiments/set-experiment-tag",
    "/api/2.0/mlflow/experiments/search-datasets",
    "/api/2.0/mlflow/runs/create",
    "/api/2.0/mlflow/runs/get",
    "/api/2.0/mlflow/runs/update",
    "/api/2.0/mlflow/runs/search",
    "/api/2.0/mlflow/runs/log-batch",
    "/api/2.0/mlflow/runs/log-metric",
    "/api/2.0/mlflow/runs/log-parameter",
    "/api/2.0/mlflow/runs/log-inputs",
    "/api/2.0/mlflow/runs/log-model",
    "/api/2.0/mlflow/runs/outputs",
    "/api/2.0/mlflow/artifacts/list",
    "/api/2.0/mlflow/metrics/get-history",
    "/api/2.0/mlflow/metrics/get-history-bulk-interval",
    "/api/2.0/mlflow/registered-models/create",
    "/api/2.0/mlflow/registered-models/search",
    "/api/2.0/mlflow/registered-models/alias",
    "/api/2.0/mlflow/model-versions/create",
    "/api/2.0/mlflow/model-versions/search",
    "/api/2.0/mlflow/model-versions/transition-stage",
    "/api/2.0/mlflow/logged-models",
    "/api/2.0/mlflow/logged-models/search",
    "/api/2.0/mlflow/logged-models/m-1/tags",
    "/api/2.0/mlflow-artifacts/artifacts",
    "/api/2.0/mlflow-artifacts/artifacts/0/RUN/artifacts/",
    "/api/2.0/mlflow-artifacts/mpu/create/0/RUN/artifacts",
    "/api/2.0/mlflow-artifacts/mpu/complete/0/RUN/artifacts",
    "/get-artifact",
    "/model-versions/get-artifact",
];
const NAMES: [&str; 34] = [
    "name",
    "run_id",
    "runId",
    "experiment_id",
    "experiment_ids",
    "key",
    "value",
    "timestamp",
    "step",
    "metrics",
    "params",
    "tags",
    "filter",
    "order_by",
    "max_results",
    "page_token",
    "path",
    "artifact_location",
    "source",
    "version",
    "stage",
    "alias",
    "metric_key",
    "run_ids",
    "models",
    "datasets",
    "dataset",
    "model_id",
    "digest",
    "num_parts",
    "upload_id",
    "status",
    "view_type",
    "model_json",
];
const VALUES: [&str; 40] = [
    "\"RUN\"",
    "\"0\"",
    "0",
    "1",
    "-1",
    "1e30",
    "\"NaN\"",
    "\"Infinity\"",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"a\"",
    "\"../x\"",
    "\"%2e%2e/x\"",
    "\"/etc/passwd\"",
    "\"file:///etc\"",
    "\"a\\u0000b\"",
    "\"\\ud83d\\ude00\"",
    "\"metrics.a > 0\"",
    "\"params.a = 'x' OR 1=1\"",
    "\"tags.`a b` ILIKE '%x'\"",
    "\"attributes.start_time >= 1\"",
    "\"metrics.a DESC\"",
    "\"name = 'x' AND\"",
    "\"'; DROP TABLE runs; --\"",
    "{\"$ne\": null}",
    "[\"0\"]",
    "[[]]",
    "[{\"key\": \"a\", \"value\": \"1\", \"timestamp\": 1}]",
    "[{\"key\": \"a\", \"value\": 1, \"timestamp\": 1}]",
    "9223372036854775807",
    "-9223372036854775808",
    "\"models:/a/1\"",
    "\"runs:/RUN/m\"",
    "\"Production\"",
    "\"mlflow-artifacts:/..%2f\"",
    "[{\"model_id\": \"m\", \"step\": \"x\"}]",
    "\"\\\"\"",
];
const TAILS: [&str; 14] = [
    "",
    "",
    "",
    "a",
    "../x",
    "%2e%2e%2f",
    "%252e%252e",
    "..%5c",
    "%00",
    "a%ffb",
    "%F0%9F%92%A5",
    ";/../",
    "//",
    "?path=..",
];

/// Random numbers that a seed repeats (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn one<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn body(&mut self) -> String {
        let fields = (0..self.below(6)).map(|_| format!("\"{}\": {}", self.one(&NAMES), self.one(&VALUES)));
        let mut body = format!("{{{}}}", fields.collect::<Vec<_>>().join(", "));
        // Now and then a body that is no JSON any more.
        if self.below(8) == 0 && !body.is_empty() {
            let mut at = self.below(body.len());
            while !body.is_char_boundary(at) {
                at -= 1;
            }
            body.truncate(at);
        }
        body
    }

    fn query(&mut self) -> String {
        let fields = (0..self.below(5)).map(|_| {
            let value = self.one(&VALUES).trim_matches('"');
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            format!(
                "{}={}",
                self.one(&NAMES),
                if self.below(3) == 0 { value.replace([' ', '"', '#'], "+") } else { encoded }
            )
        });
        fields.collect::<Vec<_>>().join("&")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(60);
    let seed = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_u64).max(1);
    let server = harness::Running::start();
    let run = server.run();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut client = None;
    let (mut sent, mut succeeded) = (0_u64, 0_u64);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let method = random.one(&["GET", "POST", "POST", "PUT", "DELETE", "PATCH"]);
        let target = format!("{}{}", random.one(&TARGETS), random.one(&TAILS)).replace("RUN", &run);
        let (target, body) = match method {
            "GET" => (
                format!("{target}{}{}", if target.contains('?') { '&' } else { '?' }, random.query()),
                String::new(),
            ),
            _ => (target, random.body()),
        };
        let (target, body) = (target.replace("RUN", &run), body.replace("RUN", &run));
        let mut connection: http::Client = client.take().unwrap_or_else(|| server.client());
        let headers = [("Content-Type", "application/json")];
        match connection.try_request(method, &target, &headers, body.as_bytes()) {
            Ok(answer) => {
                assert!(
                    answer.status < 500,
                    "seed {seed}: {method} {target} {body}: {} {}",
                    answer.status,
                    answer.text()
                );
                succeeded += u64::from(answer.status < 300);
                if answer.status != 400 || !answer.body.is_empty() {
                    client = Some(connection);
                }
            }
            // A connection that the server has closed, not a server that has gone.
            Err(_) => assert_eq!(
                server.client().get("/health").status,
                200,
                "seed {seed}: {method} {target} {body}"
            ),
        }
        sent += 1;
    }
    let _ = writeln!(
        io::stdout(),
        "{sent} requests, {succeeded} of them answered with success; the server failed at none"
    );
}
