//! Power failures at every batch of a scripted scenario.

use std::time::Duration;

use tidings_core::Command;
use tidings_core::class::Class;

use crate::net::{Disk, Net, Road};
use crate::tell::{large, note};

/// What happens in every round: three classes, a stream, parts, an expiry, a cancel, an answer.
fn scenario(net: &mut Net) {
    let (a, b) = (net.nodes[0].key(), net.nodes[1].key());
    net.submit(0, vec![note(b, "one"), note(b, "two")]);
    net.run_for(Duration::from_millis(20));
    let mut streamed = Vec::new();
    for (number, class) in [Class::Bulk, Class::High, Class::Normal].into_iter().enumerate() {
        let mut submission = note(b, format!("streamed {number}"));
        submission.class = class;
        submission.stream = Some("s".to_owned());
        streamed.push(submission);
    }
    net.submit(0, streamed);
    let mut big = note(b, "");
    big.payload = large(9, 120_000);
    let call = net.submit(0, vec![big, note(b, "three")]);
    net.submit(1, vec![note(a, "answer")]);
    net.run_for(Duration::from_millis(30));
    let mut short = note(b, "short");
    short.lifetime = Duration::from_secs(1);
    net.submit(0, vec![short, note(b, "four")]);
    if let Some(tidings_core::Reply::Submitted(results)) = net.nodes[0].app.replies.get(&call)
        && let Ok(big) = results[0]
    {
        net.command(0, Command::Cancel(big.id));
    }
    net.submit(1, vec![note(a, "answer 2")]);
    net.seconds(3);
}

fn net() -> Net {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(3), rate: 5_000_000 };
    net.run_for(Duration::from_millis(50));
    net
}

/// How many batches a node issues in the scenario without failures, and how many before it.
fn batches(node: usize) -> (u64, u64) {
    let mut net = net();
    let before = net.nodes[node].batches;
    scenario(&mut net);
    net.settle();
    net.check();
    (before, net.nodes[node].batches)
}

fn crash_everywhere(node: usize, delay: Duration) {
    let (first, last) = batches(node);
    assert!(last > first + 10, "a scenario of {} batches", last - first);
    for batch in 1..=last {
        let mut net = Net::stopped(2);
        net.road = Road { delay: Duration::from_millis(3), rate: 5_000_000 };
        net.nodes[node].crash_at = Some(batch);
        net.nodes[node].disk = Disk::After(delay);
        net.start(0);
        net.start(1);
        net.run_for(Duration::from_millis(200));
        scenario(&mut net);
        let to = net.nodes[1 - node].key();
        net.submit(node, vec![note(to, "after")]);
        net.seconds(1);
        println!("crash of node {node} at batch {batch}");
        net.settle();
        net.check();
        assert_eq!(net.nodes[1].store.pended(), 0);
    }
}

#[test]
fn a_sender_may_crash_at_every_batch() {
    crash_everywhere(0, Duration::from_millis(2));
}

#[test]
fn a_recipient_may_crash_at_every_batch() {
    crash_everywhere(1, Duration::from_millis(2));
}

#[test]
fn a_sender_with_a_slow_disk_may_crash_at_every_batch() {
    crash_everywhere(0, Duration::from_millis(25));
}

#[test]
fn a_recipient_with_a_slow_disk_may_crash_at_every_batch() {
    crash_everywhere(1, Duration::from_millis(25));
}
