//! What neighbours say that is not so.

use std::time::Duration;

use bytes::Bytes;

use super::super::{Effect, Event};
use super::solo::{Peer, Solo, named, update};
use crate::trust::Evidence;
use crate::wire::{RouteUpdate, Routing, Version};

#[test]
fn an_announcement_with_a_wrong_signature_is_evidence() {
    let (mut solo, neighbour, victim) = (Solo::new(), Peer::new(1), Peer::new(2));
    let link = solo.link(&neighbour);
    let mut forged = victim.sign(1, 1).bytes().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut named = update(0, &victim.sign(1, 1), 1);
    if let Some(named) = &mut named.named {
        named.hash = tidings_crypto::AnnouncementHash::of(&forged);
    }
    solo.updates(link, vec![named]);
    solo.hear(link, Routing::Announcement(Bytes::from(forged)));
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::ForgedRoute)]);
    assert_eq!(solo.next(&victim), None);
}

#[test]
fn an_announcement_of_somebody_else_than_named_is_evidence() {
    let (mut solo, neighbour, victim, other) = (Solo::new(), Peer::new(1), Peer::new(2), Peer::new(3));
    let link = solo.link(&neighbour);
    let signed = other.sign(1, 1);
    let mut lie = update(0, &signed, 1);
    if let Some(named) = &mut lie.named {
        named.to = victim.id();
    }
    solo.updates(link, vec![lie]);
    solo.give(link, &signed);
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::ForgedRoute)]);
    // The announcement is held because somebody else offers it: the lie is one still.
    let honest = solo.link(&Peer::new(4));
    solo.offer(honest, 0, &signed, 2);
    let mut newer = update(0, &signed, 1);
    if let Some(named) = &mut newer.named {
        named.version = Version { boot: 1, seq: 2 };
    }
    solo.updates(link, vec![newer]);
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::ForgedRoute)]);
    assert_eq!(solo.next(&victim), None);
    assert_eq!(solo.next(&other).map(|hop| hop.link), Some(honest));
}

#[test]
fn a_neighbour_cannot_be_nearer_than_it_can_prove() {
    let (mut solo, neighbour, victim) = (Solo::new(), Peer::new(1), Peer::new(2));
    let link = solo.link(&neighbour);
    let signed = victim.sign(1, 1);
    // It knows the value at cost 5 and claims to be at 4.
    let cheap = RouteUpdate { cost: 4, ..update(0, &signed, 5) };
    solo.updates(link, vec![cheap]);
    solo.give(link, &signed);
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::CheapRoute)]);
    assert_eq!(solo.next(&victim), None);
    // Once it tells the truth it is believed, and a later lie loses the route again.
    for lie in [RouteUpdate { named: None, ..cheap }, RouteUpdate { named: None, cost: 6, ..cheap }] {
        solo.offer(link, 0, &signed, 5);
        assert_eq!(solo.next(&victim).map(|hop| hop.cost), Some(6));
        solo.updates(link, vec![lie]);
        assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::CheapRoute)]);
        assert_eq!(solo.next(&victim), None);
    }
}

#[test]
fn only_a_destination_itself_announces_at_no_cost() {
    let (mut solo, neighbour, victim) = (Solo::new(), Peer::new(1), Peer::new(2));
    let link = solo.link(&neighbour);
    let signed = victim.sign(1, 1);
    solo.offer(link, 0, &signed, 0);
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::CheapRoute)]);
    let direct = solo.link(&victim);
    solo.offer(direct, 0, &signed, 0);
    assert_eq!(solo.next(&victim).map(|hop| (hop.link, hop.cost, hop.hops)), Some((direct, 1, 1)));
    assert_eq!(solo.evidence(), []);
}

#[test]
fn rolling_back_on_a_link_is_evidence_and_elsewhere_not_believed() {
    let (mut solo, neighbour, other, victim) = (Solo::new(), Peer::new(1), Peer::new(3), Peer::new(2));
    let (link, replay) = (solo.link(&neighbour), solo.link(&other));
    let (old, new) = (victim.sign(1, 9), victim.sign(2, 1));
    solo.offer(link, 0, &old, 3);
    solo.offer(link, 0, &new, 3);
    assert_eq!(solo.next(&victim).map(|hop| hop.link), Some(link));
    // Another one comes with what it kept. This node has announced the newer one.
    solo.run_for(Duration::from_secs(2));
    solo.updates(replay, vec![update(0, &old, 1)]);
    assert_eq!(solo.next(&victim).map(|hop| hop.link), Some(link));
    assert_eq!(solo.evidence(), []);
    solo.updates(link, vec![update(0, &old, 1)]);
    assert_eq!(solo.evidence(), [(neighbour.key(), Evidence::RolledBackRoute)]);
    assert_eq!(solo.next(&victim), None);
}

#[test]
fn nobody_makes_an_announcement_live_longer() {
    let (mut solo, neighbour, victim) = (Solo::new(), Peer::new(1), Peer::new(2));
    let (link, prolongs) = (solo.link(&neighbour), solo.link(&Peer::new(3)));
    let signed = victim.sign(1, 1);
    solo.offer(link, 0, &signed, 3);
    solo.run_for(Duration::from_secs(3_000));
    // Its age is claimed to be nothing again and again.
    solo.updates(prolongs, vec![update(0, &signed, 2)]);
    assert!(solo.next(&victim).is_some());
    solo.run_for(Duration::from_secs(599));
    assert!(solo.next(&victim).is_some());
    solo.run_for(Duration::from_secs(2));
    assert_eq!(solo.next(&victim), None);
    solo.updates(prolongs, vec![update(0, &signed, 2)]);
    solo.give(prolongs, &signed);
    assert_eq!(solo.next(&victim), None);
}

#[test]
fn an_older_announcement_than_was_seen_of_a_neighbour_is_answered_with_the_newer_one() {
    let (mut solo, restored) = (Solo::new(), Peer::new(2));
    let before = solo.link(&restored);
    let newer = restored.sign(7, 3);
    solo.offer(before, 0, &newer, 0);
    // There must be somebody to whom this node has announced it.
    let _other = solo.link(&Peer::new(3));
    solo.run_for(Duration::from_secs(1));
    solo.handle(Event::LinkDown { link: before });
    let after = solo.link(&restored);
    solo.sent(after);
    solo.updates(after, vec![update(0, &restored.sign(6, 1), 0)]);
    assert_eq!(solo.sent(after), [Routing::Announcement(Bytes::copy_from_slice(newer.bytes()))]);
    assert_eq!(solo.next(&restored), None);
    // With a boot above what was seen it is believed again.
    solo.offer(after, 0, &restored.sign(8, 1), 0);
    assert!(solo.next(&restored).is_some());
}

#[test]
fn a_node_that_hears_itself_with_a_higher_boot_is_told_and_jumps_above_it() {
    let (mut solo, neighbour) = (Solo::new(), Peer::new(1));
    let link = solo.link(&neighbour);
    let twin = solo.me.sign(5, 2);
    let boots = |effect: &Effect| if let Effect::OwnBoot { boot } = effect { Some(*boot) } else { None };
    // Offered by hash and fetched, or shown unasked.
    solo.offer(link, 0, &twin, 3);
    assert_eq!(solo.take(boots), [5]);
    solo.give(link, &solo.me.sign(6, 1));
    assert_eq!(solo.take(boots), [6]);
    solo.give(link, &solo.me.sign(0, 9));
    assert!(solo.take(boots).is_empty());
    solo.sent(link);
    solo.handle(Event::Boot { boot: 7 });
    solo.run_for(Duration::from_secs(1));
    let said = solo.sent(link);
    let announces = |frame: &Routing| named(frame).iter().any(|named| named.version == Version { boot: 7, seq: 1 });
    assert!(said.iter().any(announces), "{said:?}");
}
