//! Peers that nothing leads to: the DHT is searched for them.

use std::time::Duration;

use bytes::Bytes;
use tidings_core::Input;
use tidings_core::links::Source;
use tidings_core::view::SearchStats;
use tidings_crypto::PeerKey;

use crate::net::{Net, address};
use crate::tell::note;

const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
const MAX_UNDER_WAY: usize = 4;
const MAX_PEERS: u32 = 4096;
const MAX_CARDS: usize = 20;

/// Two nodes that could reach one another if they knew where.
fn strangers() -> Net {
    let mut net = Net::stopped(2);
    net.estrange(0, 1);
    net.start(0);
    net.start(1);
    net
}

fn stats(net: &Net, node: usize) -> SearchStats {
    net.nodes[node].engine().view().searches
}

fn card(net: &Net, node: usize) -> Bytes {
    net.nodes[node].engine().own_card().clone()
}

fn bring(net: &mut Net, peer: PeerKey, card: Bytes, by: Option<PeerKey>) {
    net.input(0, Input::CardFound { peer, card, by });
}

/// A key that no node has.
fn nobody(number: u32) -> PeerKey {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PeerKey::from_bytes(key)
}

/// Ends every search as soon as it begins, finding nothing, until so many have begun.
fn search_in_vain(net: &mut Net, searches: usize) {
    for number in 0..searches {
        net.run_until("the next search begins", |net| net.sought.len() > number);
        let peer = net.sought[number].2;
        net.input(0, Input::SearchEnded { peer });
    }
}

#[test]
fn a_stranger_is_found_dialled_and_written_to() {
    let mut net = strangers();
    net.send(0, 1, "out of the blue");
    net.run_until("the search begins", |net| !net.sought.is_empty());
    let peer = net.nodes[1].key();
    assert_eq!(net.sought[0].1, 0);
    assert_eq!(net.sought[0].2, peer);
    let found = card(&net, 1);
    bring(&mut net, peer, found, None);
    net.input(0, Input::SearchEnded { peer });
    net.settle();
    assert_eq!(net.texts(1, 0), ["out of the blue"]);
    assert_eq!(net.sought.len(), 1);
    assert_eq!(stats(&net, 0).found, 1);
    net.check();
}

#[test]
fn a_search_in_vain_is_repeated_after_30_s_and_at_last_every_hour() {
    let mut net = strangers();
    net.send(0, 1, "anybody there");
    search_in_vain(&mut net, 10);
    let times: Vec<_> = net.sought.iter().map(|(at, ..)| Duration::from_micros(*at)).collect();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (number, pause) in pauses.iter().enumerate() {
        let expected = (FIRST_PAUSE * (1 << number)).min(LONGEST_PAUSE);
        assert!(pause.abs_diff(expected) < Duration::from_millis(1), "pause {number}: {pause:?}");
    }
    assert_eq!(*pauses.last().expect("pauses"), LONGEST_PAUSE);
}

#[test]
fn a_change_of_the_network_searches_at_once_and_begins_the_pauses_anew() {
    let mut net = strangers();
    net.send(0, 1, "anybody there");
    search_in_vain(&mut net, 5);
    let before = net.now;
    net.input(0, Input::NetworkChanged);
    search_in_vain(&mut net, 7);
    assert_eq!(net.sought[5].0, before);
    assert_eq!(Duration::from_micros(net.sought[6].0 - before), FIRST_PAUSE);
}

#[test]
fn nobody_is_searched_for_once_the_message_has_ended() {
    let mut net = strangers();
    let mut short = note(net.nodes[1].key(), "soon over");
    short.lifetime = Duration::from_secs(60);
    net.send_it(0, short);
    search_in_vain(&mut net, 2);
    net.run_for(LONGEST_PAUSE);
    assert_eq!((net.sought.len(), stats(&net, 0).wanted), (2, 0));
}

#[test]
fn nobody_is_searched_for_once_there_is_a_link() {
    let mut net = strangers();
    net.send(0, 1, "one");
    search_in_vain(&mut net, 1);
    let peer = Some(net.nodes[1].key());
    net.input(0, Input::Discovered { peer, addresses: vec![address(1)], source: Source::Card });
    net.settle();
    net.send(0, 1, "two");
    net.settle();
    net.run_for(LONGEST_PAUSE);
    assert_eq!(net.texts(1, 0), ["one", "two"]);
    assert_eq!((net.sought.len(), stats(&net, 0).wanted), (1, 0));
}

#[test]
fn a_peer_whose_addresses_have_failed_is_searched_for_after_a_while() {
    let mut net = strangers();
    let (peer, nowhere) = (Some(net.nodes[1].key()), vec![address(9)]);
    net.input(0, Input::Discovered { peer, addresses: nowhere, source: Source::Card });
    let sent = net.now;
    net.send(0, 1, "moved house");
    net.run_until("the search begins", |net| !net.sought.is_empty());
    assert!(Duration::from_micros(net.sought[0].0 - sent) >= Duration::from_secs(5), "it may be restarting");
    let (peer, found) = (net.nodes[1].key(), card(&net, 1));
    bring(&mut net, peer, found, None);
    net.settle();
    assert_eq!(net.texts(1, 0), ["moved house"]);
}

#[test]
fn a_card_that_is_known_already_leads_to_its_peer_again() {
    let mut net = strangers();
    net.part(0, 1);
    net.send(0, 1, "are you there");
    net.run_until("the search begins", |net| !net.sought.is_empty());
    let (peer, found) = (net.nodes[1].key(), card(&net, 1));
    bring(&mut net, peer, found.clone(), None);
    net.run_for(Duration::from_secs(1));
    // The card is on disk, and its addresses, which have led nowhere, are not.
    net.restart(0);
    net.join(0, 1);
    net.run_until("the search begins again", |net| net.sought.len() == 2);
    bring(&mut net, peer, found, None);
    net.settle();
    assert_eq!(net.texts(1, 0), ["are you there"]);
}

#[test]
fn a_node_that_dials_only_whom_a_person_names_does_not_search() {
    let mut net = Net::stopped(2);
    net.estrange(0, 1);
    net.nodes[0].config.links.no_dial = true;
    net.start(0);
    net.start(1);
    net.send(0, 1, "anybody there");
    net.run_for(LONGEST_PAUSE);
    assert_eq!(net.sought, []);
}

#[test]
fn a_bad_card_is_evidence_against_whoever_brought_it_and_else_counted() {
    let mut net = strangers();
    let (peer, liar) = (net.nodes[1].key(), nobody(1));
    net.send(0, 1, "anybody there");
    net.run_until("the search begins", |net| !net.sought.is_empty());
    let mut altered = card(&net, 1).to_vec();
    *altered.last_mut().expect("bytes") ^= 1;
    let own = card(&net, 0);
    for bad in [Bytes::from(altered), own, Bytes::from_static(b"no card"), Bytes::new()] {
        bring(&mut net, peer, bad.clone(), None);
        bring(&mut net, peer, bad, Some(liar));
    }
    assert_eq!((stats(&net, 0).bad, stats(&net, 0).found), (8, 0));
    let view = net.nodes[0].engine().view();
    let judged: Vec<_> = view.peers.iter().filter(|peer| !peer.evidence.is_empty()).collect();
    assert_eq!(judged.len(), 1);
    assert_eq!((judged[0].peer, judged[0].evidence.values().sum::<u64>()), (liar, 4));
    let good = card(&net, 1);
    bring(&mut net, peer, good, Some(liar));
    net.settle();
    assert_eq!(net.texts(1, 0), ["anybody there"]);
}

#[test]
fn a_search_brings_a_bounded_number_of_cards_and_none_for_whom_nobody_searches() {
    let mut net = strangers();
    let peer = net.nodes[1].key();
    let good = card(&net, 1);
    bring(&mut net, peer, good, None);
    assert_eq!((stats(&net, 0).unasked, stats(&net, 0).found), (1, 0));
    net.send(0, 1, "anybody there");
    net.run_until("the search begins", |net| !net.sought.is_empty());
    for _ in 0..100 {
        bring(&mut net, peer, Bytes::from_static(b"no card"), None);
    }
    assert_eq!(stats(&net, 0).bad, MAX_CARDS as u64);
    assert_eq!(stats(&net, 0).unasked, 1 + 100 - MAX_CARDS as u64);
}

#[test]
fn few_searches_are_under_way_and_those_that_never_end_make_room() {
    let mut net = Net::new(1);
    let messages = (0..20).map(|number| note(nobody(number), "anybody there")).collect();
    net.submit(0, messages);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.sought.len(), MAX_UNDER_WAY);
    let first = net.sought[0].2;
    net.input(0, Input::SearchEnded { peer: first });
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.sought.len(), MAX_UNDER_WAY + 1);
    net.run_for(Duration::from_secs(18));
    assert_eq!(net.sought.len(), 2 * MAX_UNDER_WAY + 1 - 1, "three have made room for three");
}

#[test]
fn the_table_of_those_who_are_searched_for_is_bounded() {
    let mut net = Net::new(1);
    for chunk in 0..(MAX_PEERS + 10).div_ceil(64) {
        let messages = (chunk * 64..(chunk + 1) * 64).map(|number| note(nobody(number), "anybody there")).collect();
        net.submit(0, messages);
        net.run_for(Duration::from_millis(10));
    }
    let refused = u64::from((MAX_PEERS + 10).div_ceil(64) * 64 - MAX_PEERS);
    assert_eq!((stats(&net, 0).wanted, stats(&net, 0).refused), (u64::from(MAX_PEERS), refused));
}
