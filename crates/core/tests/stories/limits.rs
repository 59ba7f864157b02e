//! Bounds: windows, quotas, memory, full disks.

use std::time::Duration;

use tidings_core::class::Class;
use tidings_core::message::{MessageState, Refusal, Submission};
use tidings_core::record::Query;
use tidings_core::{Input, input::DiskState};

use crate::net::{Net, Road};
use crate::tell::{large, note};

fn of_class(net: &Net, class: Class, label: u8, bytes: usize) -> Submission {
    let mut payload = vec![label];
    payload.extend_from_slice(&large(0, bytes));
    Submission { class, payload: payload.into(), ..note(net.nodes[1].key(), "") }
}

#[test]
fn no_more_than_32_parcels_are_under_way_and_12_of_bulk() {
    for (class, most) in [(Class::Critical, 32), (Class::Normal, 24), (Class::Bulk, 12)] {
        let mut net = Net::new(2);
        net.send(0, 1, "first");
        net.settle();
        // The recipient's disk is slow: receipts come late, and what is under way grows to its bound.
        net.nodes[1].disk = crate::net::Disk::After(Duration::from_millis(200));
        let many = (0..100).map(|label| of_class(&net, class, label, 40_000)).collect();
        net.submit(0, many);
        net.settle();
        assert_eq!(net.nodes[0].most_sealed, most, "{class}");
        assert_eq!(net.nodes[0].engine().view().counters.parcels_resent, 0);
        net.check();
    }
}

#[test]
fn bulk_leaves_room_for_the_urgent() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(10), rate: 300_000 };
    net.send(0, 1, "first");
    net.settle();
    let bulk = (0..100).map(|label| of_class(&net, Class::Bulk, label, 40_000)).collect();
    net.submit(0, bulk);
    net.seconds(2);
    let before = net.now;
    let urgent = Submission { class: Class::Critical, ..note(net.nodes[1].key(), "urgent") };
    let id = net.send_it(0, urgent);
    net.run_until("the urgent one arrived", |net| net.nodes[1].app.shown.iter().any(|shown| shown.id == id));
    assert!(net.now - before < 500_000, "{} µs", net.now - before);
    net.settle();
    net.check();
}

#[test]
fn fifty_thousand_messages_wait_on_disk_and_arrive() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.part(0, 1);
    let to = net.nodes[1].key();
    let mut flow = None;
    for call in 0..100 {
        let call = net.submit(0, (0..500).map(|n| note(to, format!("{call} {n}"))).collect());
        net.run_for(Duration::from_millis(5));
        flow = Some(net.nodes[0].app.accepted(call)[0].expect("accepted").id.flow);
    }
    assert_eq!(net.nodes[0].engine().view().counters.outbox_messages, 50_000);
    net.nodes[0].loads.clear();
    net.join(0, 1);
    net.settle();
    // Nothing of it was in memory: all of it was asked for, page by page.
    let pages = net.nodes[0].loads.iter().filter(|query| matches!(query, Query::OutMessages { .. })).count();
    let first = Query::OutMessages { flow: flow.expect("a flow"), from: 1, max_bytes: 256 * 1024 };
    assert_eq!(net.nodes[0].loads.iter().find(|query| matches!(query, Query::OutMessages { .. })), Some(&first));
    assert!((5..50).contains(&pages), "{pages} pages");
    assert_eq!(net.nodes[1].app.shown.len(), 50_001);
    net.check();
}

#[test]
fn a_full_outbox_refuses_bulk_and_takes_what_is_urgent() {
    let mut net = Net::stopped(2);
    net.nodes[0].config.delivery.outbox_bytes = 1_000_000;
    net.start(0);
    let bulk = (0..10).map(|label| of_class(&net, Class::Bulk, label, 100_000)).collect();
    let call = net.submit(0, bulk);
    net.run_for(Duration::from_millis(50));
    let results = net.nodes[0].app.accepted(call);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    assert_eq!(results.last(), Some(&Err(Refusal::Busy)));
    let urgent = of_class(&net, Class::Critical, 99, 100_000);
    net.send_it(0, urgent);
    // The room that is taken is known after a restart, and given back when it is free.
    net.restart(0);
    let again = of_class(&net, Class::Bulk, 50, 100_000);
    let call = net.submit(0, vec![again.clone()]);
    net.run_for(Duration::from_millis(50));
    assert_eq!(net.nodes[0].app.accepted(call), [Err(Refusal::Busy)]);
    net.start(1);
    net.settle();
    net.send_it(0, again);
    net.settle();
    assert_eq!(net.nodes[0].engine().view().counters.outbox_bytes, 0);
    net.check();
}

#[test]
fn a_full_disk_refuses_messages_and_takes_them_later() {
    let mut net = Net::new(2);
    let first = net.send(0, 1, "first");
    net.settle();
    net.input(1, Input::Disk(DiskState::Full));
    let to = net.nodes[0].key();
    let call = net.submit(1, vec![note(to, "refused")]);
    let waiting = net.send(0, 1, "waiting");
    net.seconds(20);
    assert_eq!(net.nodes[1].app.accepted(call), [Err(Refusal::DiskFull)]);
    assert_eq!(net.texts(1, 0), ["first"]);
    let resent = net.nodes[0].engine().view().counters.parcels_resent;
    assert!((4..20).contains(&resent), "{resent} attempts in 20 s");
    net.input(1, Input::Disk(DiskState::Ready));
    net.settle();
    assert_eq!(net.texts(1, 0), ["first", "waiting"]);
    assert_eq!(net.state(0, first), MessageState::Acknowledged);
    assert_eq!(net.state(0, waiting), MessageState::Acknowledged);
    assert!(net.nodes[1].engine().view().counters.parcels_refused > 0);
    net.check();
}

#[test]
fn a_slow_link_is_not_asked_twice_for_what_waits_in_it() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(20), rate: 50_000 };
    net.send(0, 1, "first");
    net.settle();
    let many = (0..40).map(|label| of_class(&net, Class::Normal, label, 30_000)).collect();
    net.submit(0, many);
    net.settle();
    let counters = net.nodes[0].engine().view().counters;
    assert_eq!(counters.parcels_resent, 0);
    net.check();
}
