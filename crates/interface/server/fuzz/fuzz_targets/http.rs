//! Any request: the first line is method and target, the rest the body. The server answers, never with a failure of its own.
#![no_main]

#[path = "../../tests/it/harness.rs"]
#[allow(dead_code)]
mod harness;
#[path = "../../tests/it/http.rs"]
#[allow(dead_code)]
mod http;

use std::cell::RefCell;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

thread_local!(static CLIENT: RefCell<Option<http::Client>> = const { RefCell::new(None) });

fn server() -> &'static harness::Running {
    static SERVER: OnceLock<harness::Running> = OnceLock::new();
    SERVER.get_or_init(harness::Running::start)
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let (method, target) = head.split_once(' ').unwrap_or(("GET", &head));
    // What would break the frame of the request is hyper's affair.
    if method.is_empty() || head.chars().any(char::is_control) || target.contains(' ') {
        return;
    }
    CLIENT.with_borrow_mut(|client| {
        let mut connection = client.take().unwrap_or_else(|| server().client());
        let headers = [("Content-Type", "application/json")];
        if let Ok(answer) = connection.try_request(method, &format!("/{target}"), &headers, body) {
            assert!(answer.status < 500 || answer.status == 501, "{head:?}: {} {}", answer.status, answer.text());
            if answer.header("connection") != Some("close") {
                *client = Some(connection);
            }
        }
    });
});
