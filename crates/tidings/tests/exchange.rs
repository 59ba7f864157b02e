//! Two nodes exchange messages over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod nodes;

use std::time::Duration;

use futures::StreamExt;
use nodes::{QUIC, TCP, deliver, link, next, soon, start};
use tidings::{Event, Message, MessageState, Priority, ResolvedBy};

async fn delivers_and_acknowledges(address: &str) {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", address).await;
    let b = start(home_b.path(), "bob", address).await;
    link(&a, &b).await;
    let handle = a
        .send(Message::to(b.peer_id()).text("hello").kind("greeting").priority(Priority::High).header("language", "en"))
        .await
        .unwrap();
    let mut inbox = b.inbox();
    let message = next(&mut inbox).await;
    assert_eq!(message.id, handle.id());
    assert_eq!(message.from, a.peer_id());
    assert_eq!(message.payload, "hello");
    assert_eq!(message.kind, "greeting");
    assert_eq!(message.class, Priority::High);
    assert_eq!(message.headers, [("language".to_owned(), "en".to_owned())]);
    assert_eq!(message.hops, 1);
    let delivered = soon(handle.wait(MessageState::Delivered)).await.unwrap();
    assert_eq!(delivered, MessageState::Delivered);
    assert_eq!(b.acknowledge(vec![message.id]).await.unwrap(), []);
    let acknowledged = soon(handle.wait(MessageState::Acknowledged)).await.unwrap();
    assert_eq!(acknowledged, MessageState::Acknowledged);
    // A second wait, by id, finds it in the database.
    let again = soon(a.wait(handle.id(), MessageState::Acknowledged)).await;
    assert_eq!(again.unwrap(), MessageState::Acknowledged);
    assert_eq!(b.acknowledge(vec![message.id]).await.unwrap(), [message.id]);
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_message_over_quic_is_delivered_and_acknowledged() {
    delivers_and_acknowledges(QUIC).await;
}

#[tokio::test]
async fn a_message_over_tcp_is_delivered_and_acknowledged() {
    delivers_and_acknowledges(TCP).await;
}

#[tokio::test]
async fn a_thousand_messages_arrive_once_and_in_the_order_of_their_stream() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&a, &b).await;
    let messages = (0..1000).map(|n: u32| Message::to(b.peer_id()).stream("numbers").text(n.to_string())).collect();
    let answers = a.send_batch(messages).await.unwrap();
    let ids: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().id).collect();
    let inbox = b.inbox().take(1000).collect::<Vec<_>>();
    let got = soon(inbox).await;
    let texts: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    assert_eq!(got.iter().map(|message| message.payload.clone()).collect::<Vec<_>>(), texts);
    assert_eq!(got.iter().map(|message| message.id).collect::<Vec<_>>(), ids);
    let last = *ids.last().unwrap();
    soon(a.wait(last, MessageState::Delivered)).await.unwrap();
    b.acknowledge(ids.clone()).await.unwrap();
    let rest = b.inbox_page(None, 10, None, Duration::ZERO).await.unwrap();
    assert_eq!(rest, []);
}

#[tokio::test]
async fn a_request_gets_the_reply_that_names_it() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&a, &b).await;
    let question = Message::to(b.peer_id()).text("2 + 2");
    let answering = async {
        let asked = next(&mut b.inbox()).await;
        let answer = Message::to(asked.from).text("4").reply_to(asked.id);
        b.send(answer).await.unwrap();
    };
    let (reply, ()) = tokio::join!(a.request(question, nodes::DEADLINE), answering);
    assert_eq!(reply.unwrap().payload, "4");
}

#[tokio::test]
async fn an_invite_makes_both_contacts_of_each_other() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    let mut events = a.events(None);
    let invite = a.create_invite(Duration::from_secs(600)).await.unwrap();
    let contact = b.accept_invite(&invite, None).await.unwrap();
    assert_eq!((contact.peer, contact.name.as_str()), (a.peer_id(), "ada"));
    loop {
        if let Event::Contact(contact) = next(&mut events).await {
            assert_eq!((contact.peer, contact.name.as_str()), (b.peer_id(), "bob"));
            break;
        }
    }
    let resolved = b.resolve("ada").await.unwrap();
    assert_eq!(resolved.peer, a.peer_id());
    assert!(matches!(resolved.by, ResolvedBy::Contact { .. }));
    deliver(&b, resolved.peer, "thanks").await;
}

#[tokio::test]
async fn a_cancelled_message_ends_its_wait_and_can_be_sent_again() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    // There is no link yet, so it waits.
    let handle = a.send(Message::to(b.peer_id()).text("never mind")).await.unwrap();
    a.cancel(handle.id()).await.unwrap();
    let state = soon(handle.wait(MessageState::Delivered)).await.unwrap();
    assert_eq!(state, MessageState::Cancelled);
    let again = a.retry(handle.id()).await.unwrap();
    assert_ne!(again.id(), handle.id());
    let kept = a.message(again.id()).await.unwrap().unwrap();
    assert_eq!(kept.retry_of, Some(handle.id()));
    link(&a, &b).await;
    let message = next(&mut b.inbox()).await;
    assert_eq!((message.id, &*message.payload), (again.id(), b"never mind".as_slice()));
}

#[tokio::test]
async fn a_repeated_call_with_the_same_key_is_one_message() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    let message = || Message::to(b.peer_id()).text("once").idempotency_key("order 1");
    let first = a.send(message()).await.unwrap();
    let second = a.send(message()).await.unwrap();
    assert_eq!(second.id(), first.id());
    assert!(second.is_repeated());
    let other = a.send(message().text("twice")).await.unwrap_err();
    assert_eq!(other, tidings::CallError::Refused(tidings::Refusal::IdempotencyMismatch));
}

#[tokio::test]
async fn events_are_resumed_where_a_reader_left_them() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(home_a.path(), "ada", QUIC).await;
    let b = start(home_b.path(), "bob", QUIC).await;
    link(&a, &b).await;
    let mut events = a.events(None);
    let first = deliver(&a, b.peer_id(), "one").await;
    let place = loop {
        let event = next(&mut events).await;
        if let (Event::State(change), Some(at)) = (&event, event.at())
            && change.contains(first)
        {
            break at;
        }
    };
    drop(events);
    let second = deliver(&a, b.peer_id(), "two").await;
    let mut resumed = a.events(Some(place));
    loop {
        let event = next(&mut resumed).await;
        if let (Event::State(change), Some(at)) = (&event, event.at()) {
            assert!(at > place);
            assert!(!change.contains(first), "{change:?}");
            if change.contains(second) {
                break;
            }
        }
    }
}
