//! The interface in front of three nodes in a row: routes, topology, figures and labels.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod served;

use served::{DEADLINE, Served, hear, refusal, say, serve_as};
use tidings::Node;
use tidings_api::types::{
    BatchRequest, Code, Event, EventKind, Labels, Operation, PathNode, PeerQuery, Push, SendRequest, SendResult,
    TopologyKind, WaitQuery, WaitState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Nodes of which each has a link to the next and to nobody else, once each reaches every other.
async fn row<const N: usize>(names: [&str; N]) -> [Served; N] {
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(serve_as(Node::builder().no_dial(), name).await);
    }
    for pair in nodes.windows(2) {
        let address = pair[1].node.listen_addresses().remove(0);
        pair[0].client.dial(address.as_str()).await.unwrap();
    }
    for node in &nodes {
        until(async || node.client.routes().await.unwrap().routes.len() == N - 1).await;
    }
    nodes.try_into().ok().unwrap()
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, held).await.expect("it holds in time");
}

fn labels(text: &str) -> Labels {
    let pairs = text.split(' ').filter_map(|label| label.split_once('='));
    Labels { labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_name_next_hops_and_a_message_counts_the_links_it_crossed() {
    let [ada, bob, eve] = row(["ada", "bob", "eve"]).await;
    let (middle, far) = (bob.node.peer_id().to_string(), eve.node.peer_id().to_string());
    let accepted = ada.client.send(&SendRequest::new(far.as_str(), b"x"), "k").await.unwrap();
    ada.reached(&accepted.id, WaitState::Delivered).await;
    assert_eq!(eve.inbox().await[0].hops, 2);
    let routes = ada.client.routes().await.unwrap().routes;
    let way: Vec<_> =
        routes.iter().map(|route| (route.hops, route.peer_id.as_str(), route.next_hop.as_str())).collect();
    assert_eq!(way, [(1, middle.as_str(), middle.as_str()), (2, far.as_str(), middle.as_str())]);
    assert_eq!((routes[1].name.as_str(), routes[1].next_hop_name.as_str()), ("eve", "bob"));
    assert_eq!(routes[1].second_next_hop, None);
    assert!(routes[1].cost >= 2);
    let peers = ada.client.peers().await.unwrap().peers;
    let hops: Vec<_> = peers.iter().map(|peer| peer.route.as_ref().map(|route| route.hops)).collect();
    assert_eq!(hops, [Some(1), Some(2)], "neighbours first, then the nearest");
    assert!(peers[1].links.is_empty());
    let metrics = bob.client.metrics().await.unwrap();
    assert!(metrics.contains("tidings_routes 2\n"), "{metrics}");
    let relayed = metrics.lines().find_map(|line| line.strip_prefix("tidings_relay_parcels_total ")).unwrap();
    assert!(relayed.parse::<u64>().unwrap() >= 1, "{relayed}");
    assert!(metrics.contains("tidings_topology_shape{kind=\"mesh\"} 1\n"), "{metrics}");
    for node in [ada, bob, eve] {
        node.stop().await;
    }
}

/// The names and peer ids of a path.
fn nodes_of(path: Option<Vec<PathNode>>) -> Vec<(Option<String>, Option<String>)> {
    path.unwrap().into_iter().map(|node| (node.name, node.peer_id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_route_names_the_same_way_at_both_ends() {
    let nodes = row(["ada", "bob", "eve"]).await;
    let [ada, bob, eve] = &nodes;
    let expected: Vec<_> = nodes
        .iter()
        .zip(["ada", "bob", "eve"])
        .map(|(node, name)| (Some(name.to_owned()), Some(node.node.peer_id().to_string())))
        .collect();
    let far = eve.node.peer_id().to_string();
    let asking = |text: &str| SendRequest { record_route: true, ..SendRequest::new(far.as_str(), text.as_bytes()) };
    let mut stream = ada.client.stream().await.unwrap();
    say(&mut stream, 1, Operation::Send(asking("stream"))).await;
    let Push::Answer(answer) = hear(&mut stream).await else { panic!("nothing else is pushed") };
    let batch = BatchRequest { messages: vec![asking("batch"), SendRequest::new(far.as_str(), b"quiet")] };
    let mut ids = vec![answer.accepted.unwrap().id, ada.client.send(&asking("call"), "k").await.unwrap().id];
    for result in ada.client.send_batch(&batch).await.unwrap().results {
        let SendResult::Accepted(accepted) = result else { panic!("{result:?}") };
        ids.push(accepted.id);
    }
    for id in &ids {
        ada.reached(id, WaitState::Delivered).await;
    }
    let quiet = ids.pop().unwrap();
    let inbox = eve.inbox().await;
    for id in &ids {
        let message = inbox.iter().find(|message| message.id == *id).unwrap();
        assert_eq!(nodes_of(message.path.clone()), expected);
        let sent = ada.client.message(id, &WaitQuery::default()).await.unwrap();
        assert_eq!((sent.record_route, sent.hops, nodes_of(sent.path)), (true, Some(2), expected.clone()));
        let came = eve.client.arrival(id).await.unwrap();
        assert_eq!((came.hops, came.acknowledged, nodes_of(came.path)), (2, false, expected.clone()));
    }
    let sent = ada.client.message(&quiet, &WaitQuery::default()).await.unwrap();
    assert_eq!((sent.record_route, sent.hops, sent.path), (false, None, None));
    let came = eve.client.arrival(&quiet).await.unwrap();
    assert_eq!((came.hops, came.path), (2, None));
    eve.client.acknowledge(ids.iter().chain([&quiet]).cloned().collect()).await.unwrap();
    let came = eve.client.arrival(&ids[0]).await.unwrap();
    assert_eq!((came.from, came.acknowledged, nodes_of(came.path)), (ada.node.peer_id().to_string(), true, expected));
    assert_eq!(refusal(eve.client.arrival(&quiet).await.unwrap_err()), Code::UnknownMessage);
    assert_eq!(refusal(bob.client.arrival(&ids[0]).await.unwrap_err()), Code::UnknownMessage);
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_measured_and_null_where_nothing_was() {
    let [ada, bob] = row(["ada", "bob"]).await;
    let network = ada.client.network().await.unwrap();
    assert_eq!((network.size, network.components, network.fragmentation), (2, 1, 0.0));
    assert_eq!((network.delivery_rate, network.latency, network.recovery_seconds), (None, None, None));
    let to = bob.node.peer_id().to_string();
    let accepted = ada.client.send(&SendRequest::new(to, b"x"), "k").await.unwrap();
    ada.reached(&accepted.id, WaitState::Delivered).await;
    let network = ada.client.network().await.unwrap();
    assert_eq!(network.delivery_rate, Some(1.0));
    let latency = network.latency.unwrap();
    assert_eq!(latency.samples, 1);
    assert!(latency.p50_seconds > 0.0 && latency.p50_seconds == latency.max_seconds, "{latency:?}");
    let metrics = ada.client.metrics().await.unwrap();
    assert!(metrics.contains("tidings_receipt_seconds_count 1\n"), "{metrics}");
    // Somebody who is nowhere: what expires is not delivered.
    let gone = serve_as(Node::builder(), "gone").await;
    let to = gone.node.peer_id().to_string();
    gone.stop().await;
    let request = SendRequest { expires_in_seconds: Some(1), ..SendRequest::new(to, b"x") };
    ada.client.send(&request, "late").await.unwrap();
    until(async || ada.client.network().await.unwrap().delivery_rate == Some(0.5)).await;
    for node in [ada, bob] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shape_is_set_told_and_known() {
    let [ada, bob] = row(["ada", "bob"]).await;
    let topology = ada.client.topology().await.unwrap();
    assert_eq!((topology.kind, topology.shape), (TopologyKind::Adaptive, TopologyKind::Mesh));
    let names: Vec<_> = topology.nodes.iter().map(|node| (node.name.as_str(), node.reachable)).collect();
    assert_eq!(names, [("ada", true), ("bob", true)], "this node first");
    let ends = [ada.node.peer_id().to_string(), bob.node.peer_id().to_string()];
    assert_eq!(topology.links, [ends]);
    let mut stream = ada.client.stream().await.unwrap();
    say(&mut stream, 1, Operation::Subscribe { events: vec![EventKind::Topology], kinds: None }).await;
    hear(&mut stream).await;
    let topology = ada.client.set_topology(TopologyKind::Ring).await.unwrap();
    assert_eq!((topology.kind, topology.shape), (TopologyKind::Ring, TopologyKind::Ring));
    assert_eq!(ada.client.node().await.unwrap().topology, TopologyKind::Ring);
    let Push::Event(Event::Topology { kind, reason, routes }) = hear(&mut stream).await else {
        panic!("only the topology was asked for");
    };
    assert_eq!((kind, routes.len()), (Some(TopologyKind::Ring), 0));
    assert!(reason.is_some_and(|reason| reason.contains("ring")));
    let lost = bob.node.peer_id().to_string();
    bob.stop().await;
    let mut gone = false;
    while !gone {
        let Push::Event(Event::Topology { routes, .. }) = hear(&mut stream).await else {
            panic!("only the topology was asked for");
        };
        gone = routes.iter().any(|change| change.peer_id == lost && change.route.is_none());
    }
    let topology = ada.client.topology().await.unwrap();
    let lost = topology.nodes.iter().find(|node| node.peer_id == lost);
    assert!(lost.is_some_and(|node| !node.reachable), "who was lost is shown for a while");
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_found_by_the_labels_they_tell() {
    let [ada, bob, eve] = row(["ada", "bob", "eve"]).await;
    assert_eq!(eve.client.labels().await.unwrap(), Labels::default());
    let told = labels("room=kitchen floor=2");
    assert_eq!(eve.client.set_labels(&told).await.unwrap(), told);
    assert_eq!(eve.client.labels().await.unwrap(), told);
    let with = |label: &str| PeerQuery { label: Some(label.to_owned()) };
    until(async || ada.client.peers_with(&with("room=kitchen")).await.unwrap().peers.len() == 1).await;
    let found = ada.client.peers_with(&with("room=kitchen")).await.unwrap().peers;
    assert_eq!(found[0].peer_id, eve.node.peer_id().to_string());
    assert_eq!(found[0].labels, told.labels);
    for other in ["room=hall", "room", "kitchen"] {
        assert!(ada.client.peers_with(&with(other)).await.unwrap().peers.is_empty(), "{other}");
    }
    for node in [ada, bob, eve] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_cannot_be_told_are_refused_and_change_nothing() {
    let [ada, bob] = row(["ada", "bob"]).await;
    let told = labels("room=kitchen");
    ada.client.set_labels(&told).await.unwrap();
    let many: String = (0..9).map(|n| format!("k{n}=1 ")).collect();
    let long = format!("room={}", "k".repeat(28));
    for wrong in [many.as_str(), long.as_str(), "Room=kitchen", "=kitchen", "room=a\u{7}"] {
        let error = ada.client.set_labels(&labels(wrong)).await.unwrap_err();
        assert_eq!(refusal(error), Code::InvalidLabel, "{wrong:?}");
    }
    assert_eq!(ada.client.labels().await.unwrap(), told);
    for node in [ada, bob] {
        node.stop().await;
    }
}

/// What a program sends that was not made with these types.
async fn put(node: &Served, path: &str, body: &str) -> String {
    let socket = tidings_api::directory::socket_path(node.directory.path()).unwrap();
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let request = format!(
        "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_a_bad_request_that_names_what_can() {
    let [ada] = row(["ada"]).await;
    for (path, body, told) in [
        ("/v1/topology", r#"{"kind":"web"}"#, "`mesh`, `ring`, `hierarchical`, `star`, `adaptive`"),
        ("/v1/topology", r#"{"shape":"ring"}"#, "unknown field `shape`"),
        ("/v1/labels", r#"{"labels":["room=kitchen"]}"#, "expected a map"),
        ("/v1/labels", r#"{"labels":{"room":1}}"#, "expected a string"),
    ] {
        let answer = put(&ada, path, body).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body}: {answer}");
        assert!(answer.contains("\"invalid_request\"") && answer.contains(told), "{body}: {answer}");
    }
    assert_eq!(ada.client.topology().await.unwrap().kind, TopologyKind::Adaptive);
    ada.stop().await;
}
