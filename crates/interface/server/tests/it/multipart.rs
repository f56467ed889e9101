//! Uploads in parts.

use serde_json::{Value, json};

use crate::harness::Running;
use crate::http::{Client, text};

const MPU: &str = "/api/2.0/mlflow-artifacts/mpu";

struct Upload {
    folder: String,
    id: String,
    urls: Vec<String>,
}

fn begin(client: &mut Client, run: &str, parts: usize) -> Upload {
    let folder = format!("0/{run}/artifacts/big");
    let created = client
        .post(&format!("{MPU}/create/{folder}"), &json!({"path": "/home/me/file.bin", "num_parts": parts}))
        .ok();
    let credentials = created["credentials"].as_array().unwrap();
    let urls = credentials.iter().map(|credential| text(credential, "/url").to_owned()).collect();
    Upload { folder, id: text(&created, "/upload_id").to_owned(), urls }
}

impl Upload {
    fn send(&self, client: &mut Client, number: usize, content: &[u8]) -> Value {
        let answer = client.request("PUT", &self.urls[number - 1], &[], content);
        answer.ok();
        json!({"part_number": number, "etag": answer.header("etag").unwrap(), "url": self.urls[number - 1]})
    }

    fn body(&self, parts: &[Value]) -> Value {
        json!({"path": "file.bin", "upload_id": self.id, "parts": parts})
    }
}

#[test]
fn parts_become_one_file_in_the_order_of_their_numbers() {
    for server in Running::plain_and_encrypted() {
        send_parts(&server);
    }
}

fn send_parts(server: &Running) {
    let run = server.run();
    let mut client = server.client();
    let upload = begin(&mut client, &run, 3);
    let mut parts: Vec<Value> = [3, 1, 2]
        .into_iter()
        .map(|number| upload.send(&mut client, number, &vec![number as u8; 100_000]))
        .collect();
    parts.reverse();
    server.assert_kept(&format!(".fulmen-unfinished-uploads/{}/part-00002", upload.id), &[2; 100_000]);
    assert_eq!(
        client.get(&format!("artifacts/list?run_id={run}")).ok().get("files"),
        None,
        "nothing is seen before the end"
    );
    client.post(&format!("{MPU}/complete/{}", upload.folder), &upload.body(&parts)).ok();
    let name = format!("{}/file.bin", upload.folder);
    let content = [vec![1; 100_000], vec![2; 100_000], vec![3; 100_000]].concat();
    server.assert_kept(&name, &content);
    assert!(client.get(&format!("/api/2.0/mlflow-artifacts/artifacts/{name}")).body == content);
    client
        .post(&format!("{MPU}/complete/{}", upload.folder), &upload.body(&parts))
        .refused(404, "RESOURCE_DOES_NOT_EXIST");
}

#[test]
fn an_upload_with_gaps_or_other_content_is_not_completed() {
    for server in Running::plain_and_encrypted() {
        send_wrong_parts(&server);
    }
}

fn send_wrong_parts(server: &Running) {
    let run = server.run();
    let mut client = server.client();
    let upload = begin(&mut client, &run, 2);
    let first = upload.send(&mut client, 1, b"one");
    let complete = format!("{MPU}/complete/{}", upload.folder);
    let forged = json!({"part_number": 2, "etag": "x"});
    for parts in
        [vec![], vec![forged.clone()], vec![first.clone(), forged], vec![first.clone(), first.clone()]]
    {
        client.post(&complete, &upload.body(&parts)).refused(400, "INVALID_PARAMETER_VALUE");
    }
    let second = upload.send(&mut client, 2, b"two");
    upload.send(&mut client, 2, b"another");
    client.post(&complete, &upload.body(&[first.clone(), second])).refused(400, "INVALID_PARAMETER_VALUE");
    let elsewhere = format!("{MPU}/complete/0/{run}/artifacts/other");
    client.post(&elsewhere, &upload.body(&[first])).refused(400, "INVALID_PARAMETER_VALUE");
    client.post(&format!("{MPU}/abort/{}", upload.folder), &upload.body(&[])).ok();
    client.request("PUT", &upload.urls[0], &[], b"late").refused(404, "RESOURCE_DOES_NOT_EXIST");
    let scratch = server.artifacts().join(".fulmen-unfinished-uploads");
    let left: Vec<_> =
        std::fs::read_dir(scratch).unwrap().flatten().filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn wrong_uploads_are_refused() {
    let server = Running::start();
    let run = server.run();
    let mut client = server.client();
    for parts in [json!(0), json!(-1), json!(10_001), json!("x")] {
        client
            .post(&format!("{MPU}/create/0/{run}/artifacts"), &json!({"path": "f", "num_parts": parts}))
            .refused(400, "INVALID_PARAMETER_VALUE");
    }
    for path in ["..", "a/..", ""] {
        client
            .post(&format!("{MPU}/create/0/{run}/artifacts"), &json!({"path": path, "num_parts": 1}))
            .refused(400, "INVALID_PARAMETER_VALUE");
    }
    let id = "0".repeat(32);
    for part in [
        format!("{id}/1"),
        "../../x/1".into(),
        format!("{id}/0"),
        format!("{id}/x"),
        "..%2f..%2fx/1".into(),
        id,
    ] {
        client.request("PUT", &format!("{MPU}/part/{part}"), &[], b"x").is_clients_fault();
    }
}
