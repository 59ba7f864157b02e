//! What is said on links, frame by frame.

use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{Neighbours, Power};

use super::super::config::REQUESTS;
use super::super::{Effect, Event, Facts};
use super::solo::named;
use super::solo::{Peer, Solo, update};
use crate::trust::Evidence;
use crate::wire::{RouteUpdate, Routing, SeqRequest, Version};

fn version(boot: u64, seq: u64) -> Version {
    Version { boot, seq }
}

#[test]
fn an_announcement_is_fetched_once_and_from_the_next_if_the_first_is_silent() {
    let (mut solo, victim) = (Solo::new(), Peer::new(0));
    let links = [solo.link(&Peer::new(1)), solo.link(&Peer::new(2))];
    let signed = victim.sign(1, 1);
    for link in links {
        solo.sent(link);
        solo.updates(link, vec![update(0, &signed, 3)]);
    }
    let want = Routing::WantAnnouncements(vec![signed.hash()]);
    assert_eq!(solo.sent(links[0]), std::slice::from_ref(&want));
    assert_eq!(solo.sent(links[1]), []);
    solo.run_for(Duration::from_secs(2));
    assert_eq!(solo.sent(links[1]), std::slice::from_ref(&want));
    solo.handle(Event::LinkDown { link: links[1] });
    assert!(solo.sent(links[0]).contains(&want));
    solo.give(links[0], &signed);
    assert_eq!((solo.verified, solo.next(&victim).map(|hop| hop.link)), (1, Some(links[0])));
}

#[test]
fn two_next_hops_are_kept_and_a_busy_one_is_avoided_for_a_while() {
    let (mut solo, victim) = (Solo::new(), Peer::new(0));
    let peers = [Peer::new(1), Peer::new(2), Peer::new(3)];
    let signed = victim.sign(1, 1);
    // The third is as far as this node itself: it may not be used.
    for (peer, cost) in peers.iter().zip([2, 2, 3]) {
        let link = solo.link(peer);
        solo.offer(link, 0, &signed, cost);
        solo.run_for(Duration::from_secs(1));
    }
    let hops = |solo: &Solo| {
        let hops = solo.state.next_hops(&victim.id());
        [hops.best, hops.second].map(|hop| hop.map(|hop| hop.peer))
    };
    let [first, second, third] = peers.each_ref().map(|peer| Some(peer.key()));
    assert_eq!(hops(&solo), [first, second]);
    let until = solo.now + Duration::from_millis(50);
    solo.handle(Event::Avoid { to: victim.id(), next: peers[0].key(), until });
    assert_eq!(hops(&solo), [second, None]);
    solo.run_for(Duration::from_millis(51));
    solo.handle(Event::Tick);
    assert_eq!(hops(&solo), [first, second]);
    // A silent link is not used, and its answer brings it back.
    let link = solo.next(&victim).expect("there is a way").link;
    solo.handle(Event::Silent { link });
    assert_eq!(hops(&solo), [second, None]);
    solo.handle(Event::Answers { link });
    assert_eq!(hops(&solo)[1], first);
    assert!(!hops(&solo).contains(&third));
}

#[test]
fn requests_are_joined_and_their_answer_carries_the_announcement() {
    let (mut solo, victim) = (Solo::new(), Peer::new(0));
    let next = solo.link(&Peer::new(1));
    let askers = [solo.link(&Peer::new(2)), solo.link(&Peer::new(3))];
    solo.offer(next, 0, &victim.sign(1, 1), 4);
    solo.run_for(Duration::from_secs(1));
    for link in [next, askers[0], askers[1]] {
        solo.sent(link);
    }
    let request = SeqRequest { to: victim.id(), version: version(1, 2), ttl: 9 };
    for asker in askers {
        solo.hear(asker, Routing::SeqRequest(request));
    }
    assert_eq!(solo.sent(next), [Routing::SeqRequest(SeqRequest { ttl: 8, ..request })]);
    let newer = victim.sign(1, 2);
    let mut answer = update(0, &newer, 4);
    if let Some(named) = &mut answer.named {
        named.follows = true;
    }
    solo.updates(next, vec![answer]);
    solo.give(next, &newer);
    assert_eq!(solo.sent(next), [], "what follows is not asked for");
    for asker in askers {
        let said = solo.sent(asker);
        let [Routing::Updates { updates, .. }, announcement] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(
            updates.iter().filter_map(|update| update.named).map(|named| named.version).max(),
            Some(version(1, 2))
        );
        assert_eq!(*announcement, Routing::Announcement(Bytes::copy_from_slice(newer.bytes())));
    }
}

#[test]
fn a_request_is_not_passed_on_without_end() {
    let (mut solo, victim) = (Solo::new(), Peer::new(0));
    let (next, asker) = (solo.link(&Peer::new(1)), solo.link(&Peer::new(2)));
    solo.offer(next, 0, &victim.sign(1, 1), 4);
    solo.run_for(Duration::from_secs(1));
    solo.sent(next);
    solo.hear(asker, Routing::SeqRequest(SeqRequest { to: victim.id(), version: version(1, 2), ttl: 1 }));
    assert_eq!(solo.sent(next), []);
    for seq in 0..60 {
        let request = SeqRequest { to: victim.id(), version: version(1, 3 + seq), ttl: 9 };
        solo.hear(asker, Routing::SeqRequest(request));
    }
    assert_eq!(solo.sent(next).len(), usize::try_from(REQUESTS.burst).expect("few"));
}

#[test]
fn a_differing_digest_brings_everything_again() {
    let (mut solo, near, far) = (Solo::new(), Peer::new(1), Peer::new(2));
    let link = solo.link(&near);
    solo.offer(link, 0, &near.sign(1, 1), 0);
    solo.offer(link, 1, &far.sign(1, 1), 3);
    solo.sent(link);
    solo.hear(link, Routing::Digest { digest: [0; 16], count: 2 });
    solo.hear(link, Routing::Digest { digest: [0; 16], count: 2 });
    assert_eq!(solo.sent(link), [Routing::WantRoutes]);
    // Only one of them stands again.
    let updates = vec![update(1, &near.sign(1, 1), 0)];
    solo.hear(link, Routing::Updates { restart: true, updates });
    assert!(solo.next(&near).is_some() && solo.next(&far).is_none());
    solo.hear(link, Routing::WantRoutes);
    let said = solo.sent(link);
    let [Routing::Updates { restart: true, updates }] = said.as_slice() else { panic!("{said:?}") };
    assert!(updates.iter().any(|update| update.named.is_some_and(|named| named.to == solo.me.id())));
    for _ in 0..2 {
        solo.hear(link, Routing::WantRoutes);
    }
    assert_eq!(solo.evidence(), [(near.key(), Evidence::Flood)]);
}

#[test]
fn where_a_frame_found_no_room_all_is_said_anew() {
    let (mut solo, near, far) = (Solo::new(), Peer::new(1), Peer::new(2));
    let (link, other) = (solo.link(&near), solo.link(&far));
    solo.offer(other, 0, &far.sign(1, 1), 0);
    solo.run_for(Duration::from_secs(1));
    solo.sent(link);
    solo.handle(Event::LeftOut { link });
    let said = solo.sent(link);
    let [Routing::Updates { restart: true, updates }] = said.as_slice() else { panic!("{said:?}") };
    let named: Vec<_> = updates.iter().filter_map(|update| update.named).map(|named| named.to).collect();
    assert!(named.contains(&far.id()) && named.contains(&solo.me.id()), "{named:?}");
}

#[test]
fn after_a_route_without_a_name_all_is_asked_for_anew() {
    let (mut solo, neighbour) = (Solo::new(), Peer::new(1));
    let link = solo.link(&neighbour);
    solo.updates(link, vec![RouteUpdate { named: None, ..update(9, &neighbour.sign(1, 1), 0) }]);
    assert!(solo.evidence().is_empty());
    assert!(solo.sent(link).contains(&Routing::WantRoutes));
}

#[test]
fn what_a_node_says_of_itself_is_told_when_it_changes_and_refreshed_at_half_its_life() {
    let (mut solo, peer) = (Solo::new(), Peer::new(1));
    let link = solo.link(&peer);
    let told = |effect: &Effect| {
        let Effect::Announced(announcement) = effect else { return None };
        let announcement = announcement.announcement();
        Some((announcement.peer, announcement.labels.clone()))
    };
    solo.offer(link, 0, &peer.sign(1, 1), 0);
    assert_eq!(solo.take(told), [(peer.key(), Vec::new())]);
    solo.sent(link);
    let own = |solo: &mut Solo| -> Vec<Version> {
        let frames = solo.sent(link);
        let updates = frames.iter().flat_map(named);
        updates.map(|named| named.version).collect()
    };
    let facts = Facts {
        card_seq: 5,
        power: Power::Battery,
        labels: vec!["attic".to_owned()],
        neighbours: Neighbours { count: 1, listed: vec![[1; 4]] },
        ..Facts::default()
    };
    solo.run_for(Duration::from_secs(10));
    solo.handle(Event::Facts(facts.clone()));
    solo.handle(Event::Facts(facts));
    solo.run_for(Duration::from_secs(10));
    assert_eq!(own(&mut solo), [version(1, 2)]);
    solo.run_for(Duration::from_hours(12));
    assert_eq!(own(&mut solo), [version(1, 3)]);
}
