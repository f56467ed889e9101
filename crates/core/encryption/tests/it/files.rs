//! Files: round trips, flipped bits, truncation, swaps.

use fulmen_encryption::{EncryptionError, Keyring, is_encrypted};
use proptest::prelude::*;

use crate::{decrypt, encrypt};

/// Bytes of a chunk, as age cuts them.
const CHUNK: usize = 64 << 10;

fn is_named_damage(error: &EncryptionError) -> bool {
    let kind = matches!(
        error,
        EncryptionError::Damaged { .. }
            | EncryptionError::WrongKey { .. }
            | EncryptionError::NotEncrypted { .. }
    );
    kind && error.to_string().starts_with("the file: ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read_back_around_every_border_of_chunks(
        chunks in 0usize..4, offset in -40i64..40, seed in any::<u8>(), name in "[a-z/ü ]{1,40}"
    ) {
        let keyring = Keyring::generate();
        let size = usize::try_from(((chunks * CHUNK) as i64 + offset).max(0)).unwrap();
        let plain: Vec<u8> = (0..size).map(|index| (index as u8).wrapping_mul(31) ^ seed).collect();
        let cipher = encrypt(&keyring, &name, &plain);
        prop_assert!(is_encrypted(&cipher));
        prop_assert_eq!(decrypt(&keyring, &name, &cipher).unwrap(), plain);
    }

    #[test]
    fn damage_deep_in_a_large_file_is_found(place in 0.0f64..1.0, bit in 0u8..8, cut in 0.0f64..1.0) {
        let keyring = Keyring::generate();
        let plain = vec![7; 3 * CHUNK + 5];
        let mut cipher = encrypt(&keyring, "a", &plain);
        let at = (place * cipher.len() as f64) as usize;
        cipher[at] ^= 1 << bit;
        prop_assert!(is_named_damage(&decrypt(&keyring, "a", &cipher).unwrap_err()));
        cipher[at] ^= 1 << bit;
        cipher.truncate((cut * cipher.len() as f64) as usize);
        prop_assert!(is_named_damage(&decrypt(&keyring, "a", &cipher).unwrap_err()));
    }
}

#[test]
fn every_flipped_bit_of_a_small_file_is_found() {
    let keyring = Keyring::generate();
    let cipher = encrypt(&keyring, "model/weights.bin", b"forty-two");
    for at in 0..cipher.len() {
        for bit in 0..8 {
            let mut changed = cipher.clone();
            changed[at] ^= 1 << bit;
            let error = decrypt(&keyring, "model/weights.bin", &changed)
                .expect_err(&format!("bit {bit} of byte {at}"));
            assert!(is_named_damage(&error), "bit {bit} of byte {at}: {error}");
        }
    }
}

#[test]
fn every_truncation_and_every_extension_is_found() {
    let keyring = Keyring::generate();
    let cipher = encrypt(&keyring, "a", b"forty-two");
    for length in 0..cipher.len() {
        let error = decrypt(&keyring, "a", &cipher[..length]).expect_err(&format!("{length} bytes"));
        assert!(is_named_damage(&error), "{length} bytes: {error}");
    }
    for more in [1, 16, 17, 400] {
        let longer = [cipher.clone(), vec![0; more]].concat();
        assert!(is_named_damage(&decrypt(&keyring, "a", &longer).unwrap_err()), "{more} more");
    }
}

#[test]
fn a_cut_at_the_border_of_two_chunks_is_found() {
    let keyring = Keyring::generate();
    let whole = encrypt(&keyring, "a", &vec![1; 3 * CHUNK]);
    // The head ends with the line of its MAC, and a nonce of 16 bytes follows; each chunk has a tag of 16 bytes.
    let mac = whole.windows(5).position(|window| window == b"\n--- ").unwrap() + 1;
    let payload = mac + whole[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16;
    for chunks in 0..=3 {
        // Whole chunks, authentic each: only the mark of the end is missing.
        let cut = payload + chunks * (CHUNK + 16);
        assert!(is_named_damage(&decrypt(&keyring, "a", &whole[..cut]).unwrap_err()), "{chunks} chunks");
    }
}

#[test]
fn a_file_under_another_name_is_found_and_both_names_are_told() {
    let keyring = Keyring::generate();
    let cipher = encrypt(&keyring, "a/best.bin", b"1");
    let error = decrypt(&keyring, "a/last.bin", &cipher).unwrap_err();
    assert!(matches!(error, EncryptionError::OtherName { .. }), "{error}");
    assert!(error.to_string().contains("a/best.bin") && error.to_string().contains("the file"), "{error}");
    assert!(matches!(keyring.encrypt("a\nb", Vec::new()), Err(EncryptionError::Name { .. })));
}

#[test]
fn a_file_of_another_keyring_and_one_that_is_not_encrypted_are_refused() {
    let keyring = Keyring::generate();
    let cipher = encrypt(&Keyring::generate(), "a", b"1");
    assert!(matches!(decrypt(&keyring, "a", &cipher), Err(EncryptionError::WrongKey { .. })));
    assert!(matches!(decrypt(&keyring, "a", b"plain text"), Err(EncryptionError::NotEncrypted { .. })));
}
