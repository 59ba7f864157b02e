//! One node and what it is told.

use std::collections::BTreeSet;

use tidings_crypto::{Neighbours, PeerKey, Power};

use crate::time::Instant;
use crate::topology::config::MAX_PEERS;
use crate::topology::{Allow, Config, ConfigError, Effect, Event, Facts, Kind, Reach, Standing, State};

use super::net::{key, millis, secs};

/// A node whose dials succeed when the test says so.
#[derive(Debug)]
pub(super) struct Solo {
    pub(super) state: State,
    pub(super) now: Instant,
    pub(super) wanted: BTreeSet<PeerKey>,
    pub(super) effects: Vec<Effect>,
}

impl Solo {
    pub(super) fn new(config: Config) -> Self {
        let now = Instant(5_000_000);
        let state = State::new(config, key(0), now, [3; 32]);
        Self { state, now, wanted: BTreeSet::new(), effects: Vec::new() }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.state.handle(self.now, event);
        while let Some(effect) = self.state.poll_effect() {
            match &effect {
                Effect::Want { peer } => assert!(self.wanted.insert(*peer)),
                Effect::Unwant { peer } => assert!(self.wanted.remove(peer)),
                Effect::Drop { .. } | Effect::Kind { .. } | Effect::Announce { .. } => {}
            }
            self.effects.push(effect);
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub(super) fn pass(&mut self, time: std::time::Duration) {
        let end = self.now + time;
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= end) {
            self.now = due;
            self.tell(Event::Tick);
        }
        self.now = end;
    }

    pub(super) fn know(&mut self, peer: PeerKey) {
        self.tell(Event::Known { peer, reach: Reach::Address });
    }

    pub(super) fn link(&mut self, peer: PeerKey) {
        self.tell(Event::Linked { peer });
    }

    pub(super) fn dropped(&self) -> Vec<PeerKey> {
        let dropped = |effect: &Effect| match effect {
            Effect::Drop { peer, .. } => Some(*peer),
            Effect::Want { .. } | Effect::Unwant { .. } | Effect::Kind { .. } | Effect::Announce { .. } => None,
        };
        self.effects.iter().filter_map(dropped).collect()
    }
}

fn mesh() -> Config {
    Config { kind: Kind::Mesh, ..Config::default() }
}

fn with_degree(count: u32) -> Facts {
    let listed = (0..count.min(10)).map(|n| [9, 9, 9, n as u8]).collect();
    Facts { neighbours: Neighbours { count, listed }, ..Facts::default() }
}

#[test]
fn a_slow_dial_is_doubled_and_a_dead_one_given_up() {
    let mut solo = Solo::new(mesh());
    for draw in 1..=20 {
        solo.know(key(draw));
        solo.tell(Event::Routed { peer: key(draw) });
    }
    solo.pass(millis(60));
    let first = solo.wanted.clone();
    assert_eq!(first.len(), 4);
    solo.pass(millis(1100));
    assert_eq!(solo.wanted.len(), 8, "slow dials are doubled");
    assert!(first.is_subset(&solo.wanted), "and waited for");
    solo.pass(millis(4000));
    assert!(first.is_disjoint(&solo.wanted), "then given up");
    for peer in solo.wanted.clone() {
        solo.link(peer);
    }
    solo.pass(secs(20));
    assert!(solo.state.stats().links >= 3);
}

#[test]
fn a_dial_that_fails_is_not_repeated_at_once() {
    let mut solo = Solo::new(mesh());
    solo.know(key(1));
    solo.pass(millis(60));
    assert_eq!(solo.wanted.len(), 1);
    solo.tell(Event::DialFailed { peer: key(1) });
    solo.pass(secs(1));
    assert_eq!(solo.wanted.len(), 0, "the pause is a second and a half at least");
    solo.pass(millis(1600));
    assert_eq!(solo.wanted.len(), 1, "and two and a half at most");
}

#[test]
fn only_those_allowed_are_dialled() {
    let allow = Allow::Listed((1..=2).map(key).collect());
    let mut solo = Solo::new(Config { allow, ..mesh() });
    for draw in 1..=20 {
        solo.know(key(draw));
    }
    solo.pass(secs(3));
    assert_eq!(solo.wanted, (1..=2).map(key).collect());
}

#[test]
fn without_dialling_only_the_joined_are_wanted() {
    let mut solo = Solo::new(Config { no_dial: true, ..mesh() });
    for draw in 1..=20 {
        solo.know(key(draw));
    }
    solo.tell(Event::Standing { peer: key(7), standing: Standing::Joined });
    solo.pass(secs(3));
    assert_eq!(solo.wanted, BTreeSet::from([key(7)]));
}

#[test]
fn surplus_links_are_dropped_but_never_those_bound_or_needed() {
    let mut solo = Solo::new(mesh());
    for draw in 1..=16 {
        solo.know(key(draw));
        solo.link(key(draw));
    }
    // Two contacts, one joined, three that have no more than the minimum, the rest can spare a link.
    solo.tell(Event::Standing { peer: key(1), standing: Standing::Contact });
    solo.tell(Event::Standing { peer: key(2), standing: Standing::Contact });
    solo.tell(Event::Standing { peer: key(3), standing: Standing::Joined });
    for draw in 4..=6 {
        solo.tell(Event::Announced { peer: key(draw), facts: with_degree(3) });
    }
    for draw in 7..=16 {
        solo.tell(Event::Announced { peer: key(draw), facts: with_degree(u32::try_from(draw).unwrap()) });
    }
    for _ in 0..60 {
        solo.pass(secs(1));
        for peer in solo.dropped() {
            solo.tell(Event::Unlinked { peer });
        }
    }
    assert_eq!(solo.dropped(), (11..=16).rev().map(key).collect::<Vec<_>>(), "those with most links first");
    assert_eq!(solo.state.stats().links, 10);
}

#[test]
fn a_node_whose_neighbours_all_need_it_keeps_them() {
    let mut solo = Solo::new(mesh());
    for draw in 1..=16 {
        solo.link(key(draw));
        solo.tell(Event::Announced { peer: key(draw), facts: with_degree(3) });
    }
    solo.pass(secs(300));
    assert_eq!(solo.dropped(), []);
}

/// A node that has dropped one link of twelve, lost every route to its peer with it, and wants it again.
fn after_a_costly_drop() -> (Solo, PeerKey) {
    let mut solo = Solo::new(mesh());
    for draw in 1..=12 {
        solo.know(key(draw));
        solo.link(key(draw));
        solo.tell(Event::Routed { peer: key(draw) });
    }
    solo.pass(secs(11));
    let dropped = solo.dropped();
    assert_eq!(dropped.len(), 1);
    let peer = dropped[0];
    solo.tell(Event::Unlinked { peer });
    solo.tell(Event::Unrouted { peer });
    solo.pass(secs(70));
    assert!(solo.wanted.contains(&peer), "it is laid again");
    (solo, peer)
}

#[test]
fn a_link_whose_drop_cost_a_route_is_laid_again_and_kept() {
    let (mut solo, peer) = after_a_costly_drop();
    solo.link(peer);
    solo.tell(Event::Routed { peer });
    solo.pass(secs(600));
    let again = solo.dropped().iter().filter(|dropped| **dropped == peer).count();
    assert_eq!(again, 1, "and not dropped again");
}

/// The other end has too many links, and somebody else leads to it by now.
#[test]
fn a_link_that_is_refused_though_a_route_leads_there_is_not_laid_again_and_again() {
    let (mut solo, peer) = after_a_costly_drop();
    solo.tell(Event::Routed { peer });
    solo.tell(Event::DialFailed { peer });
    solo.pass(secs(1200));
    assert!(!solo.wanted.contains(&peer), "and not once it is refused");
}

#[test]
fn a_kind_that_is_set_is_told_with_its_reason() {
    let mut solo = Solo::new(mesh());
    solo.tell(Event::Kind(Kind::Star));
    let reason = "a person set the kind to star".to_owned();
    assert_eq!(solo.effects, [Effect::Kind { kind: Kind::Star, reason: reason.clone() }]);
    assert_eq!((solo.state.kind(), solo.state.shape(), solo.state.reason()), (Kind::Star, Kind::Star, reason.as_str()));
    solo.tell(Event::Kind(Kind::Star));
    assert_eq!(solo.effects.len(), 1, "once");
    solo.tell(Event::Kind(Kind::Adaptive));
    assert_eq!((solo.state.kind(), solo.state.shape()), (Kind::Adaptive, Kind::Star), "until the situation asks");
}

#[test]
fn neighbours_are_told_at_most_every_ten_minutes() {
    let mut solo = Solo::new(mesh());
    let mut told = Vec::new();
    for minute in 0..120 {
        solo.know(key(minute + 1));
        solo.link(key(minute + 1));
        solo.tell(Event::Standing { peer: key(minute + 1), standing: Standing::Contact });
        let before = solo.effects.len();
        solo.pass(secs(60));
        for effect in &solo.effects[before..] {
            if let Effect::Announce { neighbours, .. } = effect {
                told.push((minute, neighbours.count));
                assert!(neighbours.listed.len() <= 10);
            }
        }
    }
    println!("told at {told:?}");
    assert!((11..=13).contains(&told.len()), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 10), "{told:?}");
    assert_eq!(told[0].0, 0, "the first is told soon");
}

#[test]
fn a_phone_tells_no_neighbours() {
    let mut solo = Solo::new(Config { tell_neighbours: false, ..mesh() });
    solo.tell(Event::Own { power: Power::Battery, bandwidth_kbps: 0 });
    for draw in 1..=5 {
        solo.link(key(draw));
    }
    solo.pass(secs(3600));
    let told: Vec<_> = solo.effects.iter().filter(|effect| matches!(effect, Effect::Announce { .. })).collect();
    assert!(!told.is_empty());
    for effect in told {
        let Effect::Announce { neighbours, .. } = effect else { unreachable!() };
        assert_eq!(*neighbours, Neighbours::default());
    }
}

#[test]
fn the_table_of_peers_is_bounded_and_keeps_what_matters() {
    let mut solo = Solo::new(mesh());
    solo.know(key(1));
    solo.tell(Event::Standing { peer: key(1), standing: Standing::Contact });
    solo.link(key(2));
    for draw in 0..2 * MAX_PEERS as u64 {
        let peer = key(1000 + draw);
        solo.know(peer);
        if draw < 100 {
            solo.tell(Event::Routed { peer });
        }
    }
    let stats = solo.state.stats();
    assert_eq!(stats.peers, MAX_PEERS as u64);
    assert_eq!(stats.table_full, MAX_PEERS as u64 + 2);
    let known = |peer: &PeerKey| solo.state.peers.get(peer).is_some();
    assert!(known(&key(1)) && known(&key(2)), "a contact and a neighbour");
    let routed = (1000..1100).filter(|draw| known(&key(*draw))).count();
    assert!(routed >= 95, "{routed} of 100 peers with a route are left");
    assert!(solo.wanted.iter().all(known), "nobody is wanted who is not known");
}

#[test]
fn a_table_full_of_neighbours_takes_nobody() {
    let mut solo = Solo::new(mesh());
    for draw in 0..MAX_PEERS as u64 {
        solo.link(key(1000 + draw));
    }
    let refused = solo.state.stats().table_full;
    solo.know(key(1));
    assert_eq!(solo.state.stats().table_full, refused + 1);
    assert_eq!(solo.state.stats().peers, MAX_PEERS as u64);
}

#[test]
fn effects_are_bounded_by_the_table() {
    let mut solo =
        Solo::new(Config { kind: Kind::Mesh, min_degree: 100, max_degree: 128, max_hub_degree: 128, ..mesh() });
    for draw in 0..MAX_PEERS as u64 {
        let peer = key(1000 + draw);
        solo.state.handle(solo.now, Event::Known { peer, reach: Reach::Address });
        solo.state.handle(solo.now, Event::Standing { peer, standing: Standing::Joined });
    }
    solo.now = solo.now + secs(1);
    solo.state.handle(solo.now, Event::Tick);
    let effects = std::iter::from_fn(|| solo.state.poll_effect()).count();
    assert_eq!(effects, MAX_PEERS, "everybody was joined, so everybody is wanted");
}

#[test]
fn half_of_the_links_lead_to_the_local_network_where_both_are_known() {
    let mut solo = Solo::new(mesh());
    for draw in 1..=40 {
        let reach = if draw <= 20 { Reach::Lan } else { Reach::Address };
        solo.tell(Event::Known { peer: key(draw), reach });
    }
    solo.pass(millis(100));
    let near = (1..=20).filter(|draw| solo.wanted.contains(&key(*draw))).count();
    assert_eq!((near, solo.wanted.len()), (2, 4));
}

#[test]
fn peers_with_few_links_are_preferred() {
    let mut solo = Solo::new(mesh());
    for draw in 1..=40 {
        solo.know(key(draw));
        solo.tell(Event::Routed { peer: key(draw) });
        solo.tell(Event::Announced { peer: key(draw), facts: with_degree(if draw <= 20 { 3 } else { 10 }) });
    }
    solo.pass(secs(1));
    let few = (1..=20).filter(|draw| solo.wanted.contains(&key(*draw))).count();
    assert!(few >= 3, "{few} of {}", solo.wanted.len());
}

#[test]
fn degrees_that_contradict_one_another_are_refused() {
    assert_eq!(Config::default().check(), Ok(()));
    let none = Config { min_degree: 0, ..mesh() };
    assert_eq!(none.check(), Err(ConfigError::NoLinks));
    let below = Config { min_degree: 11, ..mesh() };
    assert_eq!(below.check(), Err(ConfigError::MaxBelowMin { min: 11, max: 10 }));
    for hub in [9, 129] {
        let config = Config { max_hub_degree: hub, ..mesh() };
        assert_eq!(config.check(), Err(ConfigError::Hub { max: 10, hub }));
    }
}

#[test]
fn kinds_are_read_by_their_names() {
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "tree".parse::<Kind>().expect_err("it is none");
    assert_eq!(error.to_string(), "expected mesh, ring, hierarchical, star or adaptive, got \"tree\"");
}
