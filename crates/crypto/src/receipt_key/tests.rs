use proptest::prelude::*;

use super::Direction::{FromInitiator, FromResponder};
use super::*;

fn key() -> ReceiptKey {
    ReceiptKey::from_parts(ReceiptKeyId([7; 8]), [9; 32])
}

#[test]
fn what_is_sealed_opens_as_often_as_it_comes() {
    let key = ReceiptKey::generate().unwrap();
    let same = ReceiptKey::from_parts(key.id(), *key.key_bytes());
    let sealed = key.seal(FromInitiator, b"aad", b"receipt").unwrap();
    assert_eq!(sealed.len(), 24 + 7 + 16);
    for _ in 0..2 {
        assert_eq!(same.open(FromInitiator, b"aad", &sealed), Ok(b"receipt".to_vec()));
    }
}

#[test]
fn each_sealing_takes_a_new_nonce() {
    let (key, nonce) = (key(), |sealed: Vec<u8>| sealed[..24].to_vec());
    let [one, two] = [(); 2].map(|()| nonce(key.seal(FromInitiator, b"", b"same").unwrap()));
    assert_ne!(one, two);
}

#[test]
fn nothing_opens_in_another_direction_under_another_name_or_with_other_associated_data() {
    let sealed = key().seal(FromInitiator, b"aad", b"receipt").unwrap();
    let not_authentic = Err(OpenError::NotAuthentic);
    assert_eq!(key().open(FromResponder, b"aad", &sealed), not_authentic);
    assert_eq!(key().open(FromInitiator, b"", &sealed), not_authentic);
    let renamed = ReceiptKey::from_parts(ReceiptKeyId([8; 8]), [9; 32]);
    assert_eq!(renamed.open(FromInitiator, b"aad", &sealed), not_authentic);
    let other = ReceiptKey::from_parts(ReceiptKeyId([7; 8]), [8; 32]);
    assert_eq!(other.open(FromInitiator, b"aad", &sealed), not_authentic);
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key().open(FromInitiator, b"aad", &altered), not_authentic);
    }
}

#[test]
fn lengths_are_limited_both_ways() {
    let longest = vec![0; MAX_PLAINTEXT_BYTES];
    let sealed = key().seal(FromResponder, b"", &longest).unwrap();
    assert_eq!(key().open(FromResponder, b"", &sealed), Ok(longest));
    assert_eq!(key().seal(FromResponder, b"", &vec![0; 65_537]), Err(SealError::TooLong { max: 65_536, got: 65_537 }));
    assert_eq!(key().open(FromResponder, b"", &vec![0; 65_577]), Err(OpenError::TooLong { max: 65_576, got: 65_577 }));
    assert_eq!(key().open(FromResponder, b"", &[0; 39]), Err(OpenError::Malformed));
    let empty = key().seal(FromResponder, b"", b"").unwrap();
    assert_eq!(key().open(FromResponder, b"", &empty), Ok(Vec::new()));
}

/// Pins the format: what an earlier build sealed.
#[test]
fn what_an_earlier_build_sealed_still_opens() {
    let sealed = *include_bytes!("../../tests/known/receipt.bin");
    assert_eq!(key().open(FromResponder, b"aad", &sealed), Ok(b"receipt".to_vec()));
}

#[test]
fn a_receipt_key_shows_no_secret() {
    assert_eq!(format!("{:?}", key()), "ReceiptKey { id: 0707070707070707, .. }");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, aad: Vec<u8>) {
        prop_assert!(key().open(FromInitiator, &aad, &bytes).is_err());
    }
}
