//! Messages of one stream keep their order.

use tidings_core::Command;
use tidings_core::class::Class;
use tidings_core::message::Submission;

use crate::net::{Net, Road};
use crate::tell::{large, note};

fn in_stream(net: &Net, text: &str, class: Class) -> Submission {
    let mut submission = note(net.nodes[1].key(), text);
    submission.stream = Some("s".to_owned());
    submission.class = class;
    submission
}

#[test]
fn a_stream_keeps_its_order_across_classes() {
    let mut net = Net::new(2);
    net.road = Road::SLOW;
    let classes = [Class::Bulk, Class::Critical, Class::Low, Class::High, Class::Normal];
    let mut expected = Vec::new();
    for round in 0..10 {
        for class in classes {
            let text = format!("{round} {class}");
            let submission = in_stream(&net, &text, class);
            net.submit(0, vec![submission]);
            expected.push(text);
        }
        net.run_for(std::time::Duration::from_millis(40));
    }
    net.settle();
    assert_eq!(net.texts(1, 0), expected);
    net.check();
}

#[test]
fn a_large_message_holds_back_its_stream_and_nothing_else() {
    let mut net = Net::new(2);
    net.road = Road { rate: 500_000, ..Road::SLOW };
    let mut first = in_stream(&net, "", Class::Bulk);
    first.payload = large(b'a', 400_000);
    let second = in_stream(&net, "second", Class::Critical);
    let other = note(net.nodes[1].key(), "other");
    net.submit(0, vec![first, second, other]);
    net.settle();
    let lengths: Vec<_> = net.nodes[1].app.shown.iter().map(|shown| shown.payload.len()).collect();
    assert_eq!(lengths, [5, 400_000, 6]);
    net.check();
}

#[test]
fn a_cancelled_predecessor_blocks_nothing() {
    let mut net = Net::new(2);
    net.send(0, 1, "begin");
    net.settle();
    net.part(0, 1);
    let first = in_stream(&net, "first", Class::Normal);
    let second = in_stream(&net, "second", Class::High);
    let third = in_stream(&net, "third", Class::Normal);
    let first = net.send_it(0, first);
    net.send_it(0, second);
    net.send_it(0, third);
    net.command(0, Command::Cancel(first));
    net.join(0, 1);
    net.settle();
    assert_eq!(net.texts(1, 0), ["begin", "second", "third"]);
    net.check();
}

#[test]
fn a_predecessor_cancelled_after_its_successor_left_blocks_nothing() {
    let mut net = Net::new(2);
    net.road = Road { rate: 100_000, ..Road::LAN };
    net.send(0, 1, "begin");
    net.settle();
    let mut first = in_stream(&net, "", Class::Bulk);
    first.payload = large(b'a', 900_000);
    let first = net.send_it(0, first);
    let second = in_stream(&net, "second", Class::High);
    net.send_it(0, second);
    net.seconds(2);
    assert_eq!(net.texts(1, 0), ["begin"]);
    net.command(0, Command::Cancel(first));
    net.settle();
    assert_eq!(net.texts(1, 0), ["begin", "second"]);
    net.check();
}

#[test]
fn a_stream_goes_on_after_both_ends_restart() {
    let mut net = Net::new(2);
    net.road = Road::SLOW;
    let mut expected = Vec::new();
    for round in 0..8 {
        for class in [Class::Low, Class::High] {
            let text = format!("{round} {class}");
            let submission = in_stream(&net, &text, class);
            net.send_it(0, submission);
            expected.push(text);
        }
        net.restart(round % 2);
    }
    net.settle();
    assert_eq!(net.texts(1, 0), expected);
    net.check();
}
