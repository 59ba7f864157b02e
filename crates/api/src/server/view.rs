//! Turns what the library says into what travels.

use std::collections::HashMap;
use std::time::Duration;

use tidings::{
    Arrival, Contact, Evidence, InboxMessage, LinkView, MessageState, Node, Path, PeerId, PeerView, Power, RoutingId,
    SentMessage, Step, Wall,
};

use crate::types::{
    self, Code, Direction, Link, MessageDetail, MessageSummary, PathNode, Payload, Peer, PeerRoute, Problem,
    ReceivedMessage, State, TimelineEntry, Timestamp,
};

impl From<Wall> for Timestamp {
    fn from(wall: Wall) -> Self {
        Self::from_unix_millis(wall.0)
    }
}

/// The contacts by peer: what names and verifies the other end of a message.
pub(super) struct Names(HashMap<PeerId, (String, bool)>);

impl Names {
    pub(super) async fn of(node: &Node) -> Result<Self, Problem> {
        Ok(Self::new(&node.contacts().await?))
    }

    pub(super) fn new(contacts: &[Contact]) -> Self {
        Self(contacts.iter().map(|contact| (contact.peer, (contact.name.clone(), contact.verified))).collect())
    }

    pub(super) fn name(&self, peer: PeerId) -> Option<String> {
        self.0.get(&peer).map(|(name, _)| name.clone())
    }

    fn is_verified(&self, peer: PeerId) -> bool {
        self.0.get(&peer).is_some_and(|(_, verified)| *verified)
    }
}

/// Who may stand in a path.
pub(super) struct Everybody {
    own: PeerId,
    known: HashMap<RoutingId, (PeerId, String)>,
}

impl Everybody {
    pub(super) async fn of(node: &Node) -> Result<Self, Problem> {
        let view = node.view().await?;
        let own = (node.peer_id(), node.info().await.name);
        let peers = view.peers.into_iter().map(|peer| (peer.peer, peer.name));
        // A contact's name replaces the one that the peer gives itself.
        let contacts = view.contacts.into_iter().map(|contact| (contact.peer, contact.name));
        let all = peers.chain(contacts).chain([own]);
        Ok(Self { own: node.peer_id(), known: all.map(|known| (known.0.routing_id(), known)).collect() })
    }

    fn node(&self, id: RoutingId) -> PathNode {
        let known = self.known.get(&id);
        PathNode {
            routing_id: id.0.iter().map(|byte| format!("{byte:02x}")).collect(),
            peer_id: known.map(|(peer, _)| peer.to_string()),
            name: known.map(|(_, name)| name.clone()).filter(|name| !name.is_empty()),
        }
    }

    fn path(&self, from: PeerId, path: &Path, to: PeerId) -> Vec<PathNode> {
        let relays = path.relays().iter().copied();
        let all = [from.routing_id()].into_iter().chain(relays).chain([to.routing_id()]);
        all.map(|id| self.node(id)).collect()
    }

    /// The way of a received message.
    pub(super) fn path_from(&self, from: PeerId, path: &Path) -> Vec<PathNode> {
        self.path(from, path, self.own)
    }
}

pub(super) fn arrival(arrival: &Arrival, names: &Names, everybody: &Everybody) -> types::Arrival {
    types::Arrival {
        id: arrival.id.to_string(),
        from: arrival.from.to_string(),
        from_name: names.name(arrival.from),
        received_at: arrival.received_at.into(),
        hops: arrival.hops,
        path: arrival.path.as_ref().map(|path| everybody.path_from(arrival.from, path)),
        acknowledged: arrival.consumed,
    }
}

pub(super) fn peer(peer: &PeerView, route: Option<PeerRoute>, names: &Names) -> Peer {
    let evidence = peer.evidence.iter();
    let announced = peer.announced.clone().unwrap_or_default();
    Peer {
        peer_id: peer.peer.to_string(),
        name: peer.name.clone(),
        contact: names.name(peer.peer),
        links: peer.links.iter().map(link).collect(),
        route,
        capabilities: announced.capabilities,
        labels: announced.labels.iter().map(|label| split_label(label)).collect(),
        power: power_name(announced.power).map(str::to_owned),
        addresses: peer.addresses.iter().map(ToString::to_string).collect(),
        waiting: peer.waiting,
        evidence: evidence.map(|(evidence, count)| (evidence_name(*evidence).to_owned(), *count)).collect(),
    }
}

/// A label of somebody who need not have kept to the form.
fn split_label(label: &str) -> (String, String) {
    let (key, value) = label.split_once('=').unwrap_or((label, ""));
    (key.to_owned(), value.to_owned())
}

/// A stable word for where energy comes from.
fn power_name(power: Power) -> Option<&'static str> {
    match power {
        Power::Unknown => None,
        Power::Mains => Some("mains"),
        Power::Battery => Some("battery"),
        Power::BatteryLow => Some("battery_low"),
    }
}

pub(super) fn link(link: &LinkView) -> Link {
    Link {
        kind: link.kind.name().to_owned(),
        direction: if link.dialled { Direction::Outbound } else { Direction::Inbound },
        address: link.address.to_string(),
        round_trip_seconds: link.round_trip.map(|time| time.as_secs_f64()),
        received_bytes: link.bytes_in,
        sent_bytes: link.bytes_out,
        suspect: link.suspect,
    }
}

/// A stable word for a kind of evidence.
pub(super) fn evidence_name(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::MalformedFrame => "malformed_frame",
        Evidence::MalformedParcel => "malformed_parcel",
        Evidence::CannotOpen => "cannot_open",
        Evidence::Forged => "forged",
        Evidence::BadCard => "bad_card",
        Evidence::Flood => "flood",
        Evidence::BadFlow => "bad_flow",
        Evidence::BadGot => "bad_got",
        Evidence::ForgedRoute => "forged_route",
        Evidence::CheapRoute => "cheap_route",
        Evidence::RolledBackRoute => "rolled_back_route",
        _ => "other",
    }
}

pub(super) fn received(message: &InboxMessage, names: &Names, redelivered: bool) -> ReceivedMessage {
    ReceivedMessage {
        id: message.id.to_string(),
        from: message.from.to_string(),
        from_name: names.name(message.from),
        verified: names.is_verified(message.from),
        kind: message.kind.clone(),
        content: Payload::from_bytes(&message.payload),
        headers: message.headers.iter().cloned().collect(),
        stream: message.stream.clone(),
        priority: message.class.name().to_owned(),
        reply_to: message.reply_to.map(|id| id.to_string()),
        sent_at: message.sent_at.into(),
        received_at: message.received_at.into(),
        expires_at: message.expires_at.into(),
        hops: message.hops,
        path: None,
        redelivered,
    }
}

pub(super) fn state(state: MessageState) -> State {
    match state {
        MessageState::Accepted => State::Accepted,
        MessageState::InFlight => State::InFlight,
        MessageState::Delivered => State::Delivered,
        MessageState::Acknowledged => State::Acknowledged,
        MessageState::Expired => State::Expired,
        MessageState::Failed(_) => State::Failed,
        MessageState::Cancelled => State::Cancelled,
    }
}

pub(super) fn failure(state: MessageState) -> Option<String> {
    match state {
        MessageState::Failed(code) => Some(code.name().to_owned()),
        MessageState::Accepted
        | MessageState::InFlight
        | MessageState::Delivered
        | MessageState::Acknowledged
        | MessageState::Expired
        | MessageState::Cancelled => None,
    }
}

pub(super) fn summary(message: &SentMessage, names: &Names) -> MessageSummary {
    let to_name = names.name(message.to);
    let to = message.to.to_string();
    MessageSummary {
        id: message.id.to_string(),
        kind: message.kind.clone(),
        priority: message.priority.name().to_owned(),
        payload_bytes: message.payload.len() as u64,
        state: state(message.state),
        failure: failure(message.state),
        sentence: sentence(message, to_name.as_deref().unwrap_or(&to)),
        created_at: message.created_at.into(),
        expires_at: message.expires_at.into(),
        retry_of: message.retry_of.map(|id| id.to_string()),
        to,
        to_name,
    }
}

fn sentence(message: &SentMessage, to: &str) -> String {
    let until = Timestamp::from(message.expires_at);
    match message.state {
        MessageState::Accepted => {
            format!("waits on this device for a way to {to}, keeps trying until {until}")
        }
        MessageState::InFlight => {
            format!("on its way to {to}, which has not confirmed it yet; keeps trying until {until}")
        }
        MessageState::Delivered => format!("delivered: it is on the disk of {to}"),
        MessageState::Acknowledged => format!("consumed by the application of {to}"),
        MessageState::Expired => format!("expired at {until} without reaching {to}"),
        MessageState::Failed(code) => match code {
            tidings::FailureCode::OutcomeUnknown => {
                format!("failed: {to} was restored from a backup, so nobody knows whether it arrived")
            }
            tidings::FailureCode::TooBig => {
                format!("failed: no link on the way to {to} carries parcels of this size")
            }
        },
        MessageState::Cancelled => "withdrawn before it was delivered".to_owned(),
    }
}

pub(super) fn detail(message: &SentMessage, names: &Names, everybody: Option<&Everybody>) -> MessageDetail {
    let steps = message.timeline.iter();
    let states = message.states.iter();
    let mut timeline: Vec<TimelineEntry> = steps
        .map(|(wall, step)| entry(*wall, step_name(*step)))
        .chain(states.map(|(wall, state)| entry(*wall, state.name())))
        .collect();
    // Within a millisecond, a message is accepted before its parcel goes anywhere, and that before it arrives.
    let accepted = State::Accepted.name();
    timeline.sort_by_key(|entry| (entry.at, entry.step != accepted));

    let route = message.route.as_ref();
    MessageDetail {
        summary: summary(message, names),
        reached: None,
        attempts: message.attempts,
        record_route: message.record_route,
        hops: route.map(|route| route.hops),
        path: route.zip(everybody).map(|(route, everybody)| everybody.path(everybody.own, &route.path, message.to)),
        timeline,
    }
}

fn entry(wall: Wall, step: &str) -> TimelineEntry {
    TimelineEntry { at: wall.into(), step: step.to_owned() }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Sent => "sent",
        Step::Refused => "refused",
        Step::SealedAnew => "sealed_anew",
    }
}

/// A waiting time asked for, if it is allowed.
pub(super) fn wait(seconds: u64) -> Result<Duration, Problem> {
    let wait = Duration::from_secs(seconds);
    if wait > super::MAX_WAIT {
        let most = super::MAX_WAIT.as_secs();
        let detail = format!("wait_seconds is at most {most}, got {seconds}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(wait)
}

/// The most items of a page.
const MAX_PAGE: u32 = 1_000;
/// The items of a page that asks for no number.
const DEFAULT_PAGE: u32 = 100;

/// A page size asked for, if it is allowed.
pub(super) fn limit(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(DEFAULT_PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit as usize),
        other => {
            let detail = format!("limit is between 1 and {MAX_PAGE}, got {other}");
            Err(Problem::new(Code::InvalidRequest, detail))
        }
    }
}
