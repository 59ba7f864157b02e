//! Links that come, go and fall silent in any order: no parcel is forgotten, one link remains.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::net::{Net, Road};
use crate::class::Class;
use crate::ids::LinkId;
use crate::links::{Config, Effect, Event, LinkKind};

#[derive(Clone, Copy, Debug)]
enum Step {
    Send { from: usize, class: usize, length: usize },
    Connect { from: usize, kind: usize },
    Cut { pipe: usize },
    Mend { pipe: usize },
    End { pipe: usize },
    Wait { millis: u64 },
    NetworkChanged { node: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, 0..5_usize, 16..60_000_usize)
            .prop_map(|(from, class, length)| Step::Send { from, class, length }),
        3 => (0..2_usize, 0..3_usize).prop_map(|(from, kind)| Step::Connect { from, kind }),
        1 => (0..8_usize).prop_map(|pipe| Step::Cut { pipe }),
        1 => (0..8_usize).prop_map(|pipe| Step::Mend { pipe }),
        1 => (0..8_usize).prop_map(|pipe| Step::End { pipe }),
        6 => (0..400_u64).prop_map(|millis| Step::Wait { millis }),
        1 => (0..2_usize).prop_map(|node| Step::NetworkChanged { node }),
    ]
}

/// A parcel that shows which it is from its first byte to its last.
fn parcel(token: u64, length: usize) -> Bytes {
    let pattern = token.to_be_bytes();
    pattern.iter().copied().cycle().take(length).collect()
}

fn token_of(parcel: &[u8]) -> u64 {
    parcel[..8].iter().fold(0, |token, byte| (token << 8) | u64::from(*byte))
}

/// Each parcel ends exactly once; what was got has arrived, whole.
fn check_parcels(net: &Net, from: usize, lengths: &BTreeMap<u64, usize>) {
    let mut ends: Vec<_> = net.got(from);
    ends.extend(net.lost(from));
    ends.sort_unstable();
    let all: Vec<_> = lengths.keys().copied().collect();
    assert_eq!(ends, all);
    let mut arrived: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, bytes) in net.parcels(1 - from) {
        let token = token_of(&bytes);
        assert_eq!(bytes, parcel(token, lengths[&token]));
        *arrived.entry(token).or_default() += 1;
    }
    for token in net.got(from) {
        assert!(arrived.contains_key(&token), "{token} was got and never read");
    }
    // Twice arrives only what left again whole, on another link.
    let again: usize = arrived.values().map(|times| times - 1).sum();
    let moved = net.nodes[from].state.stats().parcels_moved;
    assert!(again as u64 <= moved, "{again} > {moved}");
}

fn check_ups_and_downs(net: &Net, node: usize) {
    let changes = net.seen(node, |effect| match effect {
        Effect::PeerUp { .. } => Some(true),
        Effect::PeerDown { .. } => Some(false),
        _ => None,
    });
    for (place, is_up) in changes.iter().enumerate() {
        assert_eq!(*is_up, place % 2 == 0, "{changes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_links_do_no_parcel_is_forgotten(
        steps in prop::collection::vec(step(), 1..60),
        slow in any::<bool>(),
    ) {
        let mut net = Net::with(2, Config::default());
        net.road = Road {
            delay: Duration::from_millis(if slow { 80 } else { 1 }),
            rate: if slow { 200_000 } else { 20_000_000 },
            buffer: 128 * 1024,
        };
        let mut lengths = [BTreeMap::new(), BTreeMap::new()];
        net.connect(0, 1, LinkKind::Quic, None);
        for (token, step) in steps.into_iter().enumerate() {
            take(&mut net, step, token as u64, &mut lengths);
        }
        // What is silent ends; then the road is good again.
        net.run(Duration::from_secs(5));
        for pipe in 0..net.pipes() {
            net.cut(pipe);
        }
        net.run(Duration::from_secs(60));
        net.connect(0, 1, LinkKind::Quic, None);
        net.connect(1, 0, LinkKind::Tcp, None);
        net.run(Duration::from_secs(60));
        prop_assert!(net.both_up());
        prop_assert_eq!((net.links(0), net.links(1)), (1, 1));
        for node in [0, 1] {
            check_parcels(&net, node, &lengths[node]);
            check_ups_and_downs(&net, node);
        }
    }
}

fn take(net: &mut Net, step: Step, token: u64, lengths: &mut [BTreeMap<u64, usize>; 2]) {
    let pipes = net.pipes();
    match step {
        Step::Send { from, class, length } => {
            lengths[from].insert(token, length);
            let bytes = parcel(token, length);
            net.send(from, 1 - from, Class::ALL[class], token, bytes);
        }
        Step::Connect { from, kind } => {
            let kind = [LinkKind::Quic, LinkKind::Tcp, LinkKind::WebSocket][kind];
            net.connect(from, 1 - from, kind, None);
        }
        Step::Cut { pipe } => net.cut(pipe % pipes),
        Step::Mend { pipe } => net.mend(pipe % pipes),
        Step::End { pipe } => {
            for node in [0, 1] {
                let link: LinkId = net.link(pipe % pipes, node);
                net.input(node, Event::Down { link });
            }
        }
        Step::Wait { millis } => net.run(Duration::from_millis(millis)),
        Step::NetworkChanged { node } => net.input(node, Event::NetworkChanged),
    }
}
