use proptest::prelude::*;

use super::*;

fn identity() -> IdentityKey {
    IdentityKey::from_seed(&[1; 32])
}

fn announcement() -> Announcement {
    let peer = identity().peer();
    Announcement {
        peer,
        boot: 3,
        seq: 9,
        lifetime_s: MAX_LIFETIME_S,
        top: Chain::new(&peer, 3, 9).top(ChainValue([7; 16])),
        card_seq: 1_764_000_000,
        power: Power::Mains,
        labels: vec!["kitchen".into()],
        capabilities: vec!["mailbox".into()],
        topics: vec![[5; 8]],
        neighbours: Neighbours { count: 12, listed: vec![[1; 4], [2; 4]] },
    }
}

fn full() -> Announcement {
    Announcement {
        boot: u64::MAX,
        seq: u64::MAX,
        card_seq: u64::MAX,
        labels: vec!["l".repeat(MAX_LABEL_BYTES); MAX_LABELS],
        capabilities: vec!["c".repeat(MAX_LABEL_BYTES); MAX_LABELS],
        topics: vec![[5; 8]; MAX_TOPICS],
        neighbours: Neighbours { count: u32::MAX, listed: vec![[9; 4]; MAX_LISTED_NEIGHBOURS] },
        ..announcement()
    }
}

/// Signs contents as they are, with every check left out.
fn sign_contents(contents: &[u8]) -> Vec<u8> {
    proto::SignedAnnouncement {
        announcement: contents.to_vec().into(),
        alg: ALG_ED25519,
        signature: identity().sign(DOMAIN, contents).to_vec().into(),
    }
    .encode_to_vec()
}

/// Changes an announcement in a way that [`Announcement`] may not be able to say, signs and verifies it.
fn verify_changed(change: impl FnOnce(&mut proto::Announcement)) -> Result<SignedAnnouncement, AnnouncementError> {
    let mut contents = encode(&announcement());
    change(&mut contents);
    SignedAnnouncement::verify(&sign_contents(&contents.encode_to_vec()))
}

#[test]
fn a_signed_announcement_is_believed_and_says_what_was_signed() {
    for announcement in [announcement(), full()] {
        let signed = SignedAnnouncement::sign(&announcement, &identity()).unwrap();
        let read = SignedAnnouncement::verify(signed.bytes()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(*read.announcement(), announcement);
    }
}

#[test]
fn an_announcement_without_lists_takes_less_than_two_hundred_bytes() {
    let plain = Announcement {
        labels: Vec::new(),
        capabilities: Vec::new(),
        topics: Vec::new(),
        neighbours: Neighbours::default(),
        ..announcement()
    };
    assert!(SignedAnnouncement::sign(&plain, &identity()).unwrap().bytes().len() < 200);
}

#[test]
fn nobody_signs_for_somebody_else() {
    let other = IdentityKey::from_seed(&[2; 32]);
    let expected = AnnouncementError::OtherPeer { expected: other.peer(), got: identity().peer() };
    assert_eq!(SignedAnnouncement::sign(&announcement(), &other), Err(expected));
    // The signature of one key below the name of another.
    let signed = SignedAnnouncement::sign(&Announcement { peer: other.peer(), ..announcement() }, &other).unwrap();
    let mut outer = proto::SignedAnnouncement::decode(signed.bytes().as_ref()).unwrap();
    outer.announcement = encode(&announcement()).encode_to_vec().into();
    let mismatch = AnnouncementError::Signature(SignatureError::Mismatch);
    assert_eq!(SignedAnnouncement::verify(&outer.encode_to_vec()), Err(mismatch));
}

#[test]
fn every_changed_byte_is_noticed() {
    let signed = SignedAnnouncement::sign(&announcement(), &identity()).unwrap();
    for at in 0..signed.bytes().len() {
        let mut bytes = signed.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(SignedAnnouncement::verify(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn fields_of_a_later_version_are_kept_as_they_came() {
    let mut contents = encode(&announcement()).encode_to_vec();
    contents.extend_from_slice(&[0xf2, 0x01, 2, 4, 2]);
    let bytes = sign_contents(&contents);
    let read = SignedAnnouncement::verify(&bytes).unwrap();
    assert_eq!(*read.bytes(), bytes);
    assert_eq!(read.hash(), AnnouncementHash::of(&bytes));
}

/// Makes an announcement break a limit.
type Change = fn(&mut proto::Announcement);

#[test]
fn what_breaks_a_limit_is_refused() {
    let too_long = |what, max| AnnouncementError::TooLong { what, max, got: max + 1 };
    let cases: [(Change, AnnouncementError); 12] = [
        (|a| a.version = 2, AnnouncementError::OtherVersion { expected: 1, got: 2 }),
        (|a| a.lifetime_s = 0, AnnouncementError::Lifetime { got: 0 }),
        (|a| a.lifetime_s = MAX_LIFETIME_S + 1, AnnouncementError::Lifetime { got: MAX_LIFETIME_S + 1 }),
        (|a| a.labels = vec![String::new(); 9], too_long("list of labels", 8)),
        (|a| a.labels = vec!["l".repeat(33)], too_long("label", 32)),
        (|a| a.capabilities = vec![String::new(); 9], too_long("list of capabilities", 8)),
        (|a| a.topics = vec![vec![0; 8].into(); 33], too_long("list of topics", 32)),
        (|a| a.topics = vec![vec![0; 7].into()], wrong_length("topic", 8, 7)),
        (|a| a.neighbours = vec![0; 44].into(), too_long("list of neighbours", 10)),
        (|a| a.neighbour_count = 1, AnnouncementError::Neighbours { listed: 2, count: 1 }),
        (|a| a.power = 4, AnnouncementError::OtherPower { got: 4 }),
        (|a| a.top = vec![0; 15].into(), wrong_length("chain value", 16, 15)),
    ];
    for (change, expected) in cases {
        assert_eq!(verify_changed(change), Err(expected));
    }
    assert_eq!(SignedAnnouncement::verify(&[0; 1_281]), Err(too_long("signed announcement", 1_280)));
}

fn wrong_length(what: &'static str, expected: usize, got: usize) -> AnnouncementError {
    AnnouncementError::WrongLength { what, expected, got }
}

#[test]
fn a_chain_goes_up_and_is_another_for_each_announcement() {
    let peer = identity().peer();
    let (chain, root) = (Chain::new(&peer, 1, 1), ChainValue([3; 16]));
    let at_ten = chain.advance(root, 10);
    assert_eq!(chain.advance(at_ten, CHAIN_LENGTH - 10), chain.top(root));
    assert_ne!(chain.advance(at_ten, CHAIN_LENGTH - 9), chain.top(root));
    for other in [Chain::new(&peer, 1, 2), Chain::new(&peer, 2, 1), Chain::new(&PeerKey::from_bytes([0; 32]), 1, 1)] {
        assert_ne!(other.top(root), chain.top(root));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(SignedAnnouncement::verify(&bytes).is_err());
    }
}
