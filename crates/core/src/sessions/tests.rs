use std::time::Duration;

use tidings_crypto::{Card, IdentityKey, OlmSealer};

use super::*;
use crate::ids::FlowId;
use crate::interval::IntervalSet;
use crate::wire::{Content, Receipt};

const WALL: Wall = Wall(1_800_000_000_000);

fn node(number: u8) -> (IdentityKey, State<OlmSealer>) {
    let identity = IdentityKey::from_seed(&[number; 32]);
    let sealer = OlmSealer::generate();
    let mut state = State::new(sealer, identity.peer(), Vec::new(), &[]);
    let card = Card {
        peer: identity.peer(),
        seq: 1,
        issued_ms: WALL.0,
        expires_ms: WALL.0 + 1_000_000_000,
        name: String::new(),
        ratchet: state.sealer().ratchet_keys(),
        addresses: Vec::new(),
        capabilities: Vec::new(),
    };
    let card = SignedCard::sign(&card, &identity, state.sealer()).expect("a valid card");
    state.set_own_card(&card);
    (identity, state)
}

/// Two nodes of which the first knows the second's card.
fn two() -> (State<OlmSealer>, State<OlmSealer>) {
    let ((_, mut a), (_, b)) = (node(1), node(2));
    assert!(a.learn_card(SignedCard::verify(b.own_card()).expect("a card")));
    (a, b)
}

fn plaintext(a: &State<OlmSealer>, b: &State<OlmSealer>, seq: u64) -> Plaintext {
    let flow = FlowId::derive(&a.own, &b.own, &[7; 8]);
    Plaintext {
        content: Some(Content { flow, seqs: IntervalSet::of(seq, seq), floor: 0 }),
        flow_random: [7; 8],
        messages: vec![Bytes::from_static(b"message")],
        controls: Vec::new(),
    }
}

fn receipt(seq: u64) -> Control {
    Control::Receipt(Receipt {
        flow: FlowId([1; 8]),
        incarnation: 1,
        floor: 0,
        delivered: IntervalSet::of(0, seq),
        void: IntervalSet::new(),
        acknowledged_range: None,
        unacknowledged: IntervalSet::new(),
        recorded: Vec::new(),
    })
}

fn clear(sealed: &Sealed) -> Clear {
    match &sealed.suite {
        Suite::Session(clear) => clear.clone(),
        Suite::ReceiptKey { .. } => panic!("expected a session's"),
    }
}

fn seal(a: &mut State<OlmSealer>, b: &State<OlmSealer>, seq: u64, age: Age) -> Sealed {
    let plaintext = plaintext(a, b, seq);
    a.seal(&b.own, plaintext, age, WALL).expect("a card is known")
}

#[test]
fn receipts_turn_the_ratchet_once_in_a_hundred_parcels() {
    let (mut a, mut b) = two();
    for seq in 0..500 {
        let sealed = seal(&mut a, &b, seq, Age(0));
        b.open(&clear(&sealed), &sealed.body, Age(0)).expect("the session opens it");
        let answer = b.answer(&a.own, vec![receipt(seq)], Age(0)).expect("a key is known");
        match &answer.suite {
            Suite::Session(clear) => assert!(a.open(clear, &answer.body, Age(0)).expect("an answer").answers),
            Suite::ReceiptKey { key, .. } => {
                assert_eq!(a.open_controls(&b.own, *key, &answer.body).expect("an answer").0, [receipt(seq)]);
            }
        }
    }
    assert_eq!(a.current(&b.own).map(|(_, turns)| turns), Some(5));
}

#[test]
fn a_day_turns_the_ratchet_and_renews_the_key() {
    let (mut a, mut b) = two();
    let mut keys = Vec::new();
    for day in 0..4u64 {
        let age = Age(0) + Duration::from_hours(24) * u32::try_from(day).expect("few days");
        for seq in [day * 2, day * 2 + 1] {
            let sealed = seal(&mut a, &b, seq, age);
            b.open(&clear(&sealed), &sealed.body, age).expect("the session opens it");
            let answer = b.answer(&a.own, vec![receipt(seq)], age).expect("a key is known");
            match &answer.suite {
                Suite::Session(clear) => drop(a.open(clear, &answer.body, age).expect("an answer")),
                Suite::ReceiptKey { key, .. } => {
                    a.open_controls(&b.own, *key, &answer.body).expect("an answer");
                    keys.push(*key);
                }
            }
        }
    }
    assert_eq!(a.current(&b.own).map(|(_, turns)| turns), Some(4));
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[test]
fn a_false_header_does_not_use_up_the_key_of_the_true_parcel() {
    let (mut a, mut b) = two();
    for seq in 0..3 {
        let sealed = seal(&mut a, &b, seq, Age(0));
        let truth = clear(&sealed);
        let lie = Content { flow: FlowId([9; 8]), ..truth.content.clone().expect("messages") };
        let lie = Clear { content: Some(lie), ..truth.clone() };
        assert_eq!(b.open(&lie, &sealed.body, Age(0)).err(), Some(Unopened::Forged));
        b.open(&truth, &sealed.body, Age(0)).expect("the true one opens");
        let answer = b.answer(&a.own, vec![receipt(seq)], Age(0)).expect("a key is known");
        if let Suite::Session(clear) = &answer.suite {
            a.open(clear, &answer.body, Age(0)).expect("an answer");
        }
    }
}

#[test]
fn sessions_are_restored_as_they_were_stored() {
    let (mut a, mut b) = two();
    let sealed = seal(&mut a, &b, 0, Age(0));
    let opened = b.open(&clear(&sealed), &sealed.body, Age(0)).expect("the session opens it");
    let account = OlmSealer::load(&b.sealer().save()).expect("what was saved");
    let mut again = State::new(account, b.own, Vec::new(), &[opened.session]);
    let sealed = seal(&mut a, &b, 1, Age(0));
    again.open(&clear(&sealed), &sealed.body, Age(0)).expect("the restored session opens it");
    let answer = again.answer(&a.own, vec![receipt(1)], Age(0)).expect("a key is known");
    assert!(a.open(&clear(&answer), &answer.body, Age(0)).expect("an answer").answers);
}

#[test]
fn a_dropped_session_is_not_revived_by_its_beginning() {
    let (mut a, mut b) = two();
    let mut beginnings = Vec::new();
    for seq in 0..=MAX_INBOUND_PER_PEER as u64 {
        let sealed = seal(&mut a, &b, seq, Age(0));
        let opened = b.open(&clear(&sealed), &sealed.body, Age(0)).expect("a beginning");
        assert_eq!(opened.dropped.len(), usize::from(seq == MAX_INBOUND_PER_PEER as u64));
        beginnings.push(sealed);
        a.out.clear();
    }
    let first = &beginnings[0];
    assert_eq!(b.open(&clear(first), &first.body, Age(0)).err(), Some(Unopened::CannotOpen));
}
