//! Artifacts by proxy.

use serde_json::json;

use crate::harness::Running;
use crate::http::text;

fn path(name: &str) -> String {
    format!("/api/2.0/mlflow-artifacts/artifacts/{name}")
}

#[test]
fn files_are_put_listed_read_and_deleted() {
    for server in Running::plain_and_encrypted() {
        use_files(&server);
    }
}

fn use_files(server: &Running) {
    let mut client = server.client();
    let run = server.run();
    let root = format!("0/{run}/artifacts");
    client.request("PUT", &path(&format!("{root}/a/b%20c.txt")), &[], b"hello").ok();
    server.assert_kept(&format!("{root}/a/b c.txt"), b"hello");
    let listed = client.get(&format!("artifacts/list?run_id={run}&path=a")).ok();
    assert_eq!(listed["files"], json!([{"path": "a/b c.txt", "is_dir": false, "file_size": 5}]));
    assert_eq!(text(&listed, "/root_uri"), format!("mlflow-artifacts:/{root}"));
    let listed = client.get(&format!("/api/2.0/mlflow-artifacts/artifacts?path={root}")).ok();
    assert_eq!(listed["files"], json!([{"path": "a", "is_dir": true}]));

    let read = client.get(&path(&format!("{root}/a/b%20c.txt")));
    assert_eq!((read.status, read.text().as_str()), (200, "hello"));
    assert!(read.header("content-disposition").unwrap().starts_with("attachment; filename="));
    assert_eq!(read.header("content-type"), Some("text/plain"));
    let read = client.get(&format!("/get-artifact?run_uuid={run}&path=a/b%20c.txt"));
    assert_eq!((read.status, read.text().as_str()), (200, "hello"));
    let part = client.request("GET", &path(&format!("{root}/a/b%20c.txt")), &[("Range", "bytes=1-3")], b"");
    assert_eq!(
        (part.status, part.text().as_str(), part.header("content-range")),
        (206, "ell", Some("bytes 1-3/5"))
    );
    client
        .request("GET", &path(&format!("{root}/a/b%20c.txt")), &[("Range", "bytes=9-")], b"")
        .refused(416, "INVALID_PARAMETER_VALUE");
    let presigned = client.get(&format!("/api/2.0/mlflow-artifacts/presigned/{root}/a/b%20c.txt")).ok();
    assert_eq!(presigned["file_size"], 5);
    assert!(text(&presigned, "/url").ends_with("/a/b%20c.txt"), "{presigned}");

    client
        .request(
            "POST",
            &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=page/x.json"),
            &[],
            b"{}",
        )
        .ok();
    client.request("DELETE", &path(&format!("{root}/a")), &[], b"").ok();
    client.get(&path(&format!("{root}/a/b%20c.txt"))).refused(404, "RESOURCE_DOES_NOT_EXIST");
    client.request("DELETE", &path(&format!("{root}/a")), &[], b"").ok();
    client.get(&path(&format!("{root}/page"))).refused(400, "INVALID_PARAMETER_VALUE");
    client.request("PUT", &path(&format!("{root}/page")), &[], b"x").refused(400, "INVALID_PARAMETER_VALUE");
}

#[test]
fn large_files_pass_through_in_pieces() {
    for server in Running::plain_and_encrypted() {
        pass_a_large_file(&server);
    }
}

fn pass_a_large_file(server: &Running) {
    let run = server.run();
    let target = path(&format!("0/{run}/artifacts/big.bin"));
    // Chunked, so that nobody knows the size beforehand.
    let mut client = server.client();
    let head =
        format!("PUT {target} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", server.address);
    client.send(head.as_bytes()).unwrap();
    for number in 0..40_u8 {
        let chunk = [b"100000\r\n".as_slice(), &vec![number; 1 << 20], b"\r\n"].concat();
        client.send(&chunk).unwrap();
    }
    client.send(b"0\r\n\r\n").unwrap();
    client.read_answer(false).unwrap().ok();
    let read = client.get(&target);
    assert_eq!(read.body.len(), 40 << 20);
    assert!(
        read.body.chunks(1 << 20).zip(0..).all(|(chunk, number)| chunk.iter().all(|byte| *byte == number))
    );
    // A range in the middle, as a client fetches that reads several at once.
    let (from, to) = ((20 << 20) - 3, (20 << 20) + 2);
    let part = client.request("GET", &target, &[("Range", &format!("bytes={from}-{to}"))], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, [19, 19, 19, 20, 20, 20].as_slice()));
}

#[test]
fn no_encoding_of_a_path_leads_out_of_the_root() {
    let server = Running::start();
    let run = server.run();
    let secret = server.folder().join("secret.txt");
    std::fs::write(&secret, b"secret").unwrap();
    let ways = [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "%25252e%25252e%25252fsecret.txt",
        "x/../../secret.txt",
        "..%5csecret.txt",
        "..\\secret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        ";/../secret.txt",
        "x;/../../secret.txt",
        "%00../secret.txt",
        "..;/secret.txt",
        "C:%5cx",
        ".fulmen-unfinished-uploads/x",
        "./secret.txt",
    ];
    for way in ways {
        for prefix in ["", "0/", &format!("0/{run}/artifacts/")] {
            let name = format!("{prefix}{way}");
            let proxied = ["GET", "PUT", "DELETE"].map(|method| (method, path(&name)));
            let asked = [
                ("GET", format!("/api/2.0/mlflow-artifacts/artifacts?path={name}")),
                ("GET", format!("/api/2.0/mlflow-artifacts/presigned/{name}")),
                ("GET", format!("/get-artifact?run_id={run}&path={name}")),
                ("GET", format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={name}")),
                ("POST", format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={name}")),
                ("POST", format!("/api/2.0/mlflow-artifacts/mpu/create/{name}")),
            ];
            for (method, target) in proxied.into_iter().chain(asked) {
                let body: &[u8] = match method {
                    "PUT" => b"gone",
                    "POST" => br#"{"path": "x", "num_parts": 1}"#,
                    _ => b"",
                };
                // A target that is no URI ends its connection.
                let answer = server.client().request(method, &target, &[], body);
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {target}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        }
    }
    let left: Vec<_> = std::fs::read_dir(server.artifacts()).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "nothing was written: {left:?}");
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
}

#[cfg(unix)]
#[test]
fn links_in_the_root_are_not_followed_out_of_it() {
    let server = Running::start();
    let run = server.run();
    let mut client = server.client();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("key"), "secret").unwrap();
    let folder = server.artifacts().join(format!("0/{run}/artifacts"));
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("key"), folder.join("file")).unwrap();
    std::os::unix::fs::symlink(outside.path(), server.artifacts().join("out")).unwrap();
    let root = format!("0/{run}/artifacts");
    for name in
        [format!("{root}/link/key"), format!("{root}/file"), "out/key".into(), "out/artifacts/key".into()]
    {
        client.get(&path(&name)).is_clients_fault();
        client.request("PUT", &path(&name), &[], b"gone").is_clients_fault();
        client.request("DELETE", &path(&name), &[], b"").is_clients_fault();
    }
    client.get(&format!("artifacts/list?run_id={run}&path=link")).is_clients_fault();
    assert!(
        client.get(&format!("artifacts/list?run_id={run}")).ok().get("files").is_none(),
        "links are not listed"
    );
    assert_eq!(std::fs::read(outside.path().join("key")).unwrap(), b"secret");
}

#[test]
fn locations_that_clients_choose_are_not_read() {
    let server = Running::start();
    let mut client = server.client();
    for location in ["/etc", "file:///etc", "s3://bucket/x"] {
        let experiment =
            client.post("experiments/create", &json!({"name": location, "artifact_location": location})).ok();
        let run = client.post("runs/create", &json!({"experiment_id": experiment["experiment_id"]})).ok();
        let run = text(&run, "/run/info/run_id").to_owned();
        client.get(&format!("artifacts/list?run_id={run}")).is_clients_fault();
        client.get(&format!("/get-artifact?run_id={run}&path=passwd")).is_clients_fault();
        client
            .request(
                "POST",
                &format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=x"),
                &[],
                b"x",
            )
            .is_clients_fault();
    }
}

#[test]
fn without_the_proxy_the_artifacts_of_runs_can_still_be_seen() {
    let server = Running::with(fulmen_server::HostRules::default(), false);
    let mut client = server.client();
    let run = client.post("runs/create", &json!({"experiment_id": "0"})).ok();
    let (id, uri) = (text(&run, "/run/info/run_id"), text(&run, "/run/info/artifact_uri"));
    std::fs::create_dir_all(uri).unwrap();
    std::fs::write(format!("{uri}/a.txt"), "1").unwrap();
    assert_eq!(client.get(&format!("artifacts/list?run_id={id}")).ok()["files"][0]["path"], "a.txt");
    let refused = client.request("PUT", &path("x/y"), &[], b"x");
    refused.refused(503, "TEMPORARILY_UNAVAILABLE");
}
