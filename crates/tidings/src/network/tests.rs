//! Two swarms on loopback.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use tidings_core::ids::LinkId;
use tokio::sync::mpsc;

use super::*;
use crate::link::{Link, LinkIo};

/// Far beyond what the slowest machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

async fn listening(address: &str) -> (Swarm<Behaviour>, Multiaddr, PeerKey) {
    let identity = IdentityKey::generate().unwrap();
    let mut swarm = build(&identity, &Config::default()).unwrap();
    swarm.listen_on(address.parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            return (swarm, address, identity.peer());
        }
    }
}

/// Drives a swarm until it has a link.
async fn link_of(swarm: &mut Swarm<Behaviour>) -> LinkEvent {
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Link(event)) = swarm.select_next_some().await {
            return event;
        }
    }
}

async fn carries_a_megabyte(address: &str) {
    let (mut a, _, a_key) = listening(address).await;
    let (mut b, b_address, b_key) = listening(address).await;
    super::dial(&mut a, DialOpts::peer_id(peer_id(&b_key).unwrap()).addresses(vec![b_address.clone()]).build())
        .unwrap();
    let (at_a, at_b) = tokio::join!(link_of(&mut a), link_of(&mut b));
    let LinkEvent::Opened { peer, stream: stream_a, address, .. } = at_a else {
        panic!("{at_a:?}");
    };
    assert_eq!((peer, split_peer(address).0), (b_key, b_address));
    let LinkEvent::Opened { peer, stream: stream_b, .. } = at_b else {
        panic!("{at_b:?}");
    };
    assert_eq!(peer, a_key);
    let (io_a, mut from_a) = mpsc::channel(64);
    let (io_b, mut from_b) = mpsc::channel(64);
    let mut link_a = Link::spawn(LinkId(1), stream_a, io_a);
    let _link_b = Link::spawn(LinkId(2), stream_b, io_b);
    let sent: Bytes = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    for start in (0..sent.len()).step_by(1000) {
        link_a.push(sent.slice(start..sent.len().min(start + 1000)));
    }
    link_a.flush();
    link_a.close();
    link_a.flush();
    let mut got = Vec::new();
    let mut written = 0;
    loop {
        tokio::select! {
            _ = a.select_next_some() => {}
            _ = b.select_next_some() => {}
            Some(io) = from_a.recv() => {
                if let LinkIo::Written { bytes, .. } = io {
                    written += bytes;
                }
            }
            Some(io) = from_b.recv() => match io {
                LinkIo::Read { bytes, .. } => got.extend_from_slice(&bytes),
                LinkIo::Ended { .. } => break,
                LinkIo::Written { .. } => panic!("nothing was sent back"),
            }
        }
    }
    assert_eq!(written, sent.len() as u64);
    assert!(got == sent, "{} bytes arrived", got.len());
}

#[tokio::test]
async fn a_link_over_quic_carries_bytes_and_its_end() {
    let test = carries_a_megabyte("/ip4/127.0.0.1/udp/0/quic-v1");
    tokio::time::timeout(DEADLINE, test).await.unwrap();
}

#[tokio::test]
async fn a_link_over_tcp_carries_bytes_and_its_end() {
    let test = carries_a_megabyte("/ip4/127.0.0.1/tcp/0");
    tokio::time::timeout(DEADLINE, test).await.unwrap();
}

#[tokio::test]
async fn a_peer_without_the_protocol_is_a_failed_dial() {
    let test = async {
        let (mut a, _, _) = listening("/ip4/127.0.0.1/tcp/0").await;
        let (mut b, address) = without_links();
        super::dial(&mut a, DialOpts::unknown_peer_id().address(address).build()).unwrap();
        let failed = tokio::select! {
            event = link_of(&mut a) => event,
            () = async { loop { b.select_next_some().await; } } => unreachable!(),
        };
        assert!(matches!(failed, LinkEvent::Failed { .. }), "{failed:?}");
    };
    tokio::time::timeout(DEADLINE, test).await.unwrap();
}

/// A libp2p node that is no Tidings node.
fn without_links() -> (Swarm<libp2p::swarm::dummy::Behaviour>, Multiaddr) {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), (tls::Config::new, noise::Config::new), yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p::swarm::dummy::Behaviour)
        .unwrap()
        .build();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    swarm.listen_on(address.clone()).unwrap();
    (swarm, address)
}

#[test]
fn keys_and_peer_ids_are_the_same_thing() {
    let key = IdentityKey::generate().unwrap().peer();
    let id = peer_id(&key).unwrap();
    assert_eq!(peer_key(&id), Some(key));
    assert_eq!(id.to_string(), key.to_string());
}

#[test]
fn a_card_carries_loopback_only_where_there_is_nothing_else() {
    let parse = |texts: &[&str]| -> Vec<Multiaddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let told =
        |all: &[Multiaddr]| -> Vec<String> { own_addresses(all.iter()).iter().map(Address::to_string).collect() };
    let both = parse(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    assert_eq!(told(&both), ["/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1"]);
    let loopback = parse(&["/ip4/127.0.0.1/tcp/1"]);
    assert_eq!(told(&loopback), ["/ip4/127.0.0.1/tcp/1"]);
}
