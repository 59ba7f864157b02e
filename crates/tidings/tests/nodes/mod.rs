//! Nodes on loopback that find one another only where a test says so.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tidings::config::Switch;
use tidings::{Address, Message, MessageState, Node, PeerId};

/// Far beyond what the slowest machine needs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";

/// Starts a node in `dir`, listening at `address`.
pub(crate) async fn start(dir: &Path, name: &str, address: &str) -> Node {
    Node::builder()
        .dir(dir)
        .name(name)
        .address(Address::new(address).expect("an address"))
        .mdns(Switch::Off)
        .start()
        .await
        .expect("the node starts")
}

/// Links `a` to `b`.
pub(crate) async fn link(a: &Node, b: &Node) {
    let address = b.listen_addresses().remove(0);
    let dialled = a.dial(address.as_str()).await.expect("the dial leads to a link");
    assert_eq!(dialled.peer, b.peer_id());
}

/// Waits for `future`, and fails the test where it takes for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens before the deadline")
}

/// The next item of a stream.
pub(crate) async fn next<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    soon(stream.next()).await.expect("the stream goes on")
}

/// Sends a text and waits until it is delivered.
pub(crate) async fn deliver(from: &Node, to: PeerId, text: &str) -> tidings::MessageId {
    let handle = from.send(Message::to(to).text(text)).await.expect("the message is accepted");
    let state = soon(handle.wait(MessageState::Delivered)).await;
    assert!(state.as_ref().is_ok_and(|state| state.meets(MessageState::Delivered)), "{state:?}");
    handle.id()
}
