//! Prometheus text (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use tidings::{NodeInfo, NodeState, Topology, View};

use super::State;
use super::view::evidence_name;
use crate::types::Problem;

/// The exposition format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be counted, as Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn metrics(state: State) -> Result<([(axum::http::HeaderName, &'static str); 1], String), Problem> {
    let info = state.node.info().await;
    let view = state.node.view().await?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text(&info, &view)))
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// One metric without labels.
    fn one(&mut self, kind: &str, name: &str, help: &str, value: impl Display) {
        self.head(kind, name, help);
        self.line(format_args!("tidings_{name} {value}"));
    }

    fn head(&mut self, kind: &str, name: &str, help: &str) {
        self.line(format_args!("# HELP tidings_{name} {help}"));
        self.line(format_args!("# TYPE tidings_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// One metric with one label.
    fn each(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        self.head(kind, name, help);
        for (is, value) in values {
            self.line(format_args!("tidings_{name}{{{label}=\"{is}\"}} {value}"));
        }
    }
}

fn text(info: &NodeInfo, view: &View) -> String {
    let counters = &view.counters;
    let mut text = Text::default();
    text.head("gauge", "info", "The running version.");
    let version = env!("CARGO_PKG_VERSION");
    text.line(format_args!("tidings_info{{version=\"{version}\"}} 1"));
    let states = [NodeState::Starting, NodeState::Active, NodeState::Degraded, NodeState::Paused, NodeState::Stopping];
    let states = states.map(|state| (state.name(), u64::from(state == info.state)));
    text.each("gauge", "state", "1 for the state the node is in.", "state", states);
    let uptime = info.uptime.as_secs_f64();
    text.one("gauge", "uptime_seconds", "Time since the start.", uptime);
    let counts = [
        ("messages_accepted_total", "Messages accepted for delivery.", counters.accepted),
        ("messages_delivered_total", "Messages known to be on their recipient's disk.", counters.delivered),
        ("messages_acknowledged_total", "Messages known to be consumed.", counters.acknowledged),
        ("messages_ended_total", "Messages that ended undelivered.", counters.ended),
        ("messages_received_total", "Messages received.", counters.received),
        ("messages_duplicate_total", "Messages received again and left out.", counters.duplicates),
        ("parcels_sent_total", "Parcels handed to links.", counters.parcels_sent),
        ("parcels_resent_total", "Parcels handed to links again.", counters.parcels_resent),
        ("parcels_received_total", "Parcels that arrived.", counters.parcels_received),
        ("parcels_refused_total", "Parcels refused to neighbours.", counters.parcels_refused),
        ("links_received_bytes_total", "Bytes read from links.", view.links.bytes_in),
        ("links_sent_bytes_total", "Bytes written to links, without what transports add.", view.links.bytes_out),
    ];
    for (name, help, value) in counts {
        text.one("counter", name, help, value);
    }
    let waiting = [
        ("outbox_messages", "Messages that wait to be delivered.", counters.outbox_messages),
        ("outbox_bytes", "Bytes that wait to be delivered.", counters.outbox_bytes),
        ("inbox_messages", "Messages that wait to be acknowledged.", counters.inbox_messages),
    ];
    for (name, help, value) in waiting {
        text.one("gauge", name, help, value);
    }
    links(&mut text, view);
    routing(&mut text, view);
    relay(&mut text, view);
    topology(&mut text, view);
    receipts(&mut text, view);
    text.0
}

fn routing(text: &mut Text, view: &View) {
    let stats = &view.routing;
    text.one("gauge", "routes", "Destinations that can be reached.", stats.destinations);
    let counts = [
        ("routes_installed_total", "Times a next hop was taken or changed.", stats.installed),
        ("routes_lost_total", "Times the last way to a destination was lost.", stats.lost),
        ("route_updates_sent_total", "Updates sent.", stats.updates_sent),
        ("route_retractions_sent_total", "Updates sent that retract.", stats.retractions_sent),
        ("route_updates_received_total", "Updates read.", stats.updates_received),
        ("route_requests_total", "Requests for a newer announcement that began here.", stats.requests),
        ("route_requests_forwarded_total", "Such requests passed on.", stats.requests_forwarded),
        ("route_digests_differed_total", "Times two ends of a link did not agree.", stats.digests_differed),
        ("routes_infeasible_total", "Routes not taken up because they could loop.", stats.infeasible),
        ("routes_refused_total", "Routes not taken up for lack of room.", stats.refused),
        ("routes_held_back_total", "Times a flapping link's changes were held back.", stats.held_back),
        ("announcements_signed_total", "Announcements that this node signed.", stats.signed),
        ("announcements_wanted_total", "Announcements asked for.", stats.announcements_wanted),
        ("announcements_sent_total", "Announcements sent.", stats.announcements_sent),
    ];
    for (name, help, value) in counts {
        text.one("counter", name, help, value);
    }
}

fn relay(text: &mut Text, view: &View) {
    let stats = &view.relay;
    let counts = [
        ("relay_parcels_total", "Parcels carried for others.", stats.relayed),
        ("relay_bytes_total", "Bytes of them.", stats.relayed_bytes),
        ("relay_duplicate_parcels_total", "Parcels that came again and were left out.", stats.duplicates),
        ("relay_refused_parcels_total", "Parcels refused to the neighbour that brought them.", stats.refused),
        ("relay_rerouted_parcels_total", "Parcels that went to another next hop.", stats.rerouted),
    ];
    for (name, help, value) in counts {
        text.one("counter", name, help, value);
    }
    let help = "Bytes carried for others that no next hop has read yet.";
    text.one("gauge", "relay_held_bytes", help, stats.held_bytes);
}

fn topology(text: &mut Text, view: &View) {
    let stats = &view.topology.stats;
    let kinds = Topology::ALL.map(|kind| (kind.name(), u64::from(kind == view.topology.shape)));
    text.each("gauge", "topology_shape", "1 for the shape in which links are laid.", "kind", kinds);
    text.one("gauge", "topology_peers", "Peers known.", stats.peers);
    text.one("gauge", "topology_neighbours", "Peers with a link.", stats.links);
    let counts = [
        ("topology_linked_total", "Neighbours that came.", stats.linked),
        ("topology_unlinked_total", "Neighbours that went.", stats.unlinked),
        ("topology_wanted_total", "Links that this node began to want.", stats.wanted),
        ("topology_dials_failed_total", "Dials that came to nothing.", stats.dials_failed),
        ("topology_bridges_total", "Dials made to join what no way leads to.", stats.bridges),
        ("topology_shape_changes_total", "Times the shape changed.", stats.kind_changes),
        ("topology_table_full_total", "Peers not taken up for lack of room.", stats.table_full),
    ];
    for (name, help, value) in counts {
        text.one("counter", name, help, value);
    }
    let dropped = [("surplus", stats.dropped_surplus), ("unfit", stats.dropped_unfit)];
    text.each("counter", "topology_dropped_total", "Links dropped, by reason.", "reason", dropped);
    if let Some(recovery) = stats.last_recovery_ms {
        let help = "How long the last loss of links left this node with fewer than it wants.";
        text.one("gauge", "topology_recovery_seconds", help, Duration::from_millis(recovery).as_secs_f64());
    }
}

fn receipts(text: &mut Text, view: &View) {
    let delivery = &view.delivery;
    text.one("counter", "messages_in_time_total", "Messages delivered before they ended.", delivery.in_time);
    text.one("counter", "messages_missed_total", "Messages that expired or failed.", delivery.missed);
    text.head("summary", "receipt_seconds", "From a parcel's first leaving until its receipt; latest 1,024.");
    if let Some(latest) = &delivery.latest {
        for (quantile, time) in [("0.5", latest.p50), ("0.9", latest.p90), ("0.99", latest.p99), ("1", latest.max)] {
            let seconds = time.as_secs_f64();
            text.line(format_args!("tidings_receipt_seconds{{quantile=\"{quantile}\"}} {seconds}"));
        }
    }
    text.line(format_args!("tidings_receipt_seconds_sum {}", delivery.receipt_time.as_secs_f64()));
    text.line(format_args!("tidings_receipt_seconds_count {}", delivery.receipts));
}

fn links(text: &mut Text, view: &View) {
    let mut kinds = BTreeMap::new();
    let mut evidence = BTreeMap::new();
    for peer in &view.peers {
        for link in &peer.links {
            *kinds.entry(link.kind.name()).or_insert(0) += 1;
        }
        for (kind, count) in &peer.evidence {
            *evidence.entry(evidence_name(*kind)).or_insert(0) += count;
        }
    }
    text.each("gauge", "links", "Links now.", "kind", kinds);
    let help = "What peers did wrong, by kind.";
    text.each("counter", "evidence_total", help, "kind", evidence);
}
