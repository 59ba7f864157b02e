//! Swarms on loopback, without engines; and what one may hold of others.

use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Swarm, identify};
use tidings_crypto::{Card, IdentityKey, MAX_CARD_BYTES, OlmSealer, Sealer, SignedCard};

use super::exchange::{MAX_NAMED, within};
use super::*;
use crate::config::{Config, Profile};
use crate::network::{self, BehaviourEvent, peer_id};

/// Far beyond what the slowest machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

/// The card of whoever has this key.
fn card(identity: &IdentityKey, sealer: &OlmSealer, seq: u64) -> Bytes {
    let card = Card {
        peer: identity.peer(),
        seq,
        issued_ms: 1,
        expires_ms: u64::MAX,
        name: "somebody".to_owned(),
        ratchet: sealer.ratchet_keys(),
        addresses: Vec::new(),
        capabilities: Vec::new(),
    };
    Bytes::copy_from_slice(SignedCard::sign(&card, identity, sealer).unwrap().bytes())
}

/// A node as far as its network goes.
struct Peer {
    swarm: Swarm<network::Behaviour>,
    identity: IdentityKey,
    address: Multiaddr,
    links: usize,
    closed: usize,
    found: Vec<Bytes>,
    ended: usize,
    figures: DhtFigures,
    /// Links, held so that their connections are.
    streams: Vec<libp2p::swarm::Stream>,
}

impl Peer {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let identity = IdentityKey::generate().unwrap();
        let mut config = Config::default();
        change(&mut config);
        let mut swarm = network::build(&identity, &config).unwrap();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (figures, streams) = (DhtFigures::default(), Vec::new());
        Self { swarm, identity, address, links: 0, closed: 0, found: Vec::new(), ended: 0, figures, streams }
    }

    fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    fn dht(&mut self) -> &mut Behaviour {
        self.swarm.behaviour_mut().dht.as_mut().unwrap()
    }

    fn dial(&mut self, other: &Self) {
        let options = DialOpts::peer_id(other.id()).addresses(vec![other.address.clone()]).build();
        network::dial(&mut self.swarm, options).unwrap();
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and the tests look at nothing else")]
    fn on(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Link(network::LinkEvent::Opened { peer, stream, .. })) => {
                self.links += 1;
                self.streams.push(stream);
                self.dht().on_neighbour(peer_id(&peer).unwrap());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                self.dht().on_identified(peer_id, info.listen_addrs, &info.protocols);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Dht(event)) => match event {
                DhtEvent::Card { card, .. } => self.found.push(card),
                DhtEvent::Ended { .. } => self.ended += 1,
                DhtEvent::Figures(figures) => self.figures = figures,
            },
            SwarmEvent::ConnectionClosed { .. } => self.closed += 1,
            _ => {}
        }
    }
}

/// Runs all of them until something holds.
async fn run<const N: usize>(peers: &mut [Peer; N], mut holds: impl FnMut(&[Peer; N]) -> bool) {
    let run = async {
        while !holds(peers) {
            let events = peers.iter_mut().map(|peer| peer.swarm.select_next_some());
            let (event, index, _) = futures::future::select_all(events).await;
            peers[index].on(event);
        }
    };
    tokio::time::timeout(DEADLINE, run).await.expect("it happens before the deadline");
}

/// Three in a row: the first and the last are linked to the middle one, which knows both.
async fn row(change: impl FnOnce(&mut Config)) -> [Peer; 3] {
    let mut peers = [Peer::new(change).await, Peer::new(|_| {}).await, Peer::new(|_| {}).await];
    let [first, middle, last] = &mut peers;
    first.dial(middle);
    last.dial(middle);
    run(&mut peers, |peers| peers[1].figures.peers == 2 && peers[0].figures.peers == 1).await;
    peers
}

#[tokio::test]
async fn a_card_two_steps_away_is_found_over_a_connection_that_gets_no_link_and_ends() {
    let mut peers = row(|_| {}).await;
    let somebody = IdentityKey::generate().unwrap();
    let bytes = card(&somebody, &OlmSealer::generate(), 1);
    let record = Record::new(record::key_of(&somebody.peer()), bytes.to_vec());
    peers[2].dht().kad.store_mut().put(record).unwrap();
    peers[0].dht().find(somebody.peer());
    run(&mut peers, |peers| peers[0].ended == 1).await;
    assert_eq!(peers[0].found, [bytes]);
    // Two links at the middle, one at each end: none between the ends, whose connection closes.
    run(&mut peers, |peers| peers[0].closed == 1 && peers[2].closed == 1).await;
    assert_eq!(peers.each_ref().map(|peer| peer.links), [1, 2, 1]);
    assert_eq!(peers[1].closed, 0);
}

#[tokio::test]
async fn who_dials_only_whom_a_person_names_asks_only_whom_it_is_linked_to() {
    let mut peers = row(|config| config.dialling = crate::config::Dialling::Named).await;
    let somebody = IdentityKey::generate().unwrap();
    let bytes = card(&somebody, &OlmSealer::generate(), 1);
    let key = record::key_of(&somebody.peer());
    peers[2].dht().kad.store_mut().put(Record::new(key.clone(), bytes.to_vec())).unwrap();
    peers[0].dht().find(somebody.peer());
    run(&mut peers, |peers| peers[0].ended == 1).await;
    assert_eq!(peers[0].found, [] as [Bytes; 0]);
    peers[1].dht().kad.store_mut().put(Record::new(key, bytes.to_vec())).unwrap();
    peers[0].dht().find(somebody.peer());
    run(&mut peers, |peers| peers[0].ended == 2).await;
    assert_eq!(peers[0].found, [bytes]);
    assert_eq!(peers[0].swarm.connected_peers().count(), 1);
}

#[tokio::test]
async fn a_card_is_spread_to_nodes_beyond_the_neighbours() {
    let mut peers = row(|_| {}).await;
    let (identity, sealer) = (peers[0].identity.seed(), OlmSealer::generate());
    let bytes = card(&IdentityKey::from_seed(&identity), &sealer, 1);
    peers[0].dht().publish(bytes);
    run(&mut peers, |peers| peers[1].figures.records == 1).await;
    assert_eq!(peers[2].figures.records, 0, "a new card is told to neighbours");
    peers[0].dht().spread();
    run(&mut peers, |peers| peers[2].figures.records == 1).await;
}

#[tokio::test]
async fn a_phone_stands_in_no_table_and_is_asked_nothing() {
    let mut peers = row(|config| config.profile = Profile::Desktop).await;
    let mut phone = Peer::new(|config| config.profile = Profile::Phone).await;
    phone.dial(&peers[1]);
    let [_, middle, _] = &mut peers;
    let pair = async {
        while phone.figures.peers < 1 {
            tokio::select! {
                event = phone.swarm.select_next_some() => phone.on(event),
                event = middle.swarm.select_next_some() => middle.on(event),
            }
        }
    };
    tokio::time::timeout(DEADLINE, pair).await.unwrap();
    assert_eq!(middle.figures.peers, 2);
}

#[tokio::test]
async fn a_flood_of_questions_is_answered_with_nothing() {
    let mut peers = row(|_| {}).await;
    let mut questions = 0;
    while peers[1].figures.refused_requests == 0 {
        // As many at once as an engine has under way.
        for _ in 0..4 {
            questions += 1;
            peers[0].dht().find(PeerKey::from_bytes(*blake3::hash(&usize::to_be_bytes(questions)).as_bytes()));
        }
        run(&mut peers, |peers| peers[0].ended == questions).await;
        assert!(questions < 1_000, "nothing was refused");
    }
    assert!(questions >= REQUEST_RATE.burst as usize, "refused after {questions}");
    assert_eq!(peers[1].closed, 0, "its links are not the worse for it");
}

fn claim(addresses: &[&str]) -> Vec<Multiaddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn a_peer_is_believed_to_be_where_it_is_seen() {
    let proves = |seen: &str, claimed: &str| {
        Place::new(PeerId::random(), &seen.parse().unwrap()).proves(&claimed.parse().unwrap())
    };
    assert!(proves("/ip4/192.0.2.1/tcp/50000", "/ip4/192.0.2.1/udp/4001/quic-v1"));
    assert!(proves("/ip4/127.0.0.1/tcp/50000", "/ip4/127.0.0.1/tcp/4001"));
    assert!(!proves("/ip4/192.0.2.1/tcp/50000", "/ip4/192.0.2.2/tcp/4001"), "somebody else would be dialled");
    assert!(!proves("/ip4/10.0.0.1/tcp/50000", "/ip4/127.0.0.1/tcp/4001"));
    assert!(!proves("/ip4/192.0.2.1/tcp/50000", "/ip4/10.0.0.1/tcp/4001"));
    assert!(proves("/dns4/example.org/tcp/4001", "/ip4/192.0.2.1/tcp/4001"));
    assert!(!proves("/dns4/example.org/tcp/4001", "/ip4/10.0.0.1/tcp/4001"));
}

#[test]
fn an_answer_names_a_bounded_number_of_peers_and_addresses_that_mean_something() {
    let many: Vec<String> = (1..=20).map(|host| format!("/ip4/192.0.2.{host}/tcp/1")).collect();
    let named = |addresses: &[&str]| kad::KadPeer {
        node_id: PeerId::random(),
        multiaddrs: claim(addresses),
        connection_ty: kad::ConnectionType::Connected,
    };
    let peers = vec![
        named(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1"]),
        named(&["/ip4/127.0.0.1/tcp/1"]),
        named(&many.iter().map(String::as_str).collect::<Vec<_>>()),
    ];
    let counts = |scope| within(scope, peers.clone()).iter().map(|peer| peer.multiaddrs.len()).collect::<Vec<_>>();
    assert_eq!(counts(Scope::Loopback), [3, 1, MAX_ADDRESSES]);
    assert_eq!(counts(Scope::Private), [2, MAX_ADDRESSES]);
    assert_eq!(counts(Scope::Public), [1, MAX_ADDRESSES]);
    let crowd = (0..MAX_NAMED * 2).map(|_| named(&["/ip4/192.0.2.1/tcp/1"])).collect();
    assert_eq!(within(Scope::Public, crowd).len(), MAX_NAMED);
}

#[tokio::test]
async fn searches_that_wait_for_somebody_to_ask_are_a_bounded_number() {
    let mut peer = Peer::new(|_| {}).await;
    let keys: Vec<_> = (0..MAX_WAITING as u8 + 1).map(|number| PeerKey::from_bytes([number; 32])).collect();
    for key in keys.iter().chain(keys.last()) {
        peer.dht().find(*key);
    }
    assert_eq!(peer.dht().waiting, &keys[1..]);
}

#[test]
fn a_store_takes_no_older_card_and_no_forged_one() {
    let own = PeerId::random();
    let mut store = record::store(own);
    let (identity, sealer) = (IdentityKey::generate().unwrap(), OlmSealer::generate());
    let key = record::key_of(&identity.peer());
    let of = |seq| Record::new(key.clone(), card(&identity, &sealer, seq).to_vec());
    assert_eq!(record::check(&mut store, &of(2)), Ok(()));
    store.put(of(2)).unwrap();
    assert_eq!(record::check(&mut store, &of(1)), Err(record::NotHeld::Older));
    assert_eq!(record::check(&mut store, &of(2)), Ok(()), "put again, it lives on");
    assert_eq!(record::check(&mut store, &of(3)), Ok(()));
    let mut forged = of(4);
    *forged.value.last_mut().unwrap() ^= 1;
    assert_eq!(record::check(&mut store, &forged), Err(record::NotHeld::Forged));
    let elsewhere = Record::new(RecordKey::new(b"any"), of(4).value);
    assert_eq!(record::check(&mut store, &elsewhere), Err(record::NotHeld::OtherKey));
    assert_eq!(record::check(&mut store, &Record::new(key.clone(), Vec::new())), Err(record::NotHeld::NoCard));
    let large = Record::new(key, vec![0; MAX_CARD_BYTES + 1]);
    assert_eq!(record::check(&mut store, &large), Err(record::NotHeld::TooLarge));
}

#[test]
fn a_full_store_keeps_its_own_card_and_those_nearest_to_it() {
    let (own, own_key) = (PeerId::random(), RecordKey::new(b"own"));
    let mut store = record::store(own);
    let now = Instant::now();
    store.put(Record::new(own_key.clone(), vec![1])).unwrap();
    let number = |number: usize| RecordKey::new(&blake3::hash(&number.to_be_bytes()).as_bytes());
    let all = record::MAX_RECORDS * 2;
    for key in (0..all).map(number) {
        record::hold(&mut store, own, &own_key, Record::new(key, vec![1]), now);
        assert!(store.records().count() <= record::MAX_RECORDS);
    }
    let here = kad::KBucketKey::from(own);
    let mut nearest: Vec<_> = (0..all).map(number).collect();
    nearest.sort_by_key(|key| here.distance(&kad::KBucketKey::new(key.clone())));
    nearest.truncate(record::MAX_RECORDS - 1);
    assert!(nearest.iter().chain([&own_key]).all(|key| store.get(key).is_some()));
    let mut old = Record::new(nearest[0].clone(), vec![1]);
    old.expires = Some(now);
    store.put(old).unwrap();
    record::hold(&mut store, own, &own_key, Record::new(number(all), vec![1]), now);
    assert!(store.get(&nearest[0]).is_none() && store.get(&number(all)).is_some(), "what is out of date goes first");
}
