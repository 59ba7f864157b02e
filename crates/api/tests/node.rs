//! The interface in front of two real nodes on loopback, linked and each with the other as a contact.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod served;

use served::{DEADLINE, Served, hear, refusal, say, serve};
use tidings_api::types::{
    AcceptInvite, BatchRequest, Code, ContactChange, CreateInvite, Event, EventKind, InboxQuery, ListQuery, NodeState,
    Operation, Push, SendRequest, SendResult, State, WaitQuery, WaitState,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Two nodes that have met by an invite.
async fn pair() -> (Served, Served) {
    let (ada, bob) = (serve("ada").await, serve("bob").await);
    let invite = ada.client.create_invite(&CreateInvite::default()).await.unwrap();
    let accept = AcceptInvite { invite: invite.invite, name: None, wait_seconds: DEADLINE.as_secs() };
    let joined = bob.client.accept_invite(&accept).await.unwrap();
    assert_eq!(joined.contact.name, "ada");
    assert!(joined.connected_after_seconds.is_some());
    // The invited introduces itself by a message of its own.
    tokio::time::timeout(DEADLINE, async {
        while ada.client.contacts().await.unwrap().contacts.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("both are contacts");
    (ada, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_accepted_delivered_shown_and_acknowledged() {
    let (ada, bob) = pair().await;
    let request = SendRequest {
        kind: Some("note".to_owned()),
        headers: [("a".to_owned(), "b".to_owned())].into(),
        ..SendRequest::new("ada", "grüße".as_bytes())
    };
    let accepted = bob.client.send(&request, "key").await.unwrap();
    assert_eq!(accepted.state, State::Accepted);
    bob.reached(&accepted.id, WaitState::Delivered).await;
    let messages = ada.inbox().await;
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(message.id, accepted.id);
    assert_eq!(message.from, bob.node.peer_id().to_string());
    assert_eq!(message.from_name.as_deref(), Some("bob"));
    assert_eq!(message.kind, "note");
    assert_eq!(message.content.payload.as_deref(), Some("grüße"));
    assert_eq!(message.headers, request.headers);
    assert_eq!(message.hops, 1);
    assert!(!message.redelivered);
    assert!(ada.inbox().await[0].redelivered);
    let ids = vec![message.id.clone()];
    let acknowledged = ada.client.acknowledge(ids.clone()).await.unwrap();
    assert_eq!((acknowledged.acknowledged, acknowledged.unknown.len()), (1, 0));
    let again = ada.client.acknowledge(ids.clone()).await.unwrap();
    assert_eq!((again.acknowledged, again.unknown), (0, ids));
    let state = bob.reached(&accepted.id, WaitState::Acknowledged).await;
    assert_eq!(state, State::Acknowledged);
    let page = ada.client.inbox(&InboxQuery::default()).await.unwrap();
    assert!(page.messages.is_empty());
    // The introduction is a message, too.
    let counters = bob.client.node().await.unwrap().counters;
    assert_eq!(counters.accepted, 2);
    assert!(counters.delivered >= 1);
    let metrics = ada.client.metrics().await.unwrap();
    assert!(metrics.contains("tidings_messages_received_total 1\n"), "{metrics}");
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_is_answered_as_the_first_and_another_request_is_refused() {
    let (ada, bob) = pair().await;
    let request = SendRequest::new("ada", b"once");
    let first = bob.client.send(&request, "key").await.unwrap();
    let second = bob.client.send(&request, "key").await.unwrap();
    assert_eq!(first, second);
    let other = SendRequest::new("ada", b"other");
    let error = bob.client.send(&other, "key").await.unwrap_err();
    assert_eq!(refusal(error), Code::IdempotencyMismatch);
    bob.reached(&first.id, WaitState::Delivered).await;
    assert_eq!(ada.inbox().await.len(), 1);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_one_result_for_each_message_in_order() {
    let (ada, bob) = pair().await;
    let mut messages: Vec<SendRequest> = (0..100).map(|n| SendRequest::new("ada", format!("{n}").as_bytes())).collect();
    messages[7] = SendRequest::new("nobody", b"");
    messages[8].payload_base64 = Some(String::new());
    messages[9].kind = Some("tidings.mine".to_owned());
    let results = bob.client.send_batch(&BatchRequest { messages }).await.unwrap().results;
    assert_eq!(results.len(), 100);
    for (n, result) in results.iter().enumerate() {
        let code = match result {
            SendResult::Accepted(_) => None,
            SendResult::Refused { error } => Some(error.code),
        };
        let expected = match n {
            7 => Some(Code::UnknownRecipient),
            8 => Some(Code::InvalidRequest),
            9 => Some(Code::InvalidMessage),
            _ => None,
        };
        assert_eq!(code, expected, "{n}");
    }
    for result in &results {
        if let SendResult::Accepted(accepted) = result {
            bob.reached(&accepted.id, WaitState::Delivered).await;
        }
    }
    let inbox = ada.inbox().await;
    let texts: Vec<_> = inbox.iter().filter_map(|m| m.content.payload.as_deref()).collect();
    let expected: Vec<String> = (0..100).filter(|n| ![7, 8, 9].contains(n)).map(|n: u32| n.to_string()).collect();
    assert_eq!(texts, expected);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_a_stable_code() {
    let (ada, bob) = pair().await;
    let refused = async |request: SendRequest| refusal(bob.client.send(&request, "k").await.unwrap_err());
    let base = SendRequest::new("ada", b"x");
    assert_eq!(refused(SendRequest::new("nobody", b"")).await, Code::UnknownRecipient);
    let own = bob.node.peer_id().to_string();
    assert_eq!(refused(SendRequest::new(own, b"")).await, Code::InvalidMessage);
    let large = vec![b'x'; (1 << 20) + 1];
    assert_eq!(refused(SendRequest::new("ada", &large)).await, Code::TooLarge);
    let request = SendRequest { expires_in_seconds: Some(15 * 86_400), ..base.clone() };
    assert_eq!(refused(request).await, Code::InvalidMessage);
    let request = SendRequest { priority: Some("urgent".to_owned()), ..base.clone() };
    assert_eq!(refused(request).await, Code::InvalidRequest);
    let request = SendRequest { reply_to: Some("short".to_owned()), ..base };
    assert_eq!(refused(request).await, Code::InvalidRequest);
    let unknown = "a".repeat(26);
    let error = bob.client.message(&unknown, &WaitQuery::default()).await;
    assert_eq!(refusal(error.unwrap_err()), Code::UnknownMessage);
    let error = bob.client.cancel(&unknown).await.unwrap_err();
    assert_eq!(refusal(error), Code::UnknownMessage);
    let error = bob.client.dial("/dns4").await.unwrap_err();
    assert_eq!(refusal(error), Code::InvalidAddress);
    let error = bob.client.dial("/ip4/127.0.0.1/tcp/1").await.unwrap_err();
    assert_eq!(refusal(error), Code::Unreachable);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_nobody_there_is_cancelled_and_sent_again() {
    let bob = serve("bob").await;
    // Somebody whose peer id is known, and who is nowhere.
    let ada = serve("ada").await;
    let to = ada.node.peer_id().to_string();
    ada.stop().await;
    let accepted = bob.client.send(&SendRequest::new(to, b"x"), "k").await.unwrap();
    let error = bob.client.retry(&accepted.id).await.unwrap_err();
    assert_eq!(refusal(error), Code::NotEnded);
    bob.client.cancel(&accepted.id).await.unwrap();
    let error = bob.client.cancel(&accepted.id).await.unwrap_err();
    assert_eq!(refusal(error), Code::AlreadyEnded);
    let retried = bob.client.retry(&accepted.id).await.unwrap();
    assert_eq!(retried.retry_of, accepted.id);
    let query = ListQuery { state: Some("accepted,cancelled".to_owned()), limit: Some(1), ..ListQuery::default() };
    let first = bob.client.messages(&query).await.unwrap();
    let query = ListQuery { cursor: first.next_cursor, ..query };
    let second = bob.client.messages(&query).await.unwrap();
    let ids: Vec<_> = first.messages.iter().chain(&second.messages).map(|m| &m.id).collect();
    assert_eq!(ids, [&retried.id, &accepted.id], "newest first");
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_renamed_verified_and_removed() {
    let (ada, bob) = pair().await;
    let here = bob.client.contacts().await.unwrap().contacts;
    let there = ada.client.contacts().await.unwrap().contacts;
    assert_eq!(here[0].safety_number, there[0].safety_number);
    let change = ContactChange { name: Some("Ada L.".to_owned()), verified: Some(true) };
    let contact = bob.client.change_contact("ada", &change).await.unwrap();
    assert_eq!((contact.name.as_str(), contact.verified), ("Ada L.", true));
    let error = bob.client.change_contact("ada", &change).await.unwrap_err();
    assert_eq!(refusal(error), Code::UnknownContact);
    bob.client.remove_contact("Ada L.").await.unwrap();
    assert!(bob.client.contacts().await.unwrap().contacts.is_empty());
    let invite = AcceptInvite { invite: "tidings:nonsense".to_owned(), name: None, wait_seconds: 0 };
    let error = bob.client.accept_invite(&invite).await.unwrap_err();
    assert_eq!(refusal(error), Code::InvalidInvite);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_sends_shows_acknowledges_and_resumes() {
    let (ada, bob) = pair().await;
    let mut there = ada.client.stream().await.unwrap();
    let events = vec![EventKind::Message];
    say(&mut there, 1, Operation::Subscribe { events, kinds: None }).await;
    let Push::Answer(answer) = hear(&mut there).await else {
        panic!("the answer comes first");
    };
    assert_eq!((answer.re, answer.ok), (Some(1), Some(true)));
    let mut here = bob.client.stream().await.unwrap();
    let events = vec![EventKind::State];
    say(&mut here, 1, Operation::Subscribe { events, kinds: None }).await;
    for n in 2..5 {
        let message = SendRequest::new("ada", format!("{n}").as_bytes());
        say(&mut here, n, Operation::Send(message)).await;
    }
    let mut first_at = None;
    let mut ids = Vec::new();
    for n in 2..5 {
        let Push::Event(Event::Message { at, message }) = hear(&mut there).await else {
            panic!("only messages are pushed");
        };
        assert_eq!(message.content.payload, Some(n.to_string()));
        first_at.get_or_insert(at);
        ids.push(message.id);
    }
    say(&mut there, 9, Operation::Ack { ids: vec![ids[1].clone()] }).await;
    let Push::Answer(answer) = hear(&mut there).await else {
        panic!("nothing else is pushed");
    };
    assert_eq!((answer.re, answer.unknown), (Some(9), Some(Vec::new())));
    drop(there);
    let mut again = ada.client.stream().await.unwrap();
    let at = first_at.unwrap();
    say(&mut again, 1, Operation::Resume { at }).await;
    hear(&mut again).await;
    let Push::Event(Event::Message { message, .. }) = hear(&mut again).await else {
        panic!("the message that is left comes again");
    };
    assert_eq!(message.id, ids[2]);
    assert!(message.redelivered);
    let mut acknowledged = false;
    while !acknowledged {
        acknowledged = matches!(
            hear(&mut here).await,
            Push::Event(Event::State { message_id, state: State::Acknowledged, .. })
                if message_id == ids[1]
        );
    }
    say(&mut here, 20, Operation::Ping).await;
    let mut pong = false;
    while !pong {
        pong = matches!(hear(&mut here).await, Push::Answer(answer) if answer.re == Some(20));
    }
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_closes_links_keeps_the_interface_and_resume_brings_them_back() {
    let (ada, bob) = pair().await;
    bob.client.pause().await.unwrap();
    assert_eq!(bob.client.node().await.unwrap().state, NodeState::Paused);
    let accepted = bob.client.send(&SendRequest::new("ada", b"later"), "k").await.unwrap();
    bob.client.resume().await.unwrap();
    bob.reached(&accepted.id, WaitState::Delivered).await;
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_path_is_served_over_tcp() {
    let bob = serve("bob").await;
    let token = std::fs::read_to_string(bob.directory.path().join("token")).unwrap();
    let address = std::fs::read_to_string(bob.directory.path().join("api.addr")).unwrap();
    let address = address.trim();
    let document: serde_json::Value = serde_json::from_str(&tidings_api::openapi_json()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if path.ends_with("/shutdown") {
                continue;
            }
            let path = path.replace("{id}", "x").replace("{name}", "x").replace("{peer}", "x");
            let request = format!(
                "{} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
                method.to_uppercase(),
                token.trim()
            );
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 "), "{method} {path}: {answer}");
            let unknown = answer.starts_with("HTTP/1.1 404") && answer.contains("\"not_found\"");
            assert!(!unknown, "{method} {path}: {answer}");
        }
    }
    bob.stop().await;
}
