//! Nodes stop and start again; what was promised holds.

mod nodes;

use std::time::{Duration, Instant};

use nodes::{QUIC, TCP, deliver, link, next, soon, start};
use tidings::config::Switch;
use tidings::{Address, Message, MessageState, Node, NodeState, StartError};

#[tokio::test]
async fn a_delivered_message_waits_for_its_application_over_a_restart() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&a, &b).await;
    let id = deliver(&a, b.peer_id(), "keep me").await;
    b.shutdown().await;

    let b = start(home_b.path(), "bob", QUIC).await;
    let message = next(&mut b.inbox()).await;
    assert_eq!((message.id, &*message.payload), (id, b"keep me".as_slice()));
    assert_eq!(b.acknowledge(vec![id]).await.unwrap(), []);
    // The sender hears of it with the next link, which it opens without being told where.
    deliver(&a, b.peer_id(), "more").await;
    let state = soon(a.wait(id, MessageState::Acknowledged)).await.unwrap();
    assert_eq!(state, MessageState::Acknowledged);
    b.shutdown().await;

    let b = start(home_b.path(), "bob", QUIC).await;
    let waiting = b.inbox_page(None, 10, None, Duration::ZERO).await.unwrap();
    let texts: Vec<_> = waiting.iter().map(|message| &message.payload).collect();
    assert_eq!(texts, ["more"]);
}

#[tokio::test]
async fn an_accepted_message_is_sent_after_a_restart_of_the_sender() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", TCP).await;
    let b = start(home_b.path(), "bob", TCP).await;
    link(&a, &b).await;
    deliver(&a, b.peer_id(), "first").await;
    let to = b.peer_id();
    b.shutdown().await;
    let id = a.send(Message::to(to).text("second")).await.unwrap().id();
    a.shutdown().await;

    let a = start(home_a.path(), "ada", TCP).await;
    let b = start(home_b.path(), "bob", TCP).await;
    let state = soon(a.wait(id, MessageState::Delivered)).await.unwrap();
    assert_eq!(state, MessageState::Delivered);
    let mut inbox = b.inbox();
    assert_eq!(next(&mut inbox).await.payload, "first");
    assert_eq!(next(&mut inbox).await.payload, "second");
}

#[tokio::test]
async fn identity_and_ports_stay() {
    let home = tempfile::tempdir().unwrap();
    let node = start(home.path(), "ada", QUIC).await;
    let before = (node.peer_id(), node.listen_addresses());
    node.shutdown().await;
    let node = start(home.path(), "ada", QUIC).await;
    assert_eq!((node.peer_id(), node.listen_addresses()), before);
    let info = node.info().await;
    assert_eq!(info.state, NodeState::Active);
    assert_eq!(info.name, "ada");
    assert!(
        info.listen_addresses.iter().all(|address| { address.as_str().ends_with(&format!("/p2p/{}", node.peer_id())) })
    );
}

#[tokio::test]
async fn a_stop_takes_at_most_two_seconds_and_answers_who_waits() {
    let home = tempfile::tempdir().unwrap();
    let (home_b, absent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = start(home.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&node, &b).await;
    let nobody = start(absent.path(), "eve", QUIC).await;
    let to = nobody.peer_id();
    nobody.shutdown().await;
    let handle = node.send(Message::to(to).text("wait")).await.unwrap();
    let before = Instant::now();
    let (waited, ()) = soon(async { tokio::join!(handle.wait(MessageState::Delivered), node.shutdown()) }).await;
    assert!(before.elapsed() <= Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(waited.unwrap_err(), tidings::WaitError::Call(tidings::CallError::Stopped));
    assert_eq!(node.peers().await.unwrap_err(), tidings::CallError::Stopped);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_node() {
    let home = tempfile::tempdir().unwrap();
    drop(start(home.path(), "ada", QUIC).await);
    // The directory is free again once it has ended.
    soon(async {
        loop {
            let started =
                Node::builder().dir(home.path()).address(Address::new(QUIC).unwrap()).mdns(Switch::Off).start().await;
            match started {
                Ok(_) => return,
                Err(StartError::InUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_second_node_on_the_same_directory_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let _node = start(home.path(), "ada", QUIC).await;
    let second = Node::builder().dir(home.path()).start().await.unwrap_err();
    assert!(matches!(second, StartError::InUse { .. }), "{second:?}");
    assert_eq!(
        second.to_string(),
        format!(
            "another node is running in {}; stop it with `tidings stop`, or use another directory",
            home.path().display()
        )
    );
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", TCP).await;
    let taken = a.listen_addresses().remove(0);
    let place = taken.as_str().split("/p2p/").next().unwrap();
    let second = Node::builder()
        .dir(home_b.path())
        .address(Address::new(place).unwrap())
        .mdns(Switch::Off)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(&second, StartError::PortInUse { address } if address.as_str() == place), "{second:?}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let refused = Node::builder().dir(file.join("home")).start().await.unwrap_err();
    assert!(matches!(refused, StartError::Unreadable { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_paused_node_has_no_links_and_finds_its_neighbour_again() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&a, &b).await;
    deliver(&a, b.peer_id(), "before").await;
    a.pause().await.unwrap();
    assert_eq!(a.info().await.state, NodeState::Paused);
    let handle = a.send(Message::to(b.peer_id()).text("while")).await;
    a.resume().await.unwrap();
    let state = soon(handle.unwrap().wait(MessageState::Delivered)).await;
    assert_eq!(state.unwrap(), MessageState::Delivered);
}

#[test]
fn a_node_works_without_a_runtime_of_its_caller() {
    let home = tempfile::tempdir().unwrap();
    let info = futures::executor::block_on(async {
        let node = start(home.path(), "ada", QUIC).await;
        let page = node.inbox_page(None, 1, None, Duration::from_millis(1)).await;
        assert_eq!(page.unwrap(), []);
        let info = node.info().await;
        node.shutdown().await;
        info
    });
    assert_eq!(info.state, NodeState::Active);
}
