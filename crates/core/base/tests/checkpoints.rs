//! Checkpoints on the disk: written whole, and read with suspicion.

#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fulmen_base::Result;
use fulmen_base::callback::CheckpointRequest;
use fulmen_base::checkpoint::{Checkpoint, MODEL_FILE, SavedState, Tensors, save, sweep};
use fulmen_encryption::{Keyring, ScopedKeyring, is_encrypted};
use fulmen_torch::tch::{Device, Kind, Tensor};
use proptest::prelude::*;
use serde_json::{Value, json};

fn request(name: &str, aliases: &[&'static str], replaces: &[&str]) -> CheckpointRequest {
    CheckpointRequest {
        weights_only: false,
        name: name.to_owned(),
        aliases: aliases.to_vec(),
        replaces: replaces.iter().map(|&name| name.to_owned()).collect(),
        reason: String::new(),
    }
}

fn tensors() -> Tensors {
    let weight = || vec![("fc.weight".to_owned(), Tensor::randn([4, 4], (Kind::Float, Device::Cpu)))];
    Tensors { model: weight(), optimizer: weight(), gradients: weight(), ..Tensors::default() }
}

fn save_as(folder: &Path, name: &str, aliases: &[&'static str], replaces: &[&str]) {
    save(folder, &request(name, aliases, replaces), &tensors(), &SavedState::default(), None).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn saved() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    save_as(folder.path(), "epoch=0-step=1", &[], &[]);
    let path = folder.path().join("epoch=0-step=1");
    (folder, path)
}

/// Reads all that a resume reads.
fn read(path: &Path) -> Result<SavedState> {
    read_with(path, None)
}

fn read_with(path: &Path, keys: Option<&ScopedKeyring>) -> Result<SavedState> {
    let checkpoint = Checkpoint::open(path, keys)?;
    checkpoint.model()?;
    checkpoint.optimizer()?;
    checkpoint.gradients()?;
    checkpoint.metrics()?;
    checkpoint.callbacks()?;
    checkpoint.state()
}

fn refusal(path: &Path) -> String {
    read(path).unwrap_err().to_string()
}

/// Changes a file and puts its new digest into the manifest, as somebody would who means harm.
fn forge(path: &Path, name: &str, bytes: &[u8]) {
    fs::write(path.join(name), bytes).unwrap();
    let manifest = path.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    value["files"][name] = json!({"bytes": bytes.len(), "blake3": blake3::hash(bytes).to_hex().as_str()});
    fs::write(manifest, serde_json::to_vec(&value).unwrap()).unwrap();
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn a_saved_checkpoint_opens_and_leaves_nothing_beside() {
    let (folder, path) = saved();
    assert_eq!(Checkpoint::open(&path, None).unwrap().gradients().unwrap()["fc.weight"].size(), [4, 4]);
    assert_eq!(names(folder.path()), ["epoch=0-step=1"]);
}

#[test]
fn numbers_of_the_state_come_back_to_the_bit() {
    let (folder, mut draws) = (tempfile::tempdir().unwrap(), fulmen_utils::Address::root(3).draws());
    let values: std::collections::BTreeMap<_, _> =
        (0..2000).map(|i| (format!("m{i}"), Some(draws.uniform() * 1e3 / 7.0))).collect();
    let state = SavedState { metrics: values.clone(), ..SavedState::default() };
    save(folder.path(), &request("a", &[], &[]), &tensors(), &state, None).unwrap();
    let bits = |value: &Option<f64>| value.map(f64::to_bits);
    let kept = read(&folder.path().join("a")).unwrap().metrics;
    assert!(kept.values().map(bits).eq(values.values().map(bits)));
}

#[test]
fn aliases_move_before_what_they_pointed_to_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    save_as(folder.path(), "a", &["last", "best"], &[]);
    // Not even where it is asked for: `best` points to it.
    save_as(folder.path(), "b", &["last"], &["a"]);
    assert_eq!(names(folder.path()), ["a", "b", "best", "last"]);
    save_as(folder.path(), "c", &["last", "best"], &["a", "b", "../a", "/tmp"]);
    assert_eq!(names(folder.path()), ["best", "c", "last"]);
    assert!(read(&folder.path().join("best")).is_ok());
    // Under its own name again.
    save_as(folder.path(), "c", &["last"], &["c"]);
    assert_eq!(names(folder.path()), ["best", "c", "last"]);
    assert!(read(&folder.path().join("last")).is_ok());
}

#[test]
fn what_a_killed_save_has_left_is_swept() {
    let (folder, _) = saved();
    fs::create_dir(folder.path().join(".1234.part")).unwrap();
    fs::write(folder.path().join(".1234.part/model.safetensors"), "half").unwrap();
    std::os::unix::fs::symlink("nothing", folder.path().join(".last.1234")).unwrap();
    sweep(folder.path());
    assert_eq!(names(folder.path()), ["epoch=0-step=1"]);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../a", "a/b", "", "..", ".hidden"] {
        assert!(
            save(folder.path(), &request(name, &[], &[]), &tensors(), &SavedState::default(), None).is_err()
        );
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_that_is_cut_or_changed_is_named() {
    let (_folder, path) = saved();
    let file = path.join(MODEL_FILE);
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert!(refusal(&path).contains("model.safetensors: does not have the digest"), "{}", refusal(&path));
    bytes.pop();
    fs::write(&file, &bytes).unwrap();
    assert!(refusal(&path).contains("cut short"));
    fs::remove_file(&file).unwrap();
    assert!(refusal(&path).contains("model.safetensors"));
}

#[test]
fn what_is_not_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).contains("is no checkpoint of Fulmen"));
    assert!(refusal(Path::new("/no/such")).contains("no such checkpoint"));
    let manifest = r#"{"format": "fulmen-checkpoint", "version": 99, "files": {}}"#;
    fs::write(folder.path().join("manifest.json"), manifest).unwrap();
    assert!(refusal(folder.path()).contains("newer Fulmen"));
}

#[test]
fn a_manifest_that_names_a_file_elsewhere_is_refused_before_it_is_read() {
    for name in ["../secret", "/etc/passwd", "a/b"] {
        let (_folder, path) = saved();
        let manifest = path.join("manifest.json");
        let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        value["files"][name] = json!({"bytes": 0, "blake3": ""});
        fs::write(manifest, value.to_string()).unwrap();
        assert!(refusal(&path).contains("is no file of its folder"), "{}", refusal(&path));
    }
}

#[test]
fn a_file_that_the_manifest_does_not_vouch_for_is_not_looked_at() {
    let (_folder, path) = saved();
    fs::write(path.join("callbacks.safetensors"), "anything").unwrap();
    assert!(read(&path).is_ok());
    let manifest = path.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    value["files"].as_object_mut().unwrap().remove("state.json");
    fs::write(manifest, value.to_string()).unwrap();
    assert!(refusal(&path).contains("does not name state.json"));
}

#[test]
fn a_hostile_safetensors_file_is_refused_cleanly() {
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"w": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}"#)
    };
    let files = [
        u64::MAX.to_le_bytes().to_vec(),
        [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat(),
        b"\x80\x04\x95pickle".to_vec(),
        safetensors("not json", &[]),
        safetensors(&one("[4]", "[0, 16]"), &[0; 8]),
        safetensors(&one("[1000000]", "[0, 16]"), &[0; 16]),
        safetensors(&one("[4]", "[8, 24]"), &[0; 24]),
        safetensors(&one("[4]", "[16, 0]"), &[0; 16]),
        safetensors(&one("[9223372036854775807, 4]", "[0, 16]"), &[0; 16]),
        safetensors(&one("[18446744073709551615, 0]", "[0, 0]"), &[]),
        safetensors(r#"{"w": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}"#, &[0; 2]),
    ];
    for (number, bytes) in files.iter().enumerate() {
        let (_folder, path) = saved();
        forge(&path, MODEL_FILE, bytes);
        assert!(refusal(&path).contains("model.safetensors"), "file {number}: {}", refusal(&path));
    }
}

#[test]
fn numbers_that_are_none_and_names_that_are_paths_are_data_like_any_other() {
    let (_folder, path) = saved();
    let header = r#"{"../../etc/passwd": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
    forge(&path, MODEL_FILE, &safetensors(header, &f32::NAN.to_le_bytes()));
    let model = Checkpoint::open(&path, None).unwrap().model().unwrap();
    assert!(model["../../etc/passwd"].double_value(&[0]).is_nan());
}

#[test]
fn a_count_that_no_run_comes_to_is_refused() {
    let (_folder, path) = saved();
    let mut state: Value = serde_json::from_slice(&fs::read(path.join("state.json")).unwrap()).unwrap();
    state["trainer"]["epoch"] = json!(u64::MAX);
    forge(&path, "state.json", state.to_string().as_bytes());
    assert!(refusal(&path).contains("trainer.epoch is 18446744073709551615"), "{}", refusal(&path));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Nothing panics, whatever is in the files: each is refused or read.
    #[test]
    fn mutated_bytes_never_panic(
        file in prop::sample::select(vec![MODEL_FILE, "optimizer.safetensors", "gradients.safetensors", "state.json", "manifest.json"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_folder, path) = saved();
        let mut bytes = fs::read(path.join(file)).unwrap();
        for (place, byte) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if file == "manifest.json" {
            fs::write(path.join(file), &bytes).unwrap();
        } else {
            forge(&path, file, &bytes);
        }
        let _ = read(&path);
    }
}

/// Keys of one run, and a checkpoint of it that is encrypted under them.
fn encrypted() -> (tempfile::TempDir, PathBuf, ScopedKeyring) {
    let folder = tempfile::tempdir().unwrap();
    let keys = ScopedKeyring::new(Arc::new(Keyring::generate()), "run");
    let state = SavedState { config: json!({"secret": "patient 4711"}), ..SavedState::default() };
    save(folder.path(), &request("a", &["best"], &[]), &tensors(), &state, Some(&keys)).unwrap();
    let path = folder.path().join("a");
    (folder, path, keys)
}

#[test]
fn an_encrypted_checkpoint_opens_with_its_keys_alone_and_lies_nowhere_in_clear() {
    let (folder, path, keys) = encrypted();
    // By its alias too: what it is bound to is its own name.
    for path in [&path, &folder.path().join("best")] {
        assert_eq!(read_with(path, Some(&keys)).unwrap().config["secret"], "patient 4711");
    }
    for name in names(&path) {
        assert!(is_encrypted(&fs::read(path.join(&name)).unwrap()), "{name}");
    }
    let told = |keys: Option<&ScopedKeyring>| read_with(&path, keys).unwrap_err().to_string();
    assert!(told(None).contains("manifest.json: is encrypted: set encryption.checkpoints"), "{}", told(None));
    let strange = ScopedKeyring::new(Arc::new(Keyring::generate()), "run");
    assert!(told(Some(&strange)).contains("none of the keys at hand opens it"));
    let of_another_run = ScopedKeyring::new(Arc::new(keys.keyring().clone()), "another");
    assert!(told(Some(&of_another_run)).contains("was written as 'run/checkpoints/a/manifest.json'"));
    // What is to be encrypted is not taken from one that is not.
    let (_plain, plain) = saved();
    assert!(read_with(&plain, Some(&keys)).unwrap_err().to_string().contains("is not encrypted"));
}

#[test]
fn a_bit_that_is_flipped_in_an_encrypted_checkpoint_is_found_and_its_file_is_named() {
    let (_folder, path, keys) = encrypted();
    for name in names(&path) {
        let whole = fs::read(path.join(&name)).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(path.join(&name), changed).unwrap();
            let told = read_with(&path, Some(&keys)).unwrap_err().to_string();
            assert!(told.contains(&name), "byte {at} of {name}: {told}");
        }
        fs::write(path.join(&name), &whole[..whole.len() - 1]).unwrap();
        assert!(read_with(&path, Some(&keys)).unwrap_err().to_string().contains(&name), "{name} cut short");
        fs::write(path.join(&name), whole).unwrap();
    }
    // Whole, authentic, and another file's.
    fs::copy(path.join("model.safetensors"), path.join("optimizer.safetensors")).unwrap();
    let told = read_with(&path, Some(&keys)).unwrap_err().to_string();
    assert!(
        told.contains("optimizer.safetensors: was written as 'run/checkpoints/a/model.safetensors'"),
        "{told}"
    );
}
