use tidings_crypto::{IdentityKey, SessionId};

use super::memory::{MAX_CARRIED, REMEMBERED};
use super::*;
use crate::wire::{Clear, MAX_HOPS, Parcel, Suite};

fn key(n: u8) -> PeerKey {
    IdentityKey::from_seed(&[n; 32]).peer()
}

fn parcel(class: Class, attempt: u64, bytes: usize, left: u32) -> Passage {
    let clear = Clear { sender: key(1), session: SessionId::from_bytes([7; 32]), content: None };
    let body = Bytes::from(vec![0; bytes]);
    let (_, encoded) = Parcel::encode(key(9).routing_id(), class, attempt, &Suite::Session(clear), body, left, None);
    Passage::decode(encoded).unwrap()
}

/// A relay between its bringers and one or more next hops.
struct Bench {
    relay: State,
    now: Instant,
    next: Vec<PeerKey>,
    sent: Vec<(RelayNo, PeerKey, Bytes)>,
    refused: Vec<(PeerKey, RefusedReason)>,
    avoided: Vec<PeerKey>,
    attempts: u64,
}

impl Bench {
    fn new(held_bytes: usize, next: &[PeerKey]) -> Self {
        Self {
            relay: State::new(Config { held_bytes }, key(0).routing_id()),
            now: Instant::default(),
            next: next.to_vec(),
            sent: Vec::new(),
            refused: Vec::new(),
            avoided: Vec::new(),
            attempts: 0,
        }
    }

    fn handle(&mut self, event: Event) {
        self.relay.handle(self.now, event);
        while let Some(effect) = self.relay.poll_effect() {
            match effect {
                Effect::Route { no, except, .. } => {
                    let next = self.next.iter().find(|next| !except.contains(next)).copied();
                    self.relay.handle(self.now, Event::Next { no, next });
                }
                Effect::Send { no, next, bytes, .. } => self.sent.push((no, next, bytes)),
                Effect::Withdraw(no) => self.sent.retain(|(sent, ..)| *sent != no),
                Effect::Refuse { to, reason, .. } => self.refused.push((to, reason)),
                Effect::Avoid { next, .. } => self.avoided.push(next),
            }
        }
    }

    fn bring(&mut self, from: PeerKey, class: Class, bytes: usize) -> ParcelId {
        self.attempts += 1;
        let passage = parcel(class, self.attempts, bytes, 60);
        let id = passage.id;
        self.handle(Event::Arrived { from, passage: passage.into() });
        id
    }
}

#[test]
fn a_parcel_goes_on_as_it_came_with_one_link_and_the_time_held_taken_off() {
    let mut bench = Bench::new(1 << 20, &[key(2)]);
    let passage = parcel(Class::Normal, 1, 100, 60);
    bench.handle(Event::Arrived { from: key(1), passage: passage.clone().into() });
    let onward = Passage::decode(bench.sent[0].2.clone()).unwrap();
    assert_eq!((onward.id, onward.ttl, onward.left_seconds), (passage.id, MAX_HOPS - 1, 60));
    bench.now = bench.now + Duration::from_secs(7);
    bench.next = vec![key(2), key(3)];
    bench.handle(Event::Lost(bench.sent[0].0));
    let (_, next, bytes) = bench.sent[1].clone();
    let onward = Passage::decode(bytes).unwrap();
    assert_eq!((next, onward.id, onward.ttl, onward.left_seconds), (key(3), passage.id, MAX_HOPS - 1, 53));
    bench.handle(Event::Got(bench.sent[1].0));
    assert_eq!(bench.relay.stats().relayed, 1);
    assert_eq!(bench.relay.stats().held_bytes, 0);
    assert_eq!(bench.relay.next_deadline(), None);
}

#[test]
fn what_cannot_go_on_is_given_back_with_the_reason() {
    let mut bench = Bench::new(1 << 20, &[]);
    bench.bring(key(1), Class::Normal, 100);
    let mut worn = parcel(Class::Normal, 90, 100, 60);
    worn.ttl = 1;
    bench.handle(Event::Arrived { from: key(1), passage: worn.into() });
    bench.handle(Event::Arrived { from: key(1), passage: parcel(Class::Normal, 91, 100, 0).into() });
    bench.handle(Event::Arrived { from: key(1), passage: parcel(Class::Normal, 92, 100, 3).into() });
    let reasons: Vec<_> = bench.refused.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, [RefusedReason::NoRoute, RefusedReason::Hops, RefusedReason::Expired, RefusedReason::NoRoute]);
    assert!(bench.sent.is_empty());
    assert_eq!(bench.relay.stats().held_bytes, 0);
}

#[test]
fn a_parcel_that_outlives_its_time_in_the_queue_is_withdrawn() {
    let mut bench = Bench::new(1 << 20, &[key(2)]);
    bench.handle(Event::Arrived { from: key(1), passage: parcel(Class::Bulk, 1, 100, 3).into() });
    let due = bench.relay.next_deadline().unwrap();
    assert_eq!(due, bench.now + Duration::from_secs(3));
    bench.now = due;
    bench.handle(Event::Tick);
    assert!(bench.sent.is_empty());
    assert_eq!(bench.refused, [(key(1), RefusedReason::Expired)]);
}

#[test]
fn a_refusal_goes_back_the_way_the_parcel_came_and_from_nobody_else() {
    let mut bench = Bench::new(1 << 20, &[key(2)]);
    let id = bench.bring(key(1), Class::Normal, 100);
    bench.handle(Event::Got(bench.sent[0].0));
    bench.handle(Event::Refused { by: key(3), parcel: id, reason: RefusedReason::Busy });
    assert!(bench.refused.is_empty());
    bench.handle(Event::Refused { by: key(2), parcel: id, reason: RefusedReason::Busy });
    assert_eq!(bench.refused, [(key(1), RefusedReason::Busy)]);
    assert_eq!(bench.avoided, [key(2)]);
}

#[test]
fn a_refusal_that_comes_while_the_parcel_is_here_sends_it_another_way() {
    let mut bench = Bench::new(1 << 20, &[key(2), key(3)]);
    let id = bench.bring(key(1), Class::Normal, 100);
    bench.handle(Event::Refused { by: key(2), parcel: id, reason: RefusedReason::NoRoute });
    assert_eq!(bench.sent[1].1, key(3));
    bench.handle(Event::Refused { by: key(3), parcel: id, reason: RefusedReason::NoRoute });
    assert_eq!(bench.refused, [(key(1), RefusedReason::NoRoute)]);
}

#[test]
fn a_parcel_that_comes_again_is_left_out_and_one_that_went_round_is_given_back() {
    let mut bench = Bench::new(1 << 20, &[key(2)]);
    let passage = parcel(Class::Normal, 1, 100, 60);
    for from in [key(1), key(1), key(3)] {
        bench.handle(Event::Arrived { from, passage: passage.clone().into() });
    }
    assert_eq!(bench.sent.len(), 1);
    assert_eq!(bench.refused, [(key(3), RefusedReason::NoRoute)]);
    bench.now = bench.now + REMEMBERED;
    bench.attempts = 100;
    bench.bring(key(1), Class::Normal, 100);
    bench.handle(Event::Arrived { from: key(3), passage: passage.into() });
    assert_eq!(bench.sent.len(), 3, "forgotten by then");
}

#[test]
fn nothing_goes_back_to_who_brought_it() {
    let mut bench = Bench::new(1 << 20, &[key(1)]);
    bench.bring(key(1), Class::Normal, 100);
    assert_eq!(bench.refused, [(key(1), RefusedReason::NoRoute)]);
}

#[test]
fn all_that_is_held_is_bounded() {
    let mut bench = Bench::new(10_000, &[key(2)]);
    for _ in 0..200 {
        bench.bring(key(1), Class::Normal, 100);
    }
    assert!(bench.relay.stats().held_bytes <= 10_000);
    assert_eq!(bench.refused.last(), Some(&(key(1), RefusedReason::Busy)));
    let held = bench.sent.len();
    for (no, ..) in bench.sent.clone() {
        bench.handle(Event::Got(no));
    }
    bench.bring(key(1), Class::Normal, 100);
    assert_eq!(bench.sent.len(), held + 1);
}

#[test]
fn bringers_share_a_next_hop_equally_and_critical_has_room_of_its_own() {
    let mut bench = Bench::new(64 << 20, &[key(2)]);
    let bytes = 10_000;
    for _ in 0..2 * NEXT_BYTES / bytes {
        bench.bring(key(1), Class::Normal, bytes);
    }
    let first = bench.sent.len();
    assert!(first * bytes <= NEXT_BYTES, "one alone may take it all, and no more");
    // Another one comes: it is not crowded out.
    for _ in 0..2 * NEXT_BYTES / bytes {
        bench.bring(key(3), Class::Bulk, bytes);
    }
    let second = bench.sent.len() - first;
    assert!(second * bytes > NEXT_BYTES / 2 - 2 * bytes, "{second}");
    bench.bring(key(1), Class::Critical, bytes);
    assert_eq!(bench.sent.len(), first + second + 1);
    for _ in 0..2 * NEXT_CRITICAL_BYTES / bytes {
        bench.bring(key(1), Class::Critical, bytes);
    }
    assert!((bench.sent.len() - first - second) * bytes <= NEXT_CRITICAL_BYTES);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut bench = Bench::new(64 << 20, &[key(2)]);
    let first = bench.bring(key(1), Class::Normal, 10);
    for _ in 0..MAX_CARRIED {
        bench.bring(key(1), Class::Normal, 10);
        let (no, ..) = bench.sent.pop().unwrap();
        bench.handle(Event::Got(no));
    }
    assert!(bench.relay.memory.get(&first).is_none());
    assert_eq!(bench.relay.memory.len(), MAX_CARRIED);
}
