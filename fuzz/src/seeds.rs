//! Valid encodings of everything, where the fuzzer begins.

use bytes::{Bytes, BytesMut};
use tidings_core::class::Class;
use tidings_core::ids::{FlowId, MessageId, ParcelId};
use tidings_core::interval::IntervalSet;
use tidings_core::time::Wall;
use tidings_core::wire::{
    Bye, Clear, Content, Control, FlowStatement, Fragment, Frame, Hello, Inner, InviteText, MessageContent, Parcel,
    PartOf, Passage, Path, Receipt, RecordedRoute, RefusedReason, Suite, encode_content, encode_controls,
    encode_introduction,
};
use tidings_crypto::{Card, IdentityKey, OlmSealer, PeerKey, ReceiptKeyId, Sealer, SessionId, SignedCard};

/// A ratchet account, as saved.
pub const ACCOUNT: &[u8] = include_bytes!("../../crates/crypto/tests/known/account.bin");
/// A session of that account, as saved.
pub const SESSION: &[u8] = include_bytes!("../../crates/crypto/tests/known/session.bin");
/// What can be opened in that session.
const CIPHERTEXT: &[u8] = include_bytes!("../../crates/crypto/tests/known/ciphertext.bin");
/// The secret identity of the node that is fuzzed.
pub const OWN: [u8; 32] = [9; 32];
/// The secret identity of its neighbour.
pub const NEIGHBOUR: [u8; 32] = [5; 32];
/// What the wall clock says, in Unix milliseconds.
pub const WALL_MS: u64 = 1_790_000_000_000;

/// A seed: the target, a name, the input.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// Every seed. Keys are made anew at each call.
pub fn all() -> Vec<Seed> {
    let neighbour = Neighbour::new();
    let card = neighbour.card.clone();
    let (controls, whole) = (controls(&card), message(None));
    let inner = neighbour.inner(vec![encode_content(&whole)], controls.clone());
    let parcel = neighbour.parcel(&inner);
    let receipts = under_receipt_key(None);
    let frames = frames(&card, &parcel);
    let invite = InviteText { card: card.clone(), secret: [3; 16], expires_ms: WALL_MS };
    vec![
        ("address", "tcp", b"/ip4/192.0.2.1/tcp/4001".to_vec()),
        ("address", "peer", neighbour.peer.to_string().into_bytes()),
        ("address", "message", MessageId { flow: FlowId([1; 8]), seq: 7 }.to_string().into_bytes()),
        ("address", "at", b"3.14".to_vec()),
        ("card", "signed", card.to_vec()),
        ("content", "whole", encode_content(&whole).to_vec()),
        ("content", "part", encode_content(&message(Some(PartOf { index: 1, count: 3 }))).to_vec()),
        ("controls", "each", encode_controls(&controls)),
        ("frame", "each", std::iter::once(20).chain(frames.iter().flatten().copied()).collect()),
        ("inner", "message", inner.encode()),
        ("inner", "controls", neighbour.inner(Vec::new(), controls).encode()),
        ("intervals", "three", [5u64, 0, 3, 2, 0, 9, 100].iter().flat_map(|n| n.to_be_bytes()).collect()),
        ("invite", "invite", invite.encode().to_vec()),
        ("invite", "introduction", encode_introduction([3; 16]).to_vec()),
        ("parcel", "session", parcel.to_vec()),
        ("parcel", "receipts", receipts.to_vec()),
        ("parcel", "path", relayed_twice().to_vec()),
        ("sealed", "begins", neighbour.seal(&inner).1),
        ("sealed", "known", CIPHERTEXT.to_vec()),
        ("engine", "parcel", conversation(&[hello(), fragment(&parcel)])),
        ("engine", "receipts", conversation(&[hello(), fragment(&receipts)])),
        ("engine", "frames", conversation(&frames)),
    ]
}

/// Whoever writes to the node that is fuzzed.
struct Neighbour {
    peer: PeerKey,
    sealer: OlmSealer,
    card: Bytes,
}

impl Neighbour {
    fn new() -> Self {
        let (identity, sealer) = (IdentityKey::from_seed(&NEIGHBOUR), OlmSealer::generate());
        let card = Card {
            peer: identity.peer(),
            seq: 1,
            issued_ms: WALL_MS,
            expires_ms: WALL_MS + 1_000_000_000,
            name: "neighbour".to_owned(),
            ratchet: sealer.ratchet_keys(),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
            capabilities: vec!["one".to_owned()],
        };
        let signed = SignedCard::sign(&card, &identity, &sealer).expect("the card is within its limits");
        Self { peer: identity.peer(), sealer, card: Bytes::copy_from_slice(signed.bytes()) }
    }

    fn inner(&self, messages: Vec<Bytes>, controls: Vec<Control>) -> Inner {
        let recipient = IdentityKey::from_seed(&OWN).peer();
        let flow_random = [4; 8];
        let content = messages.len().checked_sub(1).map(|last| Content {
            flow: FlowId::derive(&self.peer, &recipient, &flow_random),
            seqs: IntervalSet::of(0, last as u64),
            floor: 0,
        });
        Inner {
            sender: self.peer,
            recipient,
            sender_ratchet: self.sealer.ratchet_keys().identity,
            flow_random: if content.is_some() { flow_random } else { [0; 8] },
            content,
            hop_limit: 32,
            receipt_key: Some((ReceiptKeyId([6; 8]), [8; 32])),
            sender_card: Some(self.card.clone()),
            messages,
            controls,
        }
    }

    fn seal(&self, inner: &Inner) -> (SessionId, Vec<u8>) {
        let recipient = OlmSealer::load(ACCOUNT).expect("the kept account can be read");
        let mut session = self.sealer.begin(&recipient.ratchet_keys()).expect("the kept keys are sound");
        let sealed = self.sealer.seal(&mut session, &inner.encode()).expect("the plaintext is short");
        (self.sealer.session_id(&session), sealed)
    }

    fn parcel(&self, inner: &Inner) -> Bytes {
        let (session, body) = self.seal(inner);
        let suite = Suite::Session(Clear { sender: self.peer, session, content: inner.content.clone() });
        Parcel::encode(inner.recipient.routing_id(), Class::Normal, 1, &suite, body.into(), 60, None).1
    }
}

/// A parcel of statements under a key that nobody knows.
fn under_receipt_key(path: Option<&Path>) -> Bytes {
    let sender = IdentityKey::from_seed(&NEIGHBOUR).peer();
    let to = IdentityKey::from_seed(&OWN).peer().routing_id();
    let suite = Suite::ReceiptKey { sender, key: ReceiptKeyId([6; 8]) };
    Parcel::encode(to, Class::Critical, 2, &suite, Bytes::from_static(&[0; 60]), 60, path).1
}

/// A parcel that asks for its path and has crossed two relays.
fn relayed_twice() -> Bytes {
    two_relays().relays().iter().fold(under_receipt_key(Some(&Path::default())), |parcel, relay| {
        Passage::decode(parcel).expect("a parcel").onward(*relay, 60)
    })
}

fn message(part: Option<PartOf>) -> MessageContent {
    let id = MessageId { flow: FlowId([1; 8]), seq: 7 };
    MessageContent {
        kind: "data".to_owned(),
        payload: Bytes::from_static(b"good tidings"),
        sent_at: Wall(WALL_MS),
        expires_at: Wall(WALL_MS + 60_000),
        stream: Some("letters".to_owned()),
        predecessors: vec![MessageId { seq: 3, ..id }],
        headers: vec![("name".to_owned(), "value".to_owned())],
        reply_to: Some(id),
        part,
        record_route: true,
    }
}

fn two_relays() -> Path {
    Path::from_bytes(&[9; 32]).expect("two relays")
}

fn controls(card: &Bytes) -> Vec<Control> {
    let flow = FlowId([1; 8]);
    let receipt = Receipt {
        flow,
        incarnation: 77,
        floor: 4,
        delivered: [4, 5, 9].into_iter().collect(),
        void: IntervalSet::of(6, 7),
        acknowledged_range: Some((4, 9)),
        unacknowledged: IntervalSet::of(9, 9),
        recorded: vec![RecordedRoute { seqs: IntervalSet::of(4, 5), hops: 3, path: two_relays() }],
    };
    vec![
        Control::Receipt(receipt.clone()),
        Control::FlowState(FlowStatement { flow, floor: 4, voids: IntervalSet::of(6, 7) }),
        Control::CannotOpen {
            parcel: ParcelId([2; 16]),
            session: SessionId::from_bytes([3; 32]),
            receipt: Some(receipt),
        },
        Control::Query(vec![flow, FlowId([2; 8])]),
        Control::Card(card.clone()),
    ]
}

fn hello() -> Vec<u8> {
    let hello = Hello {
        versions: vec![1],
        boot: 1,
        link: 1,
        capabilities: vec!["one".to_owned()],
        card_seq: 1,
        name: "neighbour".to_owned(),
    };
    encoded(&Frame::Hello(hello))
}

fn fragment(parcel: &Bytes) -> Vec<u8> {
    let total = u32::try_from(parcel.len()).expect("a seed is short");
    encoded(&Frame::Fragment(Fragment { class: Class::Normal, total: Some(total), bytes: parcel.clone() }))
}

fn frames(card: &Bytes, parcel: &Bytes) -> Vec<Vec<u8>> {
    let peer = PeerKey::from_bytes([2; 32]);
    let mut frames = vec![hello()];
    let others = [
        Frame::Got(0),
        Frame::Probe { nonce: 5, answer: false },
        Frame::Probe { nonce: 5, answer: true },
        Frame::Refused { parcel: ParcelId([2; 16]), reason: RefusedReason::Busy },
        Frame::FindCard { peer, nonce: 6 },
        Frame::CardFound { nonce: 6, card: card.clone() },
        Frame::Skipped,
        Frame::Fragment(Fragment { class: Class::Bulk, total: Some(2_000), bytes: parcel.slice(..100) }),
        Frame::Fragment(Fragment { class: Class::Bulk, total: None, bytes: parcel.slice(100..) }),
        Frame::Bye(Bye::ReplacedBy { dialler: peer, link: 3 }),
        Frame::Bye(Bye::ShuttingDown),
    ];
    frames.extend(others.iter().map(encoded));
    frames
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame.encode(true, &mut out);
    out.to_vec()
}

/// What the `engine` target takes: no pause, then the frames.
fn conversation(frames: &[Vec<u8>]) -> Vec<u8> {
    std::iter::once(0).chain(frames.iter().flatten().copied()).collect()
}
