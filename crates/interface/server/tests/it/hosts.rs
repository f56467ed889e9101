//! Who is let in.

use fulmen_server::HostRules;

use crate::harness::Running;

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let server = Running::start();
    let mut client = server.client();
    client
        .request("GET", "/api/2.0/mlflow/experiments/search", &[("Host", "evil.example")], b"")
        .refused(403, "PERMISSION_DENIED");
    client
        .request("GET", "http://evil.example/api/2.0/mlflow/experiments/search", &[], b"")
        .refused(403, "PERMISSION_DENIED");
    assert_eq!(client.request("GET", "/health", &[("Host", "balancer.example")], b"").text(), "OK");
    let origin = |origin| [("Origin", origin), ("Content-Type", "application/json")];
    let create = "/api/2.0/mlflow/experiments/create";
    client
        .request("POST", create, &origin("https://evil.example"), b"{\"name\": \"x\"}")
        .refused(403, "PERMISSION_DENIED");
    let put = "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/y";
    client.request("PUT", put, &origin("https://evil.example"), b"x").refused(403, "PERMISSION_DENIED");
    let allowed = client.request("POST", create, &origin("http://localhost:3000"), b"{\"name\": \"x\"}");
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let asked = client.request("OPTIONS", create, &[("Origin", "https://evil.example")], b"");
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, None));
}

#[test]
fn allowed_hosts_and_origins_are_let_in() {
    let rules = HostRules {
        allowed_hosts: vec!["track.example".into()],
        allowed_origins: vec!["https://ui.example".into()],
    };
    let server = Running::with(rules, true);
    let mut client = server.client();
    let headers =
        [("Host", "track.example"), ("Origin", "https://ui.example"), ("Content-Type", "application/json")];
    client.request("POST", "/api/2.0/mlflow/experiments/create", &headers, b"{\"name\": \"x\"}").ok();
    client.get("experiments/search").refused(403, "PERMISSION_DENIED");
}

#[test]
fn answers_tell_browsers_not_to_guess() {
    let server = Running::start();
    let mut client = server.client();
    let answer = client.get("/version");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
    assert!(answer.text().starts_with("3."));
    assert_eq!(client.request("HEAD", "/health", &[], b"").status, 200);
}
