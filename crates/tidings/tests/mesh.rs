//! Three nodes in a row over real sockets: who is not linked is reached all the same.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod nodes;

use std::path::Path;

use nodes::{TCP, deliver, link, next, soon};
use tidings::config::{Profile, Switch};
use tidings::{Address, Event, EventStream, Labels, Node, PeerId, Power, Topology};

async fn start(dir: &Path, name: &str) -> Node {
    let builder = Node::builder().dir(dir).name(name).mdns(Switch::Off).no_dial().profile(Profile::Server);
    builder.address(Address::new(TCP).unwrap()).start().await.unwrap()
}

/// Nodes of which each has a link to the next and to nobody else.
struct Row {
    _homes: Vec<tempfile::TempDir>,
    nodes: Vec<Node>,
}

async fn row(names: &[&str]) -> Row {
    let homes: Vec<_> = names.iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let mut nodes = Vec::new();
    for (home, name) in homes.iter().zip(names) {
        nodes.push(start(home.path(), name).await);
    }
    for pair in nodes.windows(2) {
        link(&pair[0], &pair[1]).await;
    }
    Row { _homes: homes, nodes }
}

/// Waits until a way leads to a peer, and returns its hops.
async fn reach(node: &Node, peer: PeerId) -> u8 {
    let mut events = node.events(None);
    loop {
        let routes = node.routes().await.unwrap();
        if let Some(route) = routes.iter().find(|route| route.peer == peer) {
            return route.hops;
        }
        way_changes(&mut events).await;
    }
}

async fn way_changes(events: &mut EventStream) -> Vec<tidings::RouteChange> {
    loop {
        if let Event::Routes(changes) = next(events).await {
            return changes;
        }
    }
}

#[tokio::test]
async fn a_message_crosses_a_node_that_is_shown_nothing_of_it() {
    let row = row(&["ada", "bob", "eve"]).await;
    let [a, b, c] = &row.nodes[..] else { panic!("three nodes") };
    assert_eq!(reach(a, c.peer_id()).await, 2);
    let id = deliver(a, c.peer_id(), "past bob").await;
    let message = next(&mut c.inbox()).await;
    assert_eq!((message.id, message.hops, &*message.payload), (id, 2, b"past bob".as_slice()));
    assert_eq!(b.inbox_page(None, 10, None, std::time::Duration::ZERO).await.unwrap(), []);
    // The message and its receipt; the sender may have read it before this node hears that it has.
    soon(async {
        while b.view().await.unwrap().relay.relayed < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let far = a.peers().await.unwrap().into_iter().find(|peer| peer.peer == c.peer_id()).unwrap();
    assert_eq!((far.name.as_str(), far.links.len()), ("eve", 0));
}

#[tokio::test]
async fn the_figures_are_those_of_the_row() {
    let row = row(&["ada", "bob", "eve"]).await;
    let [a, b, c] = &row.nodes[..] else { panic!("three nodes") };
    let before = a.network().await.unwrap();
    assert_eq!((before.delivery.latest, before.delivery.in_time), (None, 0));
    reach(a, c.peer_id()).await;
    deliver(a, c.peer_id(), "measured").await;
    let network = a.network().await.unwrap();
    assert_eq!(network.metrics.size, 3);
    assert_eq!((network.delivery.in_time, network.delivery.missed), (1, 0));
    let latest = network.delivery.latest.unwrap();
    assert_eq!(latest.samples, 1);
    assert!(!latest.p50.is_zero() && latest.p50 == latest.max, "{latest:?}");
    // What the middle one has it need not be told.
    let graph = b.graph().await.unwrap();
    let own: Vec<_> = graph.edges.iter().filter(|(one, _)| *one == 0).collect();
    assert_eq!((graph.nodes[0].peer, own.len()), (b.peer_id(), 2));
}

#[tokio::test]
async fn what_a_node_tells_of_itself_is_known_beyond_its_neighbours() {
    let row = row(&["ada", "bob", "eve"]).await;
    let [a, _, c] = &row.nodes[..] else { panic!("three nodes") };
    reach(a, c.peer_id()).await;
    let labels = Labels::new([("room", "kitchen")]).unwrap();
    c.set_labels(labels.clone()).await.unwrap();
    assert_eq!(c.labels().await.unwrap(), labels);
    let told = soon(async {
        loop {
            let peers = a.peers().await.unwrap();
            let far = peers.into_iter().find(|peer| peer.peer == c.peer_id());
            let announced = far.and_then(|peer| peer.announced).unwrap_or_default();
            if !announced.labels.is_empty() {
                return announced;
            }
            tokio::task::yield_now().await;
        }
    });
    let told = told.await;
    assert_eq!(told.labels, ["room=kitchen"]);
    assert_eq!(told.power, Power::Mains, "a server says that it is on mains");
}

#[tokio::test]
async fn a_way_that_is_lost_and_a_shape_that_is_chosen_are_events() {
    let row = row(&["ada", "bob", "eve"]).await;
    let [a, b, c] = &row.nodes[..] else { panic!("three nodes") };
    reach(a, c.peer_id()).await;
    let mut events = a.events(None);
    a.set_topology(Topology::Star).await.unwrap();
    loop {
        if let Event::Topology { kind, reason } = next(&mut events).await {
            assert_eq!((kind, reason.as_str()), (Topology::Star, "a person set the kind to star"));
            break;
        }
    }
    assert_eq!(a.info().await.topology, Topology::Star);
    assert_eq!(a.topology().await.unwrap().shape, Topology::Star);
    b.shutdown().await;
    loop {
        let changes = way_changes(&mut events).await;
        if changes.iter().any(|change| change.peer == c.peer_id() && change.way.is_none()) {
            break;
        }
    }
    assert!(!a.routes().await.unwrap().iter().any(|route| route.peer == c.peer_id()));
}
