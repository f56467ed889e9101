//! Folders, such as those of checkpoints.

use std::fs;

use fulmen_encryption::{EncryptionError, Keyring, decrypt_folder, encrypt_folder};

#[test]
fn a_folder_comes_back_as_it_was_and_a_swap_within_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, cipher, back] = ["plain", "cipher", "back"].map(|name| folder.path().join(name));
    fs::create_dir_all(plain.join("deep")).unwrap();
    fs::write(plain.join("state.json"), "{}").unwrap();
    fs::write(plain.join("deep/weights.bin"), vec![3; 200_000]).unwrap();
    let keyring = Keyring::generate();
    encrypt_folder(&keyring, &plain, &cipher).unwrap();
    assert!(!fs::read(cipher.join("deep/weights.bin")).unwrap().windows(64).any(|window| window == [3; 64]));
    decrypt_folder(&keyring, &cipher, &back).unwrap();
    for name in ["state.json", "deep/weights.bin"] {
        assert_eq!(fs::read(back.join(name)).unwrap(), fs::read(plain.join(name)).unwrap());
    }

    fs::copy(cipher.join("state.json"), cipher.join("deep/weights.bin")).unwrap();
    let error = decrypt_folder(&keyring, &cipher, &back).unwrap_err();
    assert!(matches!(error, EncryptionError::OtherName { .. }), "{error}");
    assert!(error.to_string().contains("deep/weights.bin"), "{error}");
    assert_eq!(fs::read(back.join("deep/weights.bin")).unwrap().len(), 200_000, "the old file stays");
}

#[test]
fn a_link_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link")).unwrap();
    let error = encrypt_folder(&Keyring::generate(), folder.path(), &folder.path().join("out")).unwrap_err();
    assert!(
        matches!(error, EncryptionError::Special { .. }) && error.to_string().contains("link"),
        "{error}"
    );
}
