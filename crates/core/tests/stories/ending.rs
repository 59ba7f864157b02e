//! Messages that end before they arrive.

use std::time::Duration;

use tidings_core::message::{Change, Ending, MessageState, Refusal};
use tidings_core::{Command, Reply};

use crate::net::{Net, Road};
use crate::tell::{large, note};

#[test]
fn expiry_is_reported_on_time_and_nothing_arrives_later() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.part(0, 1);
    let mut short = note(net.nodes[1].key(), "short");
    short.lifetime = Duration::from_secs(5);
    let id = net.send_it(0, short);
    net.run_for(Duration::from_millis(4_900));
    assert_eq!(net.state(0, id), MessageState::Accepted);
    net.run_for(Duration::from_millis(200));
    assert_eq!(net.state(0, id), MessageState::Expired);
    net.join(0, 1);
    net.send(0, 1, "next");
    net.settle();
    net.seconds(60);
    assert_eq!(net.nodes[0].app.changes_of(id), [Change::Ended(Ending::Expired)]);
    assert_eq!(net.texts(1, 0), ["first", "next"]);
    net.check();
}

#[test]
fn a_deadline_accepted_while_others_are_looked_up_is_kept() {
    let mut net = Net::new(2);
    net.part(0, 1);
    let to = net.nodes[1].key();
    let living = |seconds: u64| {
        let mut submission = note(to, format!("{seconds} s"));
        submission.lifetime = Duration::from_secs(seconds);
        submission
    };
    net.submit(0, vec![living(10), living(1000)]);
    net.run_for(Duration::from_micros(10_000_050));
    let call = net.submit(0, vec![living(2)]);
    net.run_for(Duration::from_millis(2_100));
    let id = net.nodes[0].app.accepted(call)[0].expect("accepted").id;
    assert_eq!(net.state(0, id), MessageState::Expired);
}

#[test]
fn a_cancelled_message_does_not_arrive() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.part(0, 1);
    let id = net.send(0, 1, "cancelled");
    let kept = net.send(0, 1, "kept");
    let call = net.command(0, Command::Cancel(id));
    net.run_for(Duration::from_millis(50));
    assert_eq!(net.nodes[0].app.replies[&call], Reply::Done);
    net.join(0, 1);
    net.settle();
    assert_eq!(net.state(0, id), MessageState::Cancelled);
    assert_eq!(net.state(0, kept), MessageState::Acknowledged);
    assert_eq!(net.texts(1, 0), ["first", "kept"]);
    let again = net.command(0, Command::Cancel(id));
    net.run_for(Duration::from_millis(50));
    assert_eq!(net.nodes[0].app.replies[&again], Reply::Refused(Refusal::Ended));
    net.check();
}

#[test]
fn a_message_cancelled_too_late_is_corrected_to_delivered() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.road = Road { delay: Duration::from_millis(400), rate: 1_000_000 };
    net.interrupt(0, 1);
    net.seconds(10);
    let id = net.send(0, 1, "on its way");
    net.run_for(Duration::from_millis(500));
    assert_eq!(net.texts(1, 0).len(), 2, "it has arrived");
    net.command(0, Command::Cancel(id));
    net.seconds(20);
    assert_eq!(net.state(0, id), MessageState::Acknowledged);
    assert_eq!(
        net.nodes[0].app.changes_of(id),
        [Change::Ended(Ending::Cancelled), Change::Delivered, Change::Acknowledged]
    );
    net.check();
}

#[test]
fn parts_of_a_cancelled_message_are_void_together_at_both_ends() {
    for millis in (0..1000).step_by(50) {
        let mut net = Net::new(2);
        net.road = Road { delay: Duration::from_millis(30), rate: 1_000_000 };
        net.send(0, 1, "first");
        let mut big = note(net.nodes[1].key(), "");
        big.payload = large(3, 700_000);
        let id = net.send_it(0, big);
        net.run_for(Duration::from_millis(millis));
        net.command(0, Command::Cancel(id));
        net.send(0, 1, "next");
        net.settle();
        net.seconds(30);
        assert_eq!(net.nodes[1].store.pended(), 0, "parts wait for nothing, cancelled after {millis} ms");
        let ended = net.state(0, id) == MessageState::Cancelled;
        let shown = net.nodes[1].app.shown.iter().any(|shown| shown.id == id);
        assert_eq!(ended, !shown, "cancelled after {millis} ms");
        let counters = net.nodes[0].engine().view().counters;
        assert_eq!((counters.outbox_messages, counters.outbox_bytes), (0, 0), "cancelled after {millis} ms");
        assert_eq!(net.nodes[0].store.sealed_parcels(), 0);
        net.check();
    }
}

#[test]
fn parts_of_an_expired_message_are_freed_at_the_recipient() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(30), rate: 200_000 };
    net.send(0, 1, "first");
    net.settle();
    let mut big = note(net.nodes[1].key(), "");
    big.payload = large(3, 1 << 20);
    big.lifetime = Duration::from_secs(3);
    let id = net.send_it(0, big);
    net.seconds(2);
    assert!(net.nodes[1].store.pended() > 0);
    net.seconds(20);
    assert_eq!(net.state(0, id), MessageState::Expired);
    assert_eq!(net.nodes[1].store.pended(), 0);
    net.send(0, 1, "next");
    net.settle();
    assert_eq!(net.texts(1, 0), ["first", "next"]);
    net.check();
}
