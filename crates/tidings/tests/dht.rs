//! Nodes that find one another in the DHT, over real sockets; and one that forges what it puts there.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod nodes;

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{self, GetRecordOk, QueryId, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use nodes::{QUIC, TCP, deliver, link, next, soon};
use tidings::config::{Profile, Switch};
use tidings::{Address, DhtFigures, Message, MessageState, Node, PeerId};

/// Longer than any test.
const FOR_GOOD: Duration = Duration::from_hours(1);

/// A node that dials only where it is told to: what leads to anybody else is not its doing.
async fn start_quiet(dir: &Path, name: &str, profile: Profile) -> Node {
    let builder = Node::builder().dir(dir).name(name).mdns(Switch::Off).no_dial().profile(profile);
    builder.address(Address::new(TCP).unwrap()).start().await.unwrap()
}

/// Waits until a node's part of the DHT is as wanted.
async fn until(node: &Node, wanted: impl Fn(&DhtFigures) -> bool) {
    soon(async {
        while !node.info().await.dht.is_some_and(|figures| wanted(&figures)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn holds(node: &Node, records: u64) {
    until(node, |figures| figures.records == records).await;
}

/// `b`, and `c`, whose card it holds and which has left it for good.
async fn met(homes: &[tempfile::TempDir], profile: Profile) -> (Node, Node) {
    let b = start_quiet(homes[0].path(), "bob", Profile::Server).await;
    let c = start_quiet(homes[1].path(), "eve", profile).await;
    link(&c, &b).await;
    holds(&b, 2).await;
    let mut events = b.events(None);
    c.close_peer(b.peer_id(), FOR_GOOD).await.unwrap();
    loop {
        if matches!(next(&mut events).await, tidings::Event::NeighbourDown { .. }) {
            break;
        }
    }
    (b, c)
}

fn homes(number: usize) -> Vec<tempfile::TempDir> {
    (0..number).map(|_| tempfile::tempdir().unwrap()).collect()
}

#[tokio::test]
async fn a_peer_known_by_its_id_alone_is_found_where_no_route_leads() {
    let homes = homes(3);
    let (b, c) = met(&homes[..2], Profile::Desktop).await;
    let a = nodes::start(homes[2].path(), "ada", QUIC).await;
    link(&a, &b).await;
    assert_eq!(a.routes().await.unwrap().iter().filter(|route| route.peer == c.peer_id()).count(), 0);
    let begun = std::time::Instant::now();
    deliver(&a, c.peer_id(), "found you").await;
    println!("searched, dialled and delivered within {:?}", begun.elapsed());
    assert_eq!(&*next(&mut c.inbox()).await.payload, b"found you");
    let view = a.view().await.unwrap();
    assert_eq!((view.searches.begun, view.searches.bad), (1, 0));
    assert!(view.searches.found >= 1);
    assert_eq!(b.view().await.unwrap().relay.relayed, 0);
}

#[tokio::test]
async fn a_search_that_began_alone_goes_on_when_there_is_somebody_to_ask() {
    let homes = homes(3);
    let (b, c) = met(&homes[..2], Profile::Phone).await;
    let a = nodes::start(homes[2].path(), "ada", TCP).await;
    let handle = a.send(Message::to(c.peer_id()).text("later")).await.unwrap();
    soon(async {
        while a.view().await.unwrap().searches.begun == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    link(&a, &b).await;
    assert!(soon(handle.wait(MessageState::Delivered)).await.unwrap().meets(MessageState::Delivered));
    // A phone is asked nothing, and found all the same.
    until(&b, |figures| figures.peers == 1).await;
}

#[tokio::test]
async fn two_nodes_hold_each_others_card_and_one_without_a_dht_holds_nothing() {
    let homes = homes(3);
    let a = nodes::start(homes[0].path(), "ada", TCP).await;
    let b = nodes::start(homes[1].path(), "bob", TCP).await;
    link(&a, &b).await;
    for node in [&a, &b] {
        until(node, |figures| (figures.peers, figures.records) == (1, 2)).await;
    }
    let builder = Node::builder().dir(homes[2].path()).mdns(Switch::Off).dht(Switch::Off);
    let c = builder.address(Address::new(TCP).unwrap()).start().await.unwrap();
    link(&c, &a).await;
    deliver(&c, b.peer_id(), "by way of ada").await;
    assert_eq!(c.info().await.dht, None);
    assert_eq!(a.info().await.dht.unwrap().records, 2);
}

/// A node of the DHT and nothing else.
struct Hostile {
    swarm: Swarm<kad::Behaviour<MemoryStore>>,
    victim: libp2p::PeerId,
    address: Multiaddr,
}

impl Hostile {
    fn beside(node: &Node) -> Self {
        let address: Multiaddr = node.listen_addresses()[0].as_str().parse().unwrap();
        let victim = node.peer_id().to_string().parse().unwrap();
        let behaviour = |keys: &libp2p::identity::Keypair| {
            let own = keys.public().to_peer_id();
            let mut config = kad::Config::new(StreamProtocol::new("/tidings/kad/1"));
            config.set_periodic_bootstrap_interval(None);
            kad::Behaviour::with_config(own, MemoryStore::new(own), config)
        };
        let builder = SwarmBuilder::with_new_identity().with_tokio();
        let builder = builder.with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default).unwrap();
        let mut swarm = builder.with_behaviour(behaviour).unwrap().build();
        swarm.behaviour_mut().add_address(&victim, address.clone());
        Self { swarm, victim, address }
    }

    async fn result(&mut self, query: QueryId) -> QueryResult {
        soon(async {
            loop {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(kad::Event::OutboundQueryProgressed { id, result, .. }) = event
                    && id == query
                {
                    return result;
                }
            }
        })
        .await
    }

    async fn get(&mut self, key: RecordKey) -> Option<Vec<u8>> {
        self.swarm.behaviour_mut().add_address(&self.victim, self.address.clone());
        let query = self.swarm.behaviour_mut().get_record(key);
        let QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) = self.result(query).await else {
            return None;
        };
        Some(found.record.value)
    }

    /// Has the victim answer, which says nothing of what it does with the record.
    async fn put(&mut self, key: RecordKey, value: Vec<u8>) {
        let victim = self.victim;
        let record = Record::new(key, value);
        let query = self.swarm.behaviour_mut().put_record_to(record, std::iter::once(victim), Quorum::One);
        let result = self.result(query).await;
        assert!(matches!(result, QueryResult::PutRecord(Ok(_))), "{result:?}");
    }
}

fn key_of(peer: PeerId) -> RecordKey {
    RecordKey::new(&blake3::derive_key("tidings dht card v1", peer.as_bytes()))
}

#[tokio::test]
async fn a_forged_card_is_refused_and_a_genuine_one_held() {
    let homes = homes(3);
    let (b, c) = met(&homes[..2], Profile::Desktop).await;
    let other = start_quiet(homes[2].path(), "dan", Profile::Desktop).await;
    let mut hostile = Hostile::beside(&b);
    let genuine = hostile.get(key_of(c.peer_id())).await.unwrap();
    let mut forged = genuine.clone();
    *forged.last_mut().unwrap() ^= 1;
    for (key, value) in [
        (key_of(c.peer_id()), forged),
        (key_of(c.peer_id()), b"no card".to_vec()),
        (key_of(other.peer_id()), genuine.clone()),
        (RecordKey::new(b"any"), genuine.clone()),
        (key_of(other.peer_id()), vec![0; 8_193]),
    ] {
        hostile.put(key, value).await;
    }
    hostile.put(key_of(c.peer_id()), genuine.clone()).await;
    until(&b, |figures| (figures.records, figures.refused_records) == (2, 5)).await;
    assert_eq!(hostile.get(key_of(other.peer_id())).await, None);
    assert_eq!(hostile.get(key_of(c.peer_id())).await, Some(genuine));
}
