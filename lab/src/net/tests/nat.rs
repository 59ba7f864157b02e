//! Translation as peers see it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::super::nat::{Mapping, Router, Sides, client};
use super::super::space::{Space, address};
use super::super::wire::port::Port;
use super::super::wire::shape::Shape;
use super::super::wire::{Pair, Wire};
use super::alone;

const MTU: u32 = 1_400;
/// Ports of the wire: two peers outside, a router's two sides, a node behind it.
const OUTSIDE: u16 = 2;
const INSIDE: u16 = 3;
const NODE: u16 = 4;
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const HOME: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);

fn join(wire: &Wire, a: u16, b: u16) {
    for pair in [Pair { from: a, to: b }, Pair { from: b, to: a }] {
        wire.set(pair, Some(Shape::default())).unwrap();
    }
}

fn socket(space: &Space, address: Ipv4Addr, port: u16) -> UdpSocket {
    let socket = space.within(|| Ok(UdpSocket::bind((address, port))?)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Has a node write to a peer, and returns from where the peer sees it come.
fn seen(node: &UdpSocket, peer: &UdpSocket) -> SocketAddr {
    node.send_to(b"hello", peer.local_addr().unwrap()).unwrap();
    let mut datagram = [0; 16];
    let (_, from) = peer.recv_from(&mut datagram).unwrap();
    peer.send_to(b"answer", from).unwrap();
    assert_eq!(node.recv(&mut datagram).unwrap(), 6);
    from
}

struct Outside {
    spaces: Vec<Space>,
    ports: Vec<Port>,
}

fn outside() -> Outside {
    let (spaces, ports) = [0, 1].map(|number| Space::create(number, MTU).unwrap()).into_iter().unzip();
    Outside { spaces, ports }
}

fn sides() -> Sides {
    let outside = address(OUTSIDE);
    Sides { outside_port: OUTSIDE, outside, outside_prefix: 16, inside_port: INSIDE, inside: ROUTER }
}

/// A node behind a router writes to two peers from 20 ports, and returns whence it is seen, per port.
fn mapped(mapping: Mapping) -> Vec<[SocketAddr; 2]> {
    let Outside { spaces, mut ports } = outside();
    let (_router, router_ports) = Router::create(sides(), mapping, MTU).unwrap();
    let (node, node_port) = client(NODE, HOME, ROUTER, MTU).unwrap();
    ports.extend(router_ports);
    ports.push(node_port);
    let wire = Wire::start(ports, 1).unwrap();
    for (a, b) in [(0, 1), (0, OUTSIDE), (1, OUTSIDE), (INSIDE, NODE)] {
        join(&wire, a, b);
    }
    let peers = [0, 1].map(|peer| socket(&spaces[usize::from(peer)], address(peer), 4_001));
    let seen = (5_000..5_020).map(|port| {
        let node = socket(&node, HOME, port);
        [seen(&node, &peers[0]), seen(&node, &peers[1])]
    });
    let seen = seen.collect();
    // Nobody gets in who was not asked.
    let listener = socket(&node, HOME, 6_000);
    listener.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    peers[0].send_to(b"knock", (address(OUTSIDE), 6_000)).unwrap();
    assert!(listener.recv(&mut [0; 16]).is_err());
    seen
}

#[test]
#[ignore = "takes root, /dev/net/tun and nftables"]
fn a_preserving_router_keeps_ports() {
    let _alone = alone();
    for (port, seen) in (5_000..).zip(mapped(Mapping::Preserving)) {
        assert_eq!(seen, [SocketAddr::from((address(OUTSIDE), port)); 2]);
    }
}

#[test]
#[ignore = "takes root, /dev/net/tun and nftables"]
fn a_random_router_shows_each_peer_another_port() {
    let _alone = alone();
    let seen = mapped(Mapping::Random);
    assert!(seen.iter().flatten().all(|from| from.ip() == address(OUTSIDE)));
    let ports: BTreeSet<_> = seen.iter().flatten().map(SocketAddr::port).collect();
    // Of 40 random ports of 64,000 two are the same in one of eighty cases, and four almost never.
    assert!(ports.len() > 36, "{ports:?}");
}

#[test]
#[ignore = "takes root, /dev/net/tun and nftables"]
fn two_stages_translate_twice() {
    let _alone = alone();
    let Outside { spaces, mut ports } = outside();
    let (carrier_inside, home_outside) = (Ipv4Addr::new(100, 64, 0, 1), Ipv4Addr::new(100, 64, 0, 2));
    let carrier = Sides { inside: carrier_inside, ..sides() };
    let (_carrier, carrier_ports) = Router::create(carrier, Mapping::Random, MTU).unwrap();
    let home = Sides { outside_port: 4, outside: home_outside, outside_prefix: 24, inside_port: 5, inside: ROUTER };
    let (home, home_ports) = Router::create(home, Mapping::Preserving, MTU).unwrap();
    home.behind(carrier_inside).unwrap();
    let (node, node_port) = client(6, HOME, ROUTER, MTU).unwrap();
    ports.extend(carrier_ports.into_iter().chain(home_ports));
    ports.push(node_port);
    let wire = Wire::start(ports, 1).unwrap();
    for (a, b) in [(0, OUTSIDE), (INSIDE, 4), (5, 6)] {
        join(&wire, a, b);
    }
    let peer = socket(&spaces[0], address(0), 4_001);
    let from = seen(&socket(&node, HOME, 5_000), &peer);
    assert_eq!(from.ip(), address(OUTSIDE));
    assert_ne!(from.port(), 5_000);
}
