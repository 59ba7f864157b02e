//! Every table has its bound.

use std::time::Duration;

use super::super::config::{
    DEMANDS, MAX_AVOIDED, MAX_FETCHES, MAX_HEARD, MAX_HELD, MAX_LINKS, MAX_PREFERRED, MAX_STRANGE_SOURCES, MAX_WAITING,
    UPDATES_READ, VERIFICATIONS,
};
use super::super::{Config, Event, Preference};
use super::solo::{Peer, Solo, update};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::{MAX_INDICES, Named, RouteUpdate, Routing, SeqRequest, Version};

/// An update about nobody that exists.
fn invented(index: u16, number: u64) -> RouteUpdate {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    RouteUpdate {
        index,
        cost: 1,
        hops: 1,
        chain: tidings_crypto::ChainValue(id),
        named: Some(Named {
            to: tidings_crypto::RoutingId(id),
            version: Version { boot: 1, seq: 1 },
            hash: tidings_crypto::AnnouncementHash(id),
            age_s: 0,
            follows: false,
        }),
    }
}

fn small(max_destinations: usize) -> Solo {
    Solo::with(Config { max_destinations, ..Config::default() })
}

#[test]
fn the_nearest_keep_their_places_and_contacts_before_them() {
    let mut solo = small(4);
    let link = solo.link(&Peer::new(0));
    let peers: Vec<_> = (1..=7).map(Peer::new).collect();
    for (index, cost) in [(0, 9), (1, 8), (2, 7), (3, 6)] {
        solo.offer(link, index, &peers[usize::from(index)].sign(1, 1), cost);
    }
    assert_eq!(solo.state.stats().destinations, 4);
    // As far as the farthest: refused, and not even fetched.
    let verified = solo.verified;
    solo.offer(link, 4, &peers[4].sign(1, 1), 9);
    assert!(solo.next(&peers[4]).is_none());
    assert_eq!((solo.verified, solo.state.stats().refused), (verified, 1));
    // Nearer: the farthest makes room.
    solo.offer(link, 5, &peers[5].sign(1, 1), 2);
    assert!(solo.next(&peers[5]).is_some() && solo.next(&peers[0]).is_none());
    // A contact, however far, even if it was refused before.
    solo.handle(Event::Prefer { peer: peers[4].key(), preference: Preference::Contact });
    solo.give(link, &peers[4].sign(1, 1));
    assert!(solo.next(&peers[4]).is_some() && solo.next(&peers[1]).is_none());
    assert_eq!(solo.state.stats().destinations, 4);
    // Nobody makes room whom this node cares for.
    for peer in &peers {
        solo.handle(Event::Prefer { peer: peer.key(), preference: Preference::InUse });
    }
    solo.offer(link, 6, &peers[6].sign(1, 1), 1);
    assert!(solo.next(&peers[6]).is_none());
}

#[test]
fn a_flood_of_strangers_leaves_room_in_the_source_table_for_who_matters() {
    let mut sources = super::super::feasibility::Sources::default();
    let id = |number: u64| invented(0, number).named.expect("it is named").to;
    let now = Instant(1_000_000);
    let flood = (0..2 * MAX_STRANGE_SOURCES as u64).filter(|n| sources.admit(id(*n), Preference::None, now, |_| false));
    assert_eq!(flood.count(), MAX_STRANGE_SOURCES);
    assert!(sources.admit(id(u64::MAX), Preference::Contact, now, |_| false));
    // Only what has been unused for long enough makes room.
    let later = now + Duration::from_mins(10);
    assert!(!sources.admit(id(u64::MAX - 1), Preference::None, later, |_| true));
    assert!(sources.admit(id(u64::MAX - 1), Preference::None, later, |_| false));
    assert_eq!(sources.len(), MAX_STRANGE_SOURCES + 1);
    let more = (0..MAX_STRANGE_SOURCES as u64)
        .filter(|n| sources.admit(id(u64::MAX / 2 + n), Preference::Contact, later, |_| true));
    assert_eq!(more.count(), super::super::config::MAX_SOURCES - MAX_STRANGE_SOURCES - 1);
}

#[test]
fn what_a_link_may_cost_is_bounded() {
    let (mut solo, flooder) = (Solo::new(), Peer::new(1));
    let link = solo.link(&flooder);
    for number in 0..u64::from(UPDATES_READ.burst) {
        let index = u16::try_from(number % MAX_INDICES as u64).expect("it is an index");
        solo.updates(link, vec![invented(index, number)]);
    }
    assert_eq!(solo.evidence(), []);
    solo.updates(link, vec![invented(0, u64::MAX)]);
    assert_eq!(solo.evidence(), [(flooder.key(), Evidence::Flood)]);
    // It was asked for no more than it may make this node check.
    let asked: usize = solo
        .sent(link)
        .iter()
        .map(|frame| if let Routing::WantAnnouncements(hashes) = frame { hashes.len() } else { 0 })
        .sum();
    assert_eq!(asked, VERIFICATIONS.burst as usize);
    assert_eq!(solo.state.announcements.fetches.len(), MAX_FETCHES);
    assert_eq!(solo.state.heard, MAX_INDICES);
    // Answers that nobody asked for are not checked.
    for number in 0..100 {
        solo.give(link, &Peer::new(1_000 + number).sign(1, 1));
    }
    assert_eq!(solo.verified, 0);
    for _ in 0..=DEMANDS.burst {
        let request = SeqRequest { to: solo.me.id(), version: Version { boot: 1, seq: 1 }, ttl: 1 };
        solo.hear(link, Routing::SeqRequest(request));
    }
    assert_eq!(solo.evidence(), [(flooder.key(), Evidence::Flood)]);
}

#[test]
fn what_all_links_say_is_bounded() {
    let mut solo = Solo::new();
    let links: Vec<_> = (0..=MAX_HEARD / MAX_INDICES).map(|number| solo.link(&Peer::new(number as u64))).collect();
    for (number, link) in links.iter().enumerate() {
        for index in 0..MAX_INDICES as u64 {
            let update = invented(u16::try_from(index).expect("it is an index"), index);
            solo.updates(*link, vec![RouteUpdate { cost: 200, ..update }]);
        }
        assert_eq!(solo.state.heard, ((number + 1) * MAX_INDICES).min(MAX_HEARD));
    }
    assert_eq!(solo.evidence(), []);
    solo.handle(Event::LinkDown { link: links[0] });
    assert_eq!(solo.state.heard, MAX_HEARD - MAX_INDICES);
}

#[test]
fn links_preferences_and_avoided_next_hops_are_bounded() {
    let mut solo = Solo::new();
    for number in 0..=MAX_LINKS as u64 {
        solo.handle(Event::LinkUp { link: LinkId(number), peer: Peer::new(1).key(), cost: 1 });
    }
    assert_eq!(solo.state.links.len(), MAX_LINKS);
    let key = |number: u64| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        tidings_crypto::PeerKey::from_bytes(key)
    };
    for number in 0..=MAX_PREFERRED as u64 {
        solo.handle(Event::Prefer { peer: key(number), preference: Preference::Contact });
    }
    assert_eq!(solo.state.preferences.len(), MAX_PREFERRED);
    let peer = Peer::new(1);
    solo.offer(LinkId(0), 0, &peer.sign(1, 1), 0);
    for number in 0..=MAX_AVOIDED as u64 {
        let until = solo.now + Duration::from_secs(number + 1);
        solo.handle(Event::Avoid { to: peer.id(), next: key(number), until });
    }
    assert_eq!(solo.state.destinations[&peer.id()].avoided(), MAX_AVOIDED);
}

#[test]
fn announcements_of_one_destination_and_who_waits_for_it_are_bounded() {
    let (mut solo, victim) = (Solo::new(), Peer::new(0));
    let links: Vec<_> = (1..=MAX_WAITING as u64 + 2).map(|number| solo.link(&Peer::new(number))).collect();
    for (seq, link) in links.iter().take(MAX_HELD + 1).enumerate() {
        solo.offer(*link, 0, &victim.sign(1, 1 + seq as u64), 10);
        solo.run_for(Duration::from_secs(5));
    }
    assert!(solo.state.destinations[&victim.id()].held.len() <= MAX_HELD);
    assert!(solo.state.announcements.held.len() <= MAX_HELD);
    for link in &links {
        let request = SeqRequest { to: victim.id(), version: Version { boot: 1, seq: 99 }, ttl: 9 };
        solo.hear(*link, Routing::SeqRequest(request));
    }
    let request = solo.state.destinations[&victim.id()].request.as_ref().expect("it is pending");
    assert_eq!(request.waiting.len(), MAX_WAITING);
    let signed = solo.state.stats().signed;
    for link in &links {
        let request = SeqRequest { to: solo.me.id(), version: Version { boot: 1, seq: 99 }, ttl: 9 };
        solo.hear(*link, Routing::SeqRequest(request));
    }
    // Many ask at once, and this node signs no more often than its bucket allows.
    assert!(solo.state.stats().signed - signed <= u64::from(super::super::config::REQUESTS.burst));
    // An announcement that everybody offers is fetched from one after the other.
    let slow = Peer::new(999).sign(1, 1);
    for link in &links {
        solo.updates(*link, vec![update(1, &slow, 1)]);
    }
    assert_eq!(solo.state.announcements.fetches[&slow.hash()].offers.len(), MAX_WAITING);
}
