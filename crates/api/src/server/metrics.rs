//! Prometheus text (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use axum::http::header::CONTENT_TYPE;
use tidings::{NodeInfo, NodeState, View};

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
    text.0
}

fn links(text: &mut Text, view: &View) {
    let mut kinds = BTreeMap::new();
    let mut evidence = BTreeMap::new();
    let (mut read, mut written) = (0_u64, 0_u64);
    for peer in &view.peers {
        for link in &peer.links {
            *kinds.entry(link.kind.name()).or_insert(0) += 1;
            read += link.bytes_in;
            written += link.bytes_out;
        }
        for (kind, count) in &peer.evidence {
            *evidence.entry(evidence_name(*kind)).or_insert(0) += count;
        }
    }
    text.each("gauge", "links", "Links now.", "kind", kinds);
    let help = "Bytes read from the links there are now.";
    text.one("gauge", "links_received_bytes", help, read);
    let help = "Bytes written to the links there are now.";
    text.one("gauge", "links_sent_bytes", help, written);
    let help = "What peers did wrong, by kind.";
    text.each("counter", "evidence_total", help, "kind", evidence);
}
