//! Links that break, ends that restart, and databases that are new.

use std::time::Duration;

use tidings_core::class::Class;
use tidings_core::links::Source;
use tidings_core::message::{Idempotency, MessageState, Refusal, Submission};
use tidings_core::model::ModelStore;
use tidings_core::{Event, Input};
use tidings_crypto::PeerKey;

use crate::app::Reading;
use crate::net::{Disk, Net, Road, second_address};
use crate::tell::{large, note};

#[test]
fn what_waits_for_a_peer_goes_when_it_comes() {
    let mut net = Net::stopped(2);
    net.start(0);
    let first = net.send(0, 1, "first");
    net.restart(0);
    let second = net.send(0, 1, "second");
    net.seconds(100);
    net.start(1);
    net.settle();
    assert_eq!(net.texts(1, 0), ["first", "second"]);
    assert_eq!(net.state(0, first), MessageState::Acknowledged);
    assert_eq!(net.state(0, second), MessageState::Acknowledged);
    net.check();
}

#[test]
fn what_is_not_acknowledged_is_shown_again_after_a_restart_under_its_id() {
    let mut net = Net::new(2);
    net.nodes[1].app.reading = Reading::ByHand;
    let ids: Vec<_> = ["a", "b", "c"].into_iter().map(|text| net.send(0, 1, text)).collect();
    net.run_until("they are shown", |net| net.nodes[1].app.shown.len() == 3);
    net.command(1, tidings_core::Command::Consume(vec![ids[1]]));
    net.run_until("it is durable", |net| net.nodes[1].app.acknowledged.contains(&ids[1]));
    net.crash(1);
    net.start(1);
    let again: Vec<_> = net.nodes[1].store.inbox().into_iter().map(|message| message.id).collect();
    assert_eq!(again, [ids[0], ids[2]]);
    net.command(1, tidings_core::Command::Consume(ids.clone()));
    net.settle();
    net.check();
}

#[test]
fn a_link_cut_in_the_middle_of_parcels_loses_and_repeats_nothing() {
    for millis in (0..600).step_by(40) {
        let mut net = Net::new(2);
        net.road = Road { delay: Duration::from_millis(20), rate: 400_000 };
        net.send(0, 1, "first");
        net.settle();
        let to = net.nodes[1].key();
        let mut big = note(to, "");
        big.payload = large(5, 100_000);
        let small = (0..50).map(|n| note(to, format!("{n}"))).collect::<Vec<_>>();
        net.submit(0, [vec![big], small].concat());
        net.run_for(Duration::from_millis(millis));
        net.interrupt(0, 1);
        if millis % 80 == 0 {
            net.crash(1);
            net.run_for(Duration::from_millis(5));
            net.start(1);
        }
        net.settle();
        assert_eq!(net.nodes[1].app.shown.len(), 52);
        net.check();
    }
}

#[test]
fn a_lost_receipt_is_given_again_without_a_second_showing() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.road = Road { delay: Duration::from_millis(300), ..Road::LAN };
    net.interrupt(0, 1);
    net.seconds(10);
    let id = net.send(0, 1, "second");
    net.run_until("it is shown", |net| net.nodes[1].app.shown.len() == 2);
    net.part(0, 1);
    net.seconds(5);
    assert!(!net.nodes[0].app.delivered_live.contains(&id), "the receipt is lost");
    let before = net.nodes[1].engine().view().counters;
    net.join(0, 1);
    net.settle();
    let after = net.nodes[1].engine().view().counters;
    assert_eq!(after.received, before.received);
    assert!(net.nodes[0].engine().view().counters.parcels_resent > 0);
    net.check();
}

#[test]
fn a_recipient_with_a_new_database_gets_everything_that_is_not_delivered() {
    let mut net = Net::new(2);
    net.nodes[1].app.reading = Reading::ByHand;
    net.road = Road { delay: Duration::from_millis(20), rate: 300_000 };
    net.send(0, 1, "old");
    net.run_until("it is delivered", |net| !net.nodes[0].app.delivered_live.is_empty());
    let to = net.nodes[1].key();
    let mut big = note(to, "");
    big.payload = large(5, 200_000);
    let small = (0..20).map(|n| note(to, format!("{n}"))).collect::<Vec<_>>();
    let call = net.submit(0, [vec![big], small].concat());
    net.run_for(Duration::from_millis(250));
    net.crash(1);
    net.nodes[1].store = ModelStore::new(77);
    net.nodes[1].app.forget();
    net.seconds(2);
    net.nodes[1].app.reading = Reading::AtOnce;
    net.start(1);
    let sent: Vec<_> = net.nodes[0].app.accepted(call).into_iter().flatten().map(|accepted| accepted.id).collect();
    net.run_until("all of it is acknowledged", |net| {
        sent.iter().all(|id| net.state(0, *id) == MessageState::Acknowledged)
    });
    assert!(net.nodes[1].app.shown.iter().any(|shown| shown.payload.len() == 200_000));
    assert_eq!(net.nodes[0].store.sealed_parcels(), 0);
}

#[test]
fn what_was_lost_unread_with_a_database_is_not_told_as_acknowledged() {
    let mut net = Net::new(2);
    net.nodes[1].app.reading = Reading::ByHand;
    let unread = net.send(0, 1, "unread");
    net.run_until("it is delivered", |net| net.state(0, unread) == MessageState::Delivered);
    net.crash(1);
    net.nodes[1].store = ModelStore::new(80);
    net.nodes[1].app.forget();
    net.nodes[1].app.reading = Reading::AtOnce;
    net.start(1);
    let read = net.send(0, 1, "read");
    net.run_until("the later one is acknowledged", |net| net.state(0, read) == MessageState::Acknowledged);
    net.seconds(60);
    assert_eq!(net.state(0, unread), MessageState::Delivered);
}

#[test]
fn a_new_database_does_not_wait_for_what_the_old_one_had() {
    let mut net = Net::new(2);
    net.send(0, 1, "hello");
    net.settle();
    let streamed = |to: PeerKey, text: &str, class| Submission { class, stream: Some("s".into()), ..note(to, text) };
    let to = net.nodes[1].key();
    net.road = Road { delay: Duration::from_millis(200), rate: 1_000_000 };
    net.interrupt(0, 1);
    net.seconds(10);
    // The second names the first, which arrives in the old database while the second waits for its link.
    net.submit(0, vec![streamed(to, "one", Class::Normal), streamed(to, "two", Class::High)]);
    net.part(0, 1);
    let late = net.send_it(0, streamed(to, "three", Class::Low));
    net.join(0, 1);
    net.run_for(Duration::from_millis(900));
    net.crash(1);
    net.nodes[1].store = ModelStore::new(78);
    net.nodes[1].app.forget();
    net.start(1);
    net.run_until("the last is acknowledged", |net| net.state(0, late) == MessageState::Acknowledged);
}

#[test]
fn a_new_database_on_a_machine_whose_clock_is_behind_is_reached() {
    let mut net = Net::new(2);
    net.send(0, 1, "before");
    net.settle();
    net.crash(1);
    net.nodes[1].store = ModelStore::new(81);
    net.nodes[1].app.forget();
    net.nodes[1].wall_behind = Duration::from_hours(365 * 24);
    net.start(1);
    net.send(0, 1, "after");
    net.send(1, 0, "answer");
    net.settle();
    assert_eq!((net.texts(1, 0), net.texts(0, 1)), (vec!["after".to_owned()], vec!["answer".to_owned()]));
}

#[test]
fn a_peer_that_vanished_and_came_back_is_reached_at_once() {
    for (gone, stays) in [(0, 1), (1, 0)] {
        for silence in [1, 50, 200, 1_000, 5_000, 20_000] {
            let mut net = Net::new(2);
            net.send(stays, gone, "before");
            net.settle();
            for round in 0..5 {
                net.vanish(gone);
                let id = net.send(stays, gone, &format!("meanwhile {round}"));
                net.run_for(Duration::from_millis(silence));
                net.start(gone);
                let peer = Some(net.nodes[stays].key());
                let addresses = vec![second_address(stays)];
                net.input(gone, Input::Discovered { peer, addresses, source: Source::Lan });
                let begun = net.now;
                net.run_until("it is delivered", |net| net.nodes[stays].app.delivered_live.contains(&id));
                assert!(net.now - begun < 3_000_000, "{} us after {silence} ms, round {round}", net.now - begun);
            }
        }
    }
}

#[test]
fn a_sender_with_a_new_database_is_heard() {
    let mut net = Net::new(2);
    net.send(0, 1, "before");
    net.settle();
    net.crash(0);
    net.nodes[0].store = ModelStore::new(79);
    net.nodes[0].app = crate::app::App::default();
    net.seconds(2);
    net.start(0);
    net.send(0, 1, "after");
    net.send(1, 0, "answer");
    net.settle();
    assert_eq!(net.texts(1, 0), ["before", "after"]);
    assert_eq!(net.texts(0, 1), ["answer"]);
}

fn keyed(to: PeerKey, text: &str, body: u8) -> Submission {
    Submission { idempotency: Some(Idempotency { key: [9; 16], body: [body; 16] }), ..note(to, text) }
}

#[test]
fn a_repeated_call_gets_the_first_answer() {
    let mut net = Net::new(2);
    net.nodes[0].disk = Disk::After(Duration::from_millis(50));
    let to = net.nodes[1].key();
    let first = net.submit(0, vec![keyed(to, "once", 1), keyed(to, "once", 1), keyed(to, "other", 2)]);
    let pending = net.submit(0, vec![keyed(to, "once", 1)]);
    net.seconds(1);
    net.restart(0);
    let restarted = net.submit(0, vec![keyed(to, "once", 1), keyed(to, "other", 2)]);
    net.settle();
    let accepted = net.nodes[0].app.accepted(first);
    let id = accepted[0].expect("accepted").id;
    assert!(!accepted[0].expect("accepted").repeated);
    assert_eq!(accepted[2], Err(Refusal::IdempotencyMismatch));
    let answers = [accepted[1], net.nodes[0].app.accepted(pending)[0], net.nodes[0].app.accepted(restarted)[0]];
    for answer in answers {
        let answer = answer.expect("repeated");
        assert_eq!((answer.id, answer.repeated), (id, true));
    }
    assert_eq!(net.nodes[0].app.accepted(restarted)[1], Err(Refusal::IdempotencyMismatch));
    assert_eq!(net.texts(1, 0), ["once"]);
    net.check();
}

#[test]
fn a_call_whose_acceptance_was_lost_is_accepted_again() {
    let mut net = Net::new(2);
    net.run_for(Duration::from_millis(100));
    net.nodes[0].disk = Disk::ByHand;
    let to = net.nodes[1].key();
    net.submit(0, vec![keyed(to, "once", 1)]);
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.nodes[1].app.shown.len(), 0, "nothing leaves before it is durable");
    net.crash(0);
    net.nodes[0].disk = Disk::After(Duration::from_millis(2));
    net.start(0);
    let call = net.submit(0, vec![keyed(to, "once", 1)]);
    net.settle();
    assert!(!net.nodes[0].app.accepted(call)[0].expect("accepted").repeated);
    assert_eq!(net.texts(1, 0), ["once"]);
    net.check();
}

#[test]
fn an_invite_makes_both_ends_contacts() {
    let mut net = Net::new(2);
    net.run_for(Duration::from_millis(200));
    let call = net.command(0, tidings_core::Command::CreateInvite { lifetime: Duration::from_hours(1) });
    net.run_for(Duration::from_millis(50));
    let Some(tidings_core::Reply::Invite(invite)) = net.nodes[0].app.replies.get(&call).cloned() else {
        panic!("expected an invite");
    };
    net.restart(0);
    net.part(0, 1);
    net.command(1, tidings_core::Command::AcceptInvite { invite: invite.clone(), name: Some("zero".into()) });
    net.run_for(Duration::from_millis(50));
    net.restart(1);
    net.join(0, 1);
    net.run_until("the maker has a contact", |net| !net.nodes[0].engine().view().contacts.is_empty());
    let (a, b) = (net.nodes[0].key(), net.nodes[1].key());
    let contact = |net: &Net, node: usize| net.nodes[node].engine().view().contacts[0].clone();
    assert_eq!((contact(&net, 0).peer, contact(&net, 0).name), (b, "node-1".to_owned()));
    assert_eq!((contact(&net, 1).peer, contact(&net, 1).name), (a, "zero".to_owned()));
    net.run_for(Duration::from_millis(50));
    assert!(net.nodes[0].app.events.iter().any(|event| matches!(event, Event::Contact(contact) if contact.peer == b)));
    // An introduction is not the application's, and an invite serves once.
    assert!(net.nodes[0].app.shown.is_empty());
    assert_eq!(net.nodes[0].store.snapshot().invites, []);
    net.settle();
    net.check();
}
