use proptest::prelude::*;

use super::super::{MAX_GAP, MAX_OVERHEAD_BYTES, MAX_RECEIVING_CHAINS, MAX_SKIPPED_KEYS};
use super::*;

/// Alice has begun a session to Bob, and Bob has accepted its first message.
struct Pair {
    alice: OlmSealer,
    bob: OlmSealer,
    at_alice: OlmSession,
    at_bob: OlmSession,
    first: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let (alice, mut bob) = (OlmSealer::generate(), OlmSealer::generate());
        let mut at_alice = alice.begin(&bob.ratchet_keys()).unwrap();
        let first = alice.seal(&mut at_alice, b"first").unwrap();
        let (at_bob, plaintext) = bob.accept(&first).unwrap();
        assert_eq!(plaintext, b"first");
        Self { alice, bob, at_alice, at_bob, first }
    }

    /// Alice seals so many messages; each says its number.
    fn seal(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|number| self.alice.seal(&mut self.at_alice, number.to_string().as_bytes()).unwrap()).collect()
    }

    fn open(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.bob.open(&mut self.at_bob, ciphertext)
    }

    /// One message of Alice's and one ratcheted answer: the session turns.
    fn turn(&mut self) {
        let message = self.seal(1);
        assert_eq!(self.open(&message[0]), Ok(b"0".to_vec()));
        let answer = self.bob.seal(&mut self.at_bob, b"answer").unwrap();
        assert_eq!(self.alice.open(&mut self.at_alice, &answer), Ok(b"answer".to_vec()));
    }

    /// Shows that both ends still understand each other.
    fn assert_usable(&mut self) {
        self.turn();
        self.turn();
    }
}

#[test]
fn a_session_begins_without_the_peer_and_carries_answers() {
    let mut pair = Pair::new();
    let names = [pair.alice.session_id(&pair.at_alice), pair.bob.session_id(&pair.at_bob)];
    let identity = pair.alice.ratchet_keys().identity;
    let beginning = Beginning { session: names[0], ratchet_identity: identity };
    assert_eq!(names[0], names[1]);
    assert_eq!(pair.bob.first_of(&pair.first), Some(beginning));

    // Every message begins the session until an answer has been opened.
    let second = pair.seal(1).remove(0);
    assert_eq!(pair.bob.first_of(&second), Some(beginning));
    assert_eq!(pair.open(&second), Ok(b"0".to_vec()));
    let answer = pair.bob.seal(&mut pair.at_bob, b"answer").unwrap();
    assert_eq!(answer[0], ORDINARY);
    assert_eq!(pair.alice.open(&mut pair.at_alice, &answer), Ok(b"answer".to_vec()));
    let third = pair.seal(1).remove(0);
    assert_eq!((third[0], pair.bob.first_of(&third)), (ORDINARY, None));
    pair.assert_usable();
}

#[test]
fn the_session_id_is_the_librarys() {
    let pair = Pair::new();
    let library = base64_decode(pair.at_alice.session.session_id()).unwrap();
    assert_eq!(pair.at_alice.id().as_bytes().as_slice(), library);
    let OlmMessage::PreKey(message) = parse(&pair.first).unwrap() else {
        panic!("expected a message that begins a session");
    };
    let read = BeginningKeys::read(&pair.first).unwrap();
    assert_eq!(read, message.session_keys());
}

#[test]
fn forty_skipped_messages_can_come_in_any_order_and_an_older_one_cannot() {
    let mut pair = Pair::new();
    let sealed = pair.seal(MAX_SKIPPED_KEYS + 2);
    let (last, skipped) = sealed.split_last().unwrap();
    assert_eq!(pair.open(last), Ok(b"41".to_vec()));
    assert_eq!(pair.open(&skipped[0]), Err(OpenError::KeyGone { index: 1 }));
    for number in (1..skipped.len()).rev() {
        assert_eq!(pair.open(&skipped[number]), Ok(number.to_string().into_bytes()));
    }
    pair.assert_usable();
}

#[test]
fn two_thousand_missing_messages_are_bridged_and_one_more_is_not() {
    let mut pair = Pair::new();
    let sealed = pair.seal(MAX_GAP as usize + 2);
    let [.., within, beyond] = sealed.as_slice() else { panic!("expected two messages") };
    assert_eq!(pair.open(beyond), Err(OpenError::Gap { max: MAX_GAP, got: MAX_GAP + 1 }));
    // The refusal changed nothing: the one before can be opened, and closes the gap.
    assert_eq!(pair.open(within), Ok(MAX_GAP.to_string().into_bytes()));
    assert_eq!(pair.open(beyond), Ok((MAX_GAP + 1).to_string().into_bytes()));
    pair.assert_usable();
}

#[test]
fn a_held_message_survives_four_turns_and_not_five() {
    for (turns, expected) in
        [(MAX_RECEIVING_CHAINS - 1, Ok(b"0".to_vec())), (MAX_RECEIVING_CHAINS, Err(OpenError::NotAuthentic))]
    {
        let mut pair = Pair::new();
        let held = pair.seal(1).remove(0);
        // The first turn ends the chain that the held message is in.
        for _ in 0..=turns {
            pair.turn();
        }
        assert_eq!(pair.open(&held), expected, "{turns} turns");
        pair.assert_usable();
    }
}

#[test]
fn an_opened_message_does_not_open_again() {
    let mut pair = Pair::new();
    let sealed = pair.seal(2);
    assert_eq!(pair.open(&pair.first.clone()), Err(OpenError::KeyGone { index: 0 }));
    for (ciphertext, index) in sealed.iter().zip(1..) {
        assert!(pair.open(ciphertext).is_ok());
        assert_eq!(pair.open(ciphertext), Err(OpenError::KeyGone { index }));
    }
    pair.assert_usable();
}

#[test]
fn keys_stolen_after_delivery_open_nothing_that_was_delivered() {
    let mut pair = Pair::new();
    let mut captured = vec![pair.first.clone()];
    for _ in 0..3 {
        let sealed = pair.seal(5);
        for ciphertext in sealed.iter().rev() {
            assert!(pair.open(ciphertext).is_ok());
        }
        captured.extend(sealed);
        pair.turn();
    }
    pair.bob.rotate_fallback();
    assert!(pair.bob.forget_previous_fallback());

    let mut thief = OlmSealer::load(&pair.bob.save()).unwrap();
    let stolen = pair.bob.save_session(&pair.at_bob);
    for ciphertext in captured {
        let mut session = thief.load_session(&stolen).unwrap();
        let opened = thief.open(&mut session, &ciphertext);
        assert!(matches!(opened, Err(OpenError::KeyGone { .. })), "{opened:?}");
        let accepted = thief.accept(&ciphertext).map(|(_, plaintext)| plaintext);
        let refusals = [Err(OpenError::UnknownFallback), Err(OpenError::NotABeginning)];
        assert!(refusals.contains(&accepted), "{accepted:?}");
    }
}

/// Why callers have to recognise a session by its id: the ratchet does not.
#[test]
fn a_replayed_beginning_is_accepted_again_as_the_same_session() {
    let mut pair = Pair::new();
    let (again, plaintext) = pair.bob.accept(&pair.first.clone()).unwrap();
    assert_eq!(plaintext, b"first");
    assert_eq!(pair.bob.session_id(&again), pair.bob.session_id(&pair.at_bob));
    assert_eq!(pair.bob.first_of(&pair.first).unwrap().session, again.id());
}

/// X25519 computes the same secret from more than one form of a key.
#[test]
fn a_beginning_cannot_be_given_another_session_id() {
    let (alice, mut bob) = (OlmSealer::generate(), OlmSealer::generate());
    let mut session = alice.begin(&bob.ratchet_keys()).unwrap();
    let first = alice.seal(&mut session, b"first").unwrap();
    // Kind, version, then three times a tag, a length and a key.
    for key in [4, 38, 72] {
        let mut altered = first.clone();
        altered[key + 31] ^= 0x80;
        assert_eq!(bob.first_of(&altered), None);
        assert_eq!(bob.accept(&altered).unwrap_err(), OpenError::Malformed);
        assert_eq!(bob.open(&mut session, &altered), Err(OpenError::Malformed));
    }

    let mut key = [0xff; 32];
    let mut canonical = |low, high| {
        (key[0], key[31]) = (low, high);
        let key = Curve25519PublicKey::from_bytes(key);
        are_canonical(&SessionKeys { identity_key: key, base_key: key, one_time_key: key })
    };
    assert_eq!([(0xec, 0x7f), (0xff, 0x7e)].map(|(low, high)| canonical(low, high)), [true; 2]);
    assert_eq!([(0xed, 0x7f), (0x00, 0x80)].map(|(low, high)| canonical(low, high)), [false; 2]);
}

#[test]
fn an_altered_message_is_refused_and_the_session_goes_on() {
    let mut pair = Pair::new();
    let beginning = pair.seal(1).remove(0);
    pair.turn();
    let ordinary = pair.seal(1).remove(0);
    for ciphertext in [beginning, ordinary] {
        for bit in 0..ciphertext.len() * 8 {
            let mut altered = ciphertext.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(pair.open(&altered).is_err(), "bit {bit}");
        }
        assert_eq!(pair.open(&ciphertext), Ok(b"0".to_vec()));
    }
    pair.assert_usable();
}

#[test]
fn an_altered_beginning_is_not_accepted_and_the_true_one_is_after_it() {
    let (alice, mut bob) = (OlmSealer::generate(), OlmSealer::generate());
    let mut session = alice.begin(&bob.ratchet_keys()).unwrap();
    let first = alice.seal(&mut session, b"first").unwrap();
    for bit in 0..first.len() * 8 {
        let mut altered = first.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(bob.accept(&altered).is_err(), "bit {bit}");
    }
    assert_eq!(bob.accept(&first).unwrap().1, b"first");
}

#[test]
fn a_message_of_another_session_is_named_as_such() {
    let (mut pair, other) = (Pair::new(), Pair::new());
    assert_eq!(
        pair.open(&other.first),
        Err(OpenError::OtherSession { expected: pair.at_bob.id(), got: other.at_bob.id() })
    );
    // Bob's end of the session does not take back what Bob sealed.
    let answer = pair.bob.seal(&mut pair.at_bob, b"answer").unwrap();
    assert_eq!(pair.open(&answer), Err(OpenError::NotAuthentic));
    assert_eq!(pair.bob.accept(&answer).unwrap_err(), OpenError::NotABeginning);
    pair.assert_usable();
}

#[test]
fn the_truncated_mac_is_refused_when_accepting_and_when_loading() {
    let (old, mut bob) = (Account::new(), OlmSealer::generate());
    let keys = bob.ratchet_keys();
    let mut session = old
        .create_outbound_session(
            SessionConfig::version_1(),
            Curve25519PublicKey::from_bytes(keys.identity),
            Curve25519PublicKey::from_bytes(keys.fallback),
        )
        .unwrap();
    let (kind, bytes) = session.encrypt("old").unwrap().to_parts();
    let ciphertext = [&[kind as u8], bytes.as_slice()].concat();
    assert_eq!(bob.accept(&ciphertext).unwrap_err(), OpenError::OtherVersion { expected: 2 });
    assert_eq!(
        bob.load_session(&pickle::write(&session.pickle())).unwrap_err(),
        LoadError::OtherVersion { expected: 2, got: 1 }
    );
}

#[test]
fn keys_of_small_order_begin_no_session() {
    let (alice, mut bob) = (OlmSealer::generate(), OlmSealer::generate());
    let good = bob.ratchet_keys();
    let weak = [RatchetKeys { identity: [0; 32], ..good }, RatchetKeys { fallback: [0; 32], ..good }];
    for keys in weak {
        assert_eq!(alice.begin(&keys).unwrap_err(), SealError::WeakKey);
    }
    let mut session = alice.begin(&good).unwrap();
    let mut first = alice.seal(&mut session, b"first").unwrap();
    let at = first.windows(32).position(|key| *key == alice.ratchet_keys().identity).unwrap();
    first[at..at + 32].fill(0);
    assert_eq!(bob.accept(&first).unwrap_err(), OpenError::WeakKey);
}

#[test]
fn replaced_fallback_keys_are_accepted_until_they_are_forgotten() {
    let (alice, mut bob) = (OlmSealer::generate(), OlmSealer::generate());
    let begin_and_rotate = |bob: &mut OlmSealer| {
        let mut session = alice.begin(&bob.ratchet_keys()).unwrap();
        bob.rotate_fallback();
        alice.seal(&mut session, b"first").unwrap()
    };
    let firsts: Vec<_> = (0..6).map(|_| begin_and_rotate(&mut bob)).collect();
    assert_eq!(bob.ratchet_keys().fallback_id, 6);
    let accepts = |bob: &mut OlmSealer| firsts.iter().map(|first| bob.accept(first).is_ok()).collect::<Vec<_>>();

    // Four replaced keys are kept, also across a restart.
    assert_eq!(accepts(&mut bob), [false, false, true, true, true, true]);
    let mut bob = OlmSealer::load(&bob.save()).unwrap();
    assert_eq!(accepts(&mut bob), [false, false, true, true, true, true]);

    // The oldest goes first.
    for kept in (0..4).rev() {
        assert!(bob.forget_previous_fallback());
        let accepted = accepts(&mut bob).into_iter().filter(|accepted| *accepted).count();
        assert_eq!(accepted, kept);
    }
    assert!(!bob.forget_previous_fallback());
    assert_eq!(accepts(&mut bob), [false; 6]);

    let last = begin_and_rotate(&mut bob);
    assert!(bob.accept(&last).is_ok());
}

#[test]
fn saved_keys_and_sessions_go_on_where_they_were() {
    let mut pair = Pair::new();
    for _ in 0..MAX_RECEIVING_CHAINS {
        let skipped = pair.seal(3);
        pair.turn();
        pair.alice = OlmSealer::load(&pair.alice.save()).unwrap();
        pair.bob = OlmSealer::load(&pair.bob.save()).unwrap();
        pair.at_alice = pair.alice.load_session(&pair.alice.save_session(&pair.at_alice)).unwrap();
        pair.at_bob = pair.bob.load_session(&pair.bob.save_session(&pair.at_bob)).unwrap();
        assert_eq!(pair.open(&skipped[1]), Ok(b"1".to_vec()));
    }
    let before = pair.bob.ratchet_keys();
    assert_eq!(OlmSealer::load(&pair.bob.save()).unwrap().ratchet_keys(), before);
    pair.assert_usable();
}

#[test]
fn what_is_saved_has_about_the_stated_size() {
    let mut pair = Pair::new();
    let within = |expected: usize, got: usize| {
        assert!(got.abs_diff(expected) <= expected / 10, "expected about {expected}, got {got}");
    };
    let begun = pair.alice.begin(&pair.bob.ratchet_keys()).unwrap();
    within(543, pair.alice.save_session(&begun).len());
    for _ in 0..MAX_RECEIVING_CHAINS {
        let _lost = pair.seal(MAX_SKIPPED_KEYS);
        pair.turn();
    }
    within(1_347, pair.alice.save_session(&pair.at_alice).len());
    within(14_200, pair.bob.save_session(&pair.at_bob).len());
    within(319, pair.alice.save().len());
    for _ in 0..4 {
        pair.bob.rotate_fallback();
    }
    within(1_547, pair.bob.save().len());
}

#[test]
fn saved_bytes_that_are_damaged_are_refused_with_the_reason() {
    let pair = Pair::new();
    let load = |bytes: &[u8]| OlmSealer::load(bytes).map(|_| ()).unwrap_err();
    let saved = pair.bob.save();
    assert_eq!(load(&[]), LoadError::Empty);
    assert_eq!(load(&[2]), LoadError::OtherFormat { expected: 1, got: 2 });
    assert_eq!(load(&saved[..saved.len() - 1]), LoadError::Malformed);
    assert_eq!(load(&[saved.as_slice(), &[0]].concat()), LoadError::Malformed);
    assert_eq!(load(&pair.bob.save_session(&pair.at_bob)), LoadError::Malformed);
    assert_eq!(pair.bob.load_session(&saved).unwrap_err(), LoadError::Malformed);
    assert_eq!(load(&pickle::write(&vec![Account::new().pickle()])), LoadError::NoFallback);
    assert_eq!(load(&pickle::write(&Vec::<AccountPickle>::new())), LoadError::Malformed);
}

/// Pins the format: what an earlier build saved.
#[test]
fn what_an_earlier_build_saved_is_still_loaded() {
    let bob = OlmSealer::load(include_bytes!("../../../tests/known/account.bin")).unwrap();
    assert_eq!(bob.ratchet_keys().fallback_id, 1);
    let mut session = bob.load_session(include_bytes!("../../../tests/known/session.bin")).unwrap();
    let opened = bob.open(&mut session, include_bytes!("../../../tests/known/ciphertext.bin"));
    assert_eq!(opened, Ok(b"known".to_vec()));
}

#[test]
fn lengths_are_limited_both_ways() {
    let mut pair = Pair::new();
    assert_eq!(pair.alice.seal(&mut pair.at_alice, &[0; 65_537]), Err(SealError::TooLong { max: 65_536, got: 65_537 }));
    for _ in 0..2 {
        let longest = pair.alice.seal(&mut pair.at_alice, &[7; 65_536]).unwrap();
        assert!(longest.len() <= MAX_PLAINTEXT_BYTES + MAX_OVERHEAD_BYTES);
        assert_eq!(pair.open(&longest), Ok(vec![7; 65_536]));
        pair.turn();
    }
    let too_long = OpenError::TooLong { max: 65_792, got: 65_793 };
    let longer = vec![BEGINNING; 65_793];
    assert_eq!(pair.open(&longer), Err(too_long.clone()));
    assert_eq!(pair.bob.accept(&longer).unwrap_err(), too_long);
    assert_eq!(pair.bob.first_of(&longer), None);
    let empty = pair.alice.seal(&mut pair.at_alice, b"").unwrap();
    assert_eq!(pair.open(&empty), Ok(Vec::new()));
}

#[test]
fn sealers_and_sessions_show_no_secret() {
    let pair = Pair::new();
    assert_eq!(format!("{:?}", pair.bob), "OlmSealer { fallback_id: 0, .. }");
    let id = pair.at_bob.id();
    assert_eq!(format!("{:?}", pair.at_bob), format!("OlmSession {{ id: {id:?}, .. }}"));
    assert_eq!(format!("{:?}", SessionId::from_bytes([0xab; 32])), "ab".repeat(32));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Within forty places of their order, messages may be shuffled, lost and repeated.
    #[test]
    fn shuffled_lost_and_repeated_messages_open_once_each(
        fates in prop::collection::vec((0_usize..=40, 0_u8..10), 1..200),
    ) {
        let mut pair = Pair::new();
        let sealed = pair.seal(fates.len());
        let mut arrivals = Vec::new();
        for (number, (delay, fate)) in fates.iter().enumerate() {
            let copies = match fate { 0..2 => 0, 2..4 => 2, _ => 1 };
            arrivals.extend((0..copies).map(|copy| (number + delay * (1 - copy), number)));
        }
        arrivals.sort_unstable();
        let mut opened = vec![false; fates.len()];
        for (_, number) in arrivals {
            let expected = if opened[number] {
                Err(OpenError::KeyGone { index: number as u64 + 1 })
            } else {
                Ok(number.to_string().into_bytes())
            };
            prop_assert_eq!(pair.open(&sealed[number]), expected);
            opened[number] = true;
        }
        pair.assert_usable();
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, kind in 0_u8..3, version in 2_u8..6) {
        let mut pair = Pair::new();
        let shaped = [&[kind, version], bytes.as_slice()].concat();
        for ciphertext in [&bytes, &shaped] {
            let _ = pair.bob.first_of(ciphertext);
            prop_assert!(pair.bob.accept(ciphertext).is_err());
            prop_assert!(pair.open(ciphertext).is_err());
        }
        let saved = [&[1], bytes.as_slice()].concat();
        prop_assert!(pair.bob.load_session(&saved).is_err());
        prop_assert!(OlmSealer::load(&saved).is_err());
        pair.assert_usable();
    }

    #[test]
    fn no_altered_ciphertext_panics(
        at: prop::sample::Index, value: u8, length: prop::sample::Index,
    ) {
        let mut pair = Pair::new();
        let beginning = pair.seal(1).remove(0);
        pair.turn();
        let ordinary = pair.seal(1).remove(0);
        for ciphertext in [beginning, ordinary] {
            let mut altered = ciphertext.clone();
            altered[at.index(ciphertext.len())] = value;
            altered.truncate(length.index(ciphertext.len()) + 1);
            let _ = pair.bob.first_of(&altered);
            if altered != ciphertext {
                prop_assert!(pair.bob.accept(&altered).is_err());
                prop_assert!(pair.open(&altered).is_err());
            }
        }
        pair.assert_usable();
    }
}
