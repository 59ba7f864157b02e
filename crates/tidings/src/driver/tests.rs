//! The driver with a database that fails.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tidings_core::links::Address;
use tidings_core::message::MessageState;
use tidings_crypto::{IdentityKey, PlainWrapper};
use tokio::runtime::Handle;

use super::*;
use crate::config::Switch;
use crate::start::Start;
use crate::{CallError, Labels, Message, Node, NodeState, Topology};

/// Far beyond what the slowest machine needs.
const DEADLINE: Duration = Duration::from_secs(60);

type Replies = mpsc::Sender<StoreReply>;

/// A running node, and where its store thread speaks from.
async fn node(dir: &Path) -> (Node, Replies) {
    let mut config = Config::default();
    config.addresses = vec![Address::new("/ip4/127.0.0.1/tcp/0").unwrap()];
    config.mdns = Switch::Off;
    let start = Start { dir: dir.to_owned(), config, keys: Arc::new(PlainWrapper) };
    let (mut driver, node) = start.prepare(&Handle::current()).unwrap();
    let replies = driver.store_replies.0.clone();
    driver.open().await.unwrap();
    tokio::spawn(async { driver.run().await.tell() });
    (node, replies)
}

async fn until_state(node: &Node, wanted: impl Fn(&Status) -> bool) {
    let mut status = node.status();
    tokio::time::timeout(DEADLINE, status.wait_for(|status| wanted(status))).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lost_database_is_reopened_and_nothing_accepted_is_lost() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, replies) = node(home_a.path()).await;
    let (b, _) = node(home_b.path()).await;
    let handle = a.send(Message::to(b.peer_id()).text("kept")).await.unwrap();
    replies.send(StoreReply::Failed("the disk is on fire".to_owned())).await.unwrap();
    let is_lost = |status: &Status| {
        status.state == NodeState::Degraded
            && status.reasons == ["the database was lost and is being reopened: the disk is on fire"]
    };
    let is_back = |status: &Status| status.state == NodeState::Active;
    // One thread runs both: this task is woken before the driver can hear that the database is open again.
    until_state(&a, is_lost).await;
    until_state(&a, is_back).await;
    let address = b.listen_addresses().remove(0);
    a.dial(address.as_str()).await.unwrap();
    let mut inbox = b.inbox();
    let message = tokio::time::timeout(DEADLINE, inbox.next()).await.unwrap();
    assert_eq!(message.unwrap().id, handle.id());
    // The handle from before follows its message still.
    let delivered = tokio::time::timeout(DEADLINE, handle.wait(MessageState::Delivered)).await;
    assert_eq!(delivered.unwrap().unwrap(), MessageState::Delivered);
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_reopened_degrades_the_node_and_answers_callers() {
    let home = tempfile::tempdir().unwrap();
    let (a, replies) = node(home.path()).await;
    let to = IdentityKey::generate().unwrap().peer();
    // The database becomes a directory: nothing opens that.
    for file in std::fs::read_dir(home.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("tidings.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::create_dir(home.path().join("tidings.db")).unwrap();
    replies.send(StoreReply::Failed("gone".to_owned())).await.unwrap();
    until_state(&a, |status| {
        status.reasons.iter().any(|reason| reason.starts_with("the database cannot be reopened: "))
    })
    .await;
    let refused = a.send(Message::to(to).text("now?")).await.unwrap_err();
    assert_eq!(refused, CallError::Unavailable);
    a.shutdown().await;
    assert_eq!(a.peers().await.unwrap_err(), CallError::Stopped);
}

#[tokio::test]
async fn what_was_set_while_it_ran_outlives_a_lost_database() {
    let home = tempfile::tempdir().unwrap();
    let (a, replies) = node(home.path()).await;
    let labels = Labels::new([("room", "kitchen")]).unwrap();
    a.set_labels(labels.clone()).await.unwrap();
    a.set_topology(Topology::Ring).await.unwrap();
    replies.send(StoreReply::Failed("the disk is on fire".to_owned())).await.unwrap();
    until_state(&a, |status| status.state == NodeState::Degraded).await;
    until_state(&a, |status| status.state == NodeState::Active).await;
    assert_eq!(a.labels().await.unwrap(), labels);
    assert_eq!(a.topology().await.unwrap().kind, Topology::Ring);
    assert_eq!(a.info().await.topology, Topology::Ring);
    a.shutdown().await;
}
