use proptest::prelude::*;

use super::*;
use crate::sealer::OlmSealer;

struct Owner {
    identity: IdentityKey,
    sealer: OlmSealer,
}

impl Owner {
    fn new() -> Self {
        Self { identity: IdentityKey::from_seed(&[1; 32]), sealer: OlmSealer::generate() }
    }

    fn card(&self) -> Card {
        Card {
            peer: self.identity.peer(),
            seq: 1_764_000_000,
            issued_ms: 1_764_000_000_000,
            expires_ms: 1_765_209_600_000,
            name: "kitchen".into(),
            ratchet: self.sealer.ratchet_keys(),
            addresses: vec!["/ip4/192.0.2.7/udp/4001/quic-v1".into()],
            capabilities: vec!["mailbox".into()],
        }
    }

    fn full_card(&self) -> Card {
        Card {
            name: "n".repeat(64),
            addresses: vec!["a".repeat(256); 16],
            capabilities: vec!["c".repeat(32); 16],
            seq: u64::MAX,
            issued_ms: u64::MAX - 1,
            expires_ms: u64::MAX,
            ..self.card()
        }
    }

    fn sign(&self, card: &Card) -> Result<SignedCard, CardError> {
        SignedCard::sign(card, &self.identity, &self.sealer)
    }

    /// Signs contents as they are, with every check left out.
    fn sign_contents(&self, contents: &[u8]) -> proto::SignedCard {
        let covered = in_domain(DOMAIN, contents);
        proto::SignedCard {
            card: contents.to_vec().into(),
            alg: ALG_ED25519,
            signature: self.identity.sign(DOMAIN, contents).to_vec().into(),
            possession: self.sealer.possession(&covered).to_vec().into(),
        }
    }

    /// Changes a card in a way that [`Card`] may not be able to say, signs and verifies it.
    fn verify_changed(&self, change: impl FnOnce(&mut proto::Card)) -> Result<SignedCard, CardError> {
        let mut card = encode(&self.card());
        change(&mut card);
        SignedCard::verify(&self.sign_contents(&card.encode_to_vec()).encode_to_vec())
    }
}

/// Makes a card break a limit.
type Change = fn(&mut Card);

fn too_long(what: &'static str, max: usize) -> CardError {
    CardError::TooLong { what, max, got: max + 1 }
}

#[test]
fn a_signed_card_is_believed_and_says_what_was_signed() {
    let owner = Owner::new();
    let signed = owner.sign(&owner.card()).unwrap();
    let read = SignedCard::verify(signed.bytes()).unwrap();
    assert_eq!(read, signed);
    assert_eq!(*read.card(), owner.card());
}

#[test]
fn a_card_is_expired_from_its_expiry_on() {
    let owner = Owner::new();
    let signed = owner.sign(&owner.card()).unwrap();
    assert!(!signed.is_expired(1_765_209_599_999));
    assert!(signed.is_expired(1_765_209_600_000));
}

#[test]
fn a_full_card_fits_with_room_for_the_reserved_fields() {
    let owner = Owner::new();
    let signed = owner.sign(&owner.full_card()).unwrap();
    assert_eq!(SignedCard::verify(signed.bytes()), Ok(signed.clone()));

    let mut reserved = encode(&owner.full_card());
    reserved.seal_key = vec![1; 1_216].into();
    reserved.boxes = vec![vec![2; 16].into(); 3];
    reserved.user = vec![3; 38].into();
    let bytes = owner.sign_contents(&reserved.encode_to_vec()).encode_to_vec();
    assert_eq!(*SignedCard::verify(&bytes).unwrap().card(), owner.full_card());
    assert_eq!(bytes.len(), 6_427);
}

#[test]
fn a_card_over_a_limit_is_neither_signed_nor_believed() {
    let owner = Owner::new();
    let cases: [(Change, CardError); 5] = [
        (|card| card.name.push('n'), too_long("name", 64)),
        (|card| card.addresses.push(String::new()), too_long("list of addresses", 16)),
        (|card| card.addresses[3].push('a'), too_long("address", 256)),
        (|card| card.capabilities.push(String::new()), too_long("list of capabilities", 16)),
        (|card| card.capabilities[3].push('c'), too_long("capability", 32)),
    ];
    for (change, error) in cases {
        let mut card = owner.full_card();
        change(&mut card);
        assert_eq!(owner.sign(&card), Err(error.clone()));
        assert_eq!(owner.verify_changed(|changed| *changed = encode(&card)), Err(error));
    }

    assert_eq!(
        owner.verify_changed(|card| card.boxes = vec![vec![0; 16].into(); 4]),
        Err(too_long("list of boxes", 3))
    );
    assert_eq!(
        owner.verify_changed(|card| card.boxes = vec![vec![0; 15].into()]),
        Err(CardError::WrongLength { what: "box handle", expected: 16, got: 15 })
    );
    assert_eq!(
        owner.verify_changed(|card| card.seal_key = vec![0; 8_192].into()).map(|_| ()),
        Err(CardError::TooLong { what: "signed card", max: 8_192, got: 8_547 })
    );
}

#[test]
fn fields_of_fixed_length_have_it() {
    let owner = Owner::new();
    let short = |what| Err(CardError::WrongLength { what, expected: 32, got: 31 });
    let bytes = || vec![1; 31].into();
    assert_eq!(owner.verify_changed(|card| card.peer = bytes()), short("peer key"));
    let ratchet = |change: fn(&mut proto::Ratchet, Vec<u8>)| {
        owner.verify_changed(|card| change(card.ratchet.as_mut().unwrap(), vec![1; 31]))
    };
    assert_eq!(ratchet(|keys, to| keys.identity = to.into()), short("ratchet identity key"));
    assert_eq!(ratchet(|keys, to| keys.signing = to.into()), short("ratchet signing key"));
    assert_eq!(ratchet(|keys, to| keys.fallback = to.into()), short("fallback key"));
    assert_eq!(owner.verify_changed(|card| card.ratchet = None), Err(CardError::NoRatchet));
}

#[test]
fn versions_and_algorithms_that_are_not_known_are_refused() {
    let owner = Owner::new();
    assert_eq!(
        owner.verify_changed(|card| card.version = 2),
        Err(CardError::OtherVersion { what: "card", expected: 1, got: 2 })
    );
    assert_eq!(
        owner.verify_changed(|card| card.ratchet.as_mut().unwrap().version = 1),
        Err(CardError::OtherVersion { what: "ratchet", expected: 2, got: 1 })
    );
    let mut signed = owner.sign_contents(&encode(&owner.card()).encode_to_vec());
    signed.alg = 2;
    assert_eq!(SignedCard::verify(&signed.encode_to_vec()), Err(CardError::OtherAlgorithm { expected: 1, got: 2 }));
}

#[test]
fn a_card_that_expires_before_it_begins_is_refused() {
    let owner = Owner::new();
    let card = Card { issued_ms: 5, expires_ms: 5, ..owner.card() };
    let error = CardError::Lifetime { issued_ms: 5, expires_ms: 5 };
    assert_eq!(owner.sign(&card), Err(error.clone()));
    assert_eq!(owner.verify_changed(|changed| *changed = encode(&card)), Err(error));
}

#[test]
fn nobody_signs_for_another_peer_or_with_other_ratchet_keys() {
    let (owner, stranger) = (Owner::new(), IdentityKey::from_seed(&[2; 32]));
    assert_eq!(
        SignedCard::sign(&owner.card(), &stranger, &owner.sealer),
        Err(CardError::OtherPeer { expected: stranger.peer(), got: owner.identity.peer() })
    );
    assert_eq!(SignedCard::sign(&owner.card(), &owner.identity, &OlmSealer::generate()), Err(CardError::OtherRatchet));
}

#[test]
fn a_card_that_names_anothers_ratchet_keys_is_not_believed() {
    let (owner, victim) = (Owner::new(), OlmSealer::generate());
    let stolen = owner.verify_changed(|card| {
        card.ratchet.as_mut().unwrap().signing = victim.ratchet_keys().signing.to_vec().into();
    });
    assert_eq!(stolen, Err(CardError::Possession(SignatureError::Mismatch)));
}

#[test]
fn a_card_under_anothers_name_is_not_believed() {
    let (owner, victim) = (Owner::new(), IdentityKey::from_seed(&[2; 32]).peer());
    let stolen = owner.verify_changed(|card| card.peer = victim.to_bytes().to_vec().into());
    assert_eq!(stolen, Err(CardError::Signature(SignatureError::Mismatch)));
}

#[test]
fn a_card_with_any_bit_flipped_any_byte_cut_or_any_byte_added_is_refused() {
    let owner = Owner::new();
    let signed = owner.sign(&owner.card()).unwrap();
    for bit in 0..signed.bytes().len() * 8 {
        let mut altered = signed.bytes().to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedCard::verify(&altered).is_err(), "bit {bit}");
    }
    for length in 0..signed.bytes().len() {
        assert!(SignedCard::verify(&signed.bytes()[..length]).is_err(), "{length} bytes");
    }
    // Field 15, unknown here: would make a second form of the same card.
    let padded = [signed.bytes(), &[0x78, 0x01]].concat();
    assert_eq!(SignedCard::verify(&padded), Err(CardError::NotCanonical));
}

#[test]
fn fields_of_later_versions_are_kept_in_the_bytes() {
    let owner = Owner::new();
    let mut contents = encode(&owner.card()).encode_to_vec();
    contents.extend([0xf8, 0x07, 0x2a]);
    let bytes = owner.sign_contents(&contents).encode_to_vec();
    let signed = SignedCard::verify(&bytes).unwrap();
    assert_eq!(*signed.card(), owner.card());
    assert_eq!(signed.bytes(), bytes);
}

/// Pins the format: what an earlier build signed.
#[test]
fn a_card_that_an_earlier_build_signed_is_still_believed() {
    let signed = SignedCard::verify(include_bytes!("../../tests/known/card.bin")).unwrap();
    assert_eq!(signed.card().peer, Owner::new().identity.peer());
    assert_eq!(signed.card().seq, 1_764_000_000);
    assert_eq!(signed.card().name, "kitchen");
    assert_eq!(signed.card().addresses, ["/ip4/192.0.2.7/udp/4001/quic-v1"]);
    assert_eq!(signed.card().capabilities, ["mailbox"]);
    assert_eq!(signed.card().ratchet.fallback_id, 0);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        prop_assert!(SignedCard::verify(&bytes).is_err());
    }

    /// Contents that are signed but arbitrary reach the code behind the signatures.
    #[test]
    fn no_signed_contents_panic(contents: Vec<u8>, at: prop::sample::Index, value: u8) {
        let owner = Owner::new();
        let _ = SignedCard::verify(&owner.sign_contents(&contents).encode_to_vec());
        let mut altered = encode(&owner.card()).encode_to_vec();
        let at = at.index(altered.len());
        altered[at] = value;
        let _ = SignedCard::verify(&owner.sign_contents(&altered).encode_to_vec());
    }
}
