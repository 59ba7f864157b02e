use proptest::prelude::*;

use super::*;

/// The private key of RFC 8032 §7.1, test 1.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

/// Its public key.
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

#[test]
fn a_seed_gives_the_public_key_of_rfc_8032() {
    let identity = IdentityKey::from_seed(&SEED);
    assert_eq!(identity.peer().to_bytes(), PUBLIC);
    assert_eq!(*identity.seed(), SEED);
}

/// The pair of bytes and text is the one in the tests of the crate libp2p-identity 0.3.1.
#[test]
fn a_peer_prints_and_reads_as_in_libp2p() {
    let text = "12D3KooWRNw2pJC9748Fmq4WNV27HoSTcX3r37132FLkQMrbKAiC";
    let key = PeerKey::from_bytes([
        0xe7, 0x37, 0x0c, 0x66, 0xef, 0xec, 0x80, 0x00, 0xd5, 0x87, 0xfc, 0x41, 0x65, 0x92, 0x8e, 0xe0, 0x75, 0x5f,
        0x94, 0x86, 0xcb, 0x5c, 0xf0, 0xf7, 0x80, 0xd8, 0xe0, 0x6c, 0x98, 0xce, 0x7d, 0xa9,
    ]);
    assert_eq!(key.to_string(), text);
    assert_eq!(format!("{key:?}"), text);
    assert_eq!(text.parse(), Ok(key));
}

#[test]
fn a_text_that_is_no_ed25519_peer_id_is_refused_with_the_reason() {
    let read = |text: &str| text.parse::<PeerKey>().map_err(|error| error.to_string());
    assert_eq!(read(&"1".repeat(65)), Err("expected a peer id of at most 64 characters, got 65".into()));
    assert_eq!(read("12D3KooW0"), Err("expected a peer id in base58 (12D3KooW…), got other characters".into()));
    // The peer id of an RSA key: a SHA-256 multihash.
    let other = Err("expected the peer id of an ed25519 key (12D3KooW…), got another kind".into());
    assert_eq!(read("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"), other);
    assert_eq!(read(""), other);
    let short = bs58::encode([&PEER_ID_PREFIX[..], &[7; 31]].concat()).into_string();
    assert_eq!(read(&short), Err("expected a peer id with a key of 32 bytes, got 31".into()));
}

#[test]
fn a_routing_id_is_the_first_half_of_the_hash() {
    let peer = PeerKey::from_bytes(PUBLIC);
    let hash = blake3::hash(&PUBLIC);
    assert_eq!(peer.routing_id().0, hash.as_bytes()[..16]);
    assert_eq!(format!("{:?}", RoutingId([0x0a; 16])), "0a".repeat(16));
}

#[test]
fn a_signature_holds_for_its_key_domain_and_message_only() {
    let identity = IdentityKey::from_seed(&SEED);
    let peer = identity.peer();
    let signature = identity.sign("one", b"message");
    assert_eq!(peer.verify("one", b"message", &signature), Ok(()));

    let mismatch = Err(SignatureError::Mismatch);
    assert_eq!(peer.verify("two", b"message", &signature), mismatch);
    assert_eq!(peer.verify("one", b"massage", &signature), mismatch);
    // Where the domain ends is part of what is signed.
    assert_eq!(peer.verify("onem", b"essage", &signature), mismatch);
    let other = IdentityKey::from_seed(&[1; 32]).peer();
    assert_eq!(other.verify("one", b"message", &signature), mismatch);

    let wrong_length = Err(SignatureError::WrongLength { got: 63 });
    assert_eq!(peer.verify("one", b"message", &signature[..63]), wrong_length);
    let no_key = PeerKey::from_bytes([2; 32]);
    assert_eq!(no_key.verify("one", b"message", &signature), Err(SignatureError::NotAKey));
}

#[test]
fn a_small_order_key_signs_nothing() {
    // The neutral point: with R = 0 and S = 0, a lax check accepts every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let peer = PeerKey::from_bytes(neutral);
    assert_eq!(peer.verify("any", b"thing", &signature), Err(SignatureError::Mismatch));
}

#[test]
fn an_identity_shows_no_secret() {
    let identity = IdentityKey::from_seed(&SEED);
    assert_eq!(
        format!("{identity:?}"),
        "IdentityKey { peer: 12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV, .. }"
    );
}

proptest! {
    #[test]
    fn every_key_survives_its_text(bytes: [u8; 32]) {
        let key = PeerKey::from_bytes(bytes);
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(key.to_string().len(), 52);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}|[1-9A-HJ-NP-Za-km-z]{0,64}") {
        let _ = text.parse::<PeerKey>();
    }

    #[test]
    fn no_signature_panics(key: [u8; 32], message: Vec<u8>, signature: Vec<u8>) {
        let _ = PeerKey::from_bytes(key).verify("any", &message, &signature);
    }
}
