//! Artifacts through MLflow's own server.

use std::fs;

use fulmen_tracking::{ErrorKind, NewRun, RemoteStore, TrackingStore as _};

use crate::remote::mlflow;

#[test]
fn files_go_there_and_come_back_with_the_same_bytes() {
    let Some(server) = mlflow() else { return };
    let store = RemoteStore::open(&server.uri()).unwrap();
    let run = store.create_run(&NewRun { experiment_id: "0".into(), ..NewRun::default() }).unwrap();
    let uri = run.info.artifact_uri;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("deep/er/to"));
    // Larger than any buffer on the way.
    let bytes: Vec<u8> =
        (0..20_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&from, &bytes).unwrap();
    let artifacts = store.artifacts();
    artifacts.put_file(&uri, "model/größe 1.bin", &from).unwrap();
    artifacts.get_file(&uri, "model/größe 1.bin", &to).unwrap();
    assert!(fs::read(&to).unwrap() == bytes);
    fs::write(&from, "").unwrap();
    artifacts.put_file(&uri, "model/größe 1.bin", &from).unwrap();
    artifacts.get_file(&uri, "model/größe 1.bin", &to).unwrap();
    assert_eq!(fs::read(&to).unwrap().len(), 0);

    let names = |path: &str| -> Vec<(String, bool)> {
        artifacts.list(&uri, path).unwrap().into_iter().map(|file| (file.path, file.is_dir)).collect()
    };
    assert_eq!(names(""), [("model".to_owned(), true)]);
    assert_eq!(names("model"), [("größe 1.bin".to_owned(), false)]);
    assert!(names("absent").is_empty());

    let error = artifacts.get_file(&uri, "absent", &to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1, "no half of a file is left");
    for path in ["../x", "/x", "a/../../x"] {
        let error = artifacts.put_file(&uri, path, &from).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{error}");
    }
}
