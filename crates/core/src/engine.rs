//! Composes the modules into one state machine, and holds the gate between what is decided and what leaves.
//!
//! One call of [`Engine::handle`] runs in five steps: the input goes to the module that owns it; effects are
//! passed between the modules until all are quiet; the records that arose become one numbered batch; parcels and
//! frames go to their link queues under that number; and whatever the links hand out passes the [`gate`].
//! docs/spec/engine.md.

mod arrivals;
mod cards;
mod commands;
mod contacts;
mod departures;
mod errands;
mod gate;
mod searches;
mod shape;
mod watch;
mod ways;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use tidings_crypto::{IdentityKey, PeerKey, Power, Sealer, SignedCard};

use crate::delivery::{self, Moment};
use crate::ids::{BatchNo, CommandId};
use crate::input::{DiskState, Input};
use crate::links::{self, Address};
use crate::output::{Event, Output, Reply};
use crate::record::{Contact, Invite, Record, Snapshot};
use crate::relay;
use crate::routing;
use crate::sessions;
use crate::time::{AgeClock, Instant, Now};
use crate::topology::{self, Graph, Metrics};
use crate::trust;
use crate::view::{AnnouncedView, Counters, DeliveryView, PeerView, View};

/// How an engine behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What this node calls itself, at most 64 bytes.
    pub name: String,
    /// What it tells everybody about itself.
    pub told: Told,
    /// Links: how many, to whom, how often they are probed.
    pub links: links::Config,
    /// Routing: how many destinations, how long announcements live.
    pub routing: routing::Config,
    /// Relaying: how much is held for others.
    pub relay: relay::Config,
    /// Topology: which links are wanted.
    pub topology: topology::Config,
    /// Delivery: quotas and retries.
    pub delivery: delivery::Config,
}

/// What a node tells everybody about itself.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Where its energy comes from.
    pub power: Power,
    /// `key=value`, at most 8 of at most 32 bytes.
    pub labels: Vec<String>,
}

/// The clocks are stored and old records forgotten this often.
const HOURLY: Duration = Duration::from_hours(1);
/// What links carry and lose is counted this often.
const MEASURED: Duration = Duration::from_mins(1);

/// The protocol of one node.
pub struct Engine<S: Sealer> {
    own: PeerKey,
    identity: IdentityKey,
    name: String,
    told: Told,
    clock: AgeClock,
    rng: ChaCha12Rng,
    next_hourly: Instant,

    links: links::State,
    routing: routing::State,
    relay: relay::State,
    topology: topology::State,
    sessions: sessions::State<S>,
    delivery: delivery::State,
    trust: trust::State,

    own_card_seq: u64,
    own_card_expires_ms: u64,
    own_addresses: Vec<Address>,
    own_card_renewals: u32,
    contacts: BTreeMap<PeerKey, Contact>,
    invites: BTreeMap<[u8; 16], Invite>,
    finds: cards::Finds,
    errands: errands::Errands,
    attempts: departures::Attempts,
    ways: ways::Ways,
    wants: shape::Wants,
    searches: searches::Searches,
    stopping: bool,
    parcels_received: u64,
    parcels_refused: u64,

    gate: gate::Gate,
    /// This call's records, in the order they arose.
    records: Vec<Record>,
    /// Records that ride with the next batch.
    riders: Vec<Record>,
    /// This call's outputs that wait for its batch.
    replies: Vec<Output>,
    /// This call's questions to the store; they follow its batch.
    loads: Vec<Output>,
    /// This call's parcels and frames, to be queued under its batch's number.
    departures: VecDeque<departures::Departure>,
    /// This call's parcels and frames that depend on nothing stored, and wait for no batch.
    volatile: VecDeque<departures::Departure>,
    /// Since when something waits for the next call.
    unsettled: Option<Instant>,
}

impl<S: Sealer> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("own", &self.own).finish_non_exhaustive()
    }
}

impl<S: Sealer> Engine<S> {
    /// Starts a node from what its database holds. `seed` is fresh randomness.
    pub fn new(config: Config, identity: IdentityKey, sealer: S, snapshot: Snapshot, now: Now, seed: [u8; 32]) -> Self {
        let own = identity.peer();
        let (age, wall) = snapshot.checkpoint;
        let clock = AgeClock::resume(now, age, if snapshot.boot == 0 { now.wall } else { wall });
        let boot = snapshot.boot + 1;
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut seeds = || {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            seed
        };
        let (link_seed, delivery_seed, routing_seed, topology_seed) = (seeds(), seeds(), seeds(), seeds());
        let shape = topology::Config { no_dial: config.links.no_dial, ..config.topology };
        let link_config = links::Config { name: config.name.clone(), ..config.links };
        let cards = snapshot.cards.iter().filter_map(|(_, bytes)| SignedCard::verify(bytes).ok()).collect();
        let delivery_now = clock.age(now.mono);
        let mut engine = Self {
            own,
            name: config.name,
            told: config.told,
            next_hourly: now.mono + HOURLY,
            links: links::State::new(link_config, own, boot, link_seed),
            routing: routing::State::new(config.routing, own, boot, routing_seed),
            relay: relay::State::new(config.relay, own.routing_id()),
            topology: topology::State::new(shape, own, now.mono, topology_seed),
            sessions: sessions::State::new(sealer, own, cards, &snapshot.sessions),
            delivery: delivery::State::new(config.delivery, own, boot, &snapshot, delivery_now, delivery_seed),
            trust: trust::State::default(),
            own_card_seq: snapshot.own_card.as_ref().map_or(0, |(seq, _)| *seq),
            own_card_expires_ms: 0,
            own_addresses: Vec::new(),
            own_card_renewals: 0,
            contacts: snapshot.contacts.iter().map(|contact| (contact.peer, contact.clone())).collect(),
            invites: snapshot.invites.iter().map(|invite| (invite.secret, *invite)).collect(),
            finds: cards::Finds::default(),
            errands: errands::Errands::default(),
            attempts: departures::Attempts::default(),
            ways: ways::Ways::default(),
            wants: shape::Wants::default(),
            searches: searches::Searches::default(),
            stopping: false,
            parcels_received: 0,
            parcels_refused: 0,
            gate: gate::Gate::default(),
            records: vec![Record::Booted { boot }],
            riders: Vec::new(),
            replies: Vec::new(),
            loads: Vec::new(),
            departures: VecDeque::new(),
            volatile: VecDeque::new(),
            unsettled: None,
            identity,
            clock,
            rng,
        };
        let account = Bytes::copy_from_slice(&engine.sessions.sealer().save());
        if account != snapshot.account {
            engine.records.push(Record::Account(account));
        }
        for (peer, addresses) in snapshot.book {
            engine.topology.handle(now.mono, topology::Event::Known { peer, reach: topology::Reach::Address });
            engine.links.handle(now.mono, links::Event::Book { peer, addresses });
        }
        let moment = engine.moment(now);
        for peer in engine.contacts.keys().copied().collect::<Vec<_>>() {
            engine.on_contact(moment, peer);
        }
        engine.renew_card(moment);
        engine.settle(moment);
        engine
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        let moment = self.moment(now);
        let mono = moment.mono;
        match input {
            Input::Tick => self.on_tick(moment),
            Input::Command(command, what) => self.on_command(moment, command, what),
            Input::Persisted(batch) => {
                self.gate.advance(batch);
                self.links.handle(mono, links::Event::Durable(batch));
            }
            Input::Loaded(load, loaded) => self.delivery.handle(moment, delivery::Event::Loaded(load, loaded)),
            Input::Disk(DiskState::Full) => self.delivery.handle(moment, delivery::Event::DiskFull),
            Input::Disk(DiskState::Ready) => self.delivery.handle(moment, delivery::Event::DiskReady),
            Input::LinkUp { link, peer, kind, dial, address } => {
                let batch = self.gate.issued();
                self.links.handle(mono, links::Event::Up { link, peer, kind, dial, address, batch });
            }
            Input::LinkDown { link } => self.links.handle(mono, links::Event::Down { link }),
            Input::Bytes { link, bytes } => self.links.handle(mono, links::Event::Bytes { link, bytes }),
            Input::Writable { link, bytes } => self.links.handle(mono, links::Event::Writable { link, bytes }),
            Input::Discovered { peer, addresses, source } => {
                self.on_addresses(moment, peer, addresses, source);
            }
            Input::DialFailed { dial, reason } => {
                self.links.handle(mono, links::Event::DialFailed { dial, reason });
            }
            Input::Listening(addresses) => self.on_listening(moment, addresses),
            Input::CardFound { peer, card, by } => self.on_dht_card(moment, peer, &card, by),
            Input::SearchEnded { peer } => self.on_search_ended(moment, &peer),
            Input::NetworkChanged => {
                self.links.handle(mono, links::Event::NetworkChanged);
                self.seek_anew(moment);
            }
        }
        self.settle(moment);
    }

    /// Gives what is to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.gate.poll()
    }

    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let now = self.next_hourly;
        let delivery = self.delivery.next_deadline(|age| self.clock.instant_of_age(age));
        let (routing, relay) = (self.routing.next_deadline(), self.relay.next_deadline());
        let ways = [routing, relay, self.topology.next_deadline(), self.ways.next_deadline(), self.unsettled];
        let searches = self.searches.next_deadline();
        let all = [Some(now), self.links.next_deadline(), delivery, self.finds.next_deadline(), searches];
        all.into_iter().chain(ways).flatten().min()
    }

    /// This node.
    pub fn peer(&self) -> PeerKey {
        self.own
    }

    /// This node's card, encoded and signed.
    pub fn own_card(&self) -> &Bytes {
        self.sessions.own_card()
    }

    /// The island as this node knows it: from its own links and what others tell of theirs.
    pub fn graph(&self) -> Graph {
        self.topology.graph()
    }

    /// The figures of that graph, as [`Graph::measure`] computes them.
    pub fn metrics(&self) -> Metrics {
        self.topology.metrics()
    }

    /// Whom what is for a peer goes to, by its best route alone.
    pub fn next_hop(&self, peer: &PeerKey) -> Option<PeerKey> {
        self.routing.next_hops(&peer.routing_id()).best.map(|hop| hop.peer)
    }

    /// What it knows.
    pub fn view(&self) -> View {
        let mut peers: BTreeMap<_, _> = self
            .links
            .peer_views()
            .into_iter()
            .map(|(peer, name, links, addresses)| (peer, (name, links, addresses)))
            .collect();
        let routed = self.routing.routes().map(|(peer, _)| peer);
        for peer in self.contacts.keys().chain(self.trust.peers()).copied().chain(routed) {
            peers.entry(peer).or_default();
        }
        let peers = peers
            .into_iter()
            .map(|(peer, (hello_name, links, addresses))| {
                let card_name = || self.sessions.card(&peer).map(|card| card.card().name.clone()).unwrap_or_default();
                PeerView {
                    peer,
                    name: if hello_name.is_empty() { card_name() } else { hello_name },
                    links,
                    addresses,
                    evidence: self.trust.evidence(&peer),
                    waiting: self.delivery.waiting_for(&peer),
                    announced: self.announced(&peer),
                }
            })
            .collect();
        View {
            peers,
            routes: self.route_views(),
            contacts: self.contacts.values().cloned().collect(),
            topology: self.topology_view(),
            routing: self.routing.stats(),
            relay: self.relay.stats(),
            delivery: self.delivery_view(),
            counters: self.counters(),
            links: self.links.stats(),
            searches: self.searches.stats(),
        }
    }

    /// How well what this node sends arrives.
    pub fn delivery_view(&self) -> DeliveryView {
        self.delivery.figures()
    }

    /// The contacts.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    /// What this node tells everybody about itself.
    pub fn told(&self) -> &Told {
        &self.told
    }

    fn announced(&self, peer: &PeerKey) -> Option<AnnouncedView> {
        let (announcement, _) = self.routing.announcement(&peer.routing_id())?;
        Some(AnnouncedView {
            power: announcement.power,
            labels: announcement.labels.clone(),
            capabilities: announcement.capabilities.clone(),
        })
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        let (parcels_received, parcels_refused) = (self.parcels_received, self.parcels_refused);
        Counters { parcels_received, parcels_refused, ..self.delivery.stats() }
    }

    fn moment(&self, now: Now) -> Moment {
        Moment { mono: now.mono, wall: now.wall, age: self.clock.age(now.mono) }
    }

    fn on_tick(&mut self, now: Moment) {
        self.links.handle(now.mono, links::Event::Tick);
        self.delivery.handle(now, delivery::Event::Tick);
        self.find_cards_due(now);
        self.searches_due(now);
        self.ways_due(now);
        self.topology.handle(now.mono, topology::Event::Tick);
        if now.mono >= self.wants.next_measure {
            self.wants.next_measure = now.mono + MEASURED;
            self.measure_links(now);
        }
        if now.mono >= self.next_hourly {
            self.next_hourly = now.mono + HOURLY;
            self.own_card_renewals = 0;
            self.ways.boot_jumps = 0;
            self.records.push(Record::Prune);
            self.delivery.forget_old_flows(now);
            self.forget_old_invites(now);
            self.renew_expiring_card(now);
        }
    }

    /// Passes effects between the modules until all are quiet, then closes the batch and lets go what may leave.
    fn settle(&mut self, now: Moment) {
        self.judge(now);
        loop {
            if let Some(effect) = self.links.poll_effect() {
                self.on_links(now, effect);
            } else if let Some(effect) = self.routing.poll_effect() {
                self.on_routing(now, effect);
            } else if let Some(effect) = self.relay.poll_effect() {
                self.on_relay(now, effect);
            } else if let Some(effect) = self.topology.poll_effect() {
                self.on_topology(now, effect);
            } else if let Some(effect) = self.delivery.poll_effect() {
                self.on_delivery(now, effect);
            } else if !self.answer_receipts(now) && !self.resend_stranded(now) {
                break;
            }
        }
        self.close_batch(now);
        let batch = self.gate.issued();
        for output in self.replies.drain(..) {
            self.gate.push(batch, output);
        }
        for departure in std::mem::take(&mut self.departures) {
            self.links.handle(now.mono, departure.under(batch));
        }
        // Queueing yields bytes to write, and word of what left or did not fit; none of it makes records that need a
        // batch. What else it brings about is for the next call, which is due at once.
        loop {
            for departure in std::mem::take(&mut self.volatile) {
                self.links.handle(now.mono, departure.under(BatchNo(0)));
            }
            if let Some(effect) = self.links.poll_effect() {
                self.on_links(now, effect);
            } else if let Some(effect) = self.relay.poll_effect() {
                self.on_relay(now, effect);
            } else if self.volatile.is_empty() {
                break;
            }
        }
        self.unsettled =
            (self.routing.has_effects() || self.topology.has_effects() || self.ways.has_stranded()).then_some(now.mono);
    }

    fn close_batch(&mut self, now: Moment) {
        let flows = self.delivery.take_flow_records();
        if !flows.is_empty() || !self.records.is_empty() {
            // Flows first, so that what belongs to them finds them.
            let mut records = flows;
            records.append(&mut self.records);
            records.append(&mut self.riders);
            records.extend(self.delivery.riders());
            records.push(Record::Checkpoint { age: now.age, wall: now.wall });
            self.gate.persist(records);
        }
        for load in self.loads.drain(..) {
            self.gate.pass(load);
        }
    }

    fn on_links(&mut self, now: Moment, effect: links::Effect) {
        use links::Effect;
        match effect {
            Effect::Transmit { link, bytes, batch } => self.gate.transmit(batch, link, bytes),
            Effect::Dial { dial, peer, address } => self.gate.pass(Output::Dial { dial, peer, address }),
            Effect::Close { link } => self.gate.close(link),
            Effect::PeerUp { peer, kind, hello } => {
                self.on_hello(now, peer, &hello);
                self.event(Event::NeighbourUp { peer, name: hello.name, kind });
                self.on_neighbour(now, peer);
                self.delivery.handle(now, delivery::Event::Reachable(peer));
            }
            Effect::PeerDown { peer } => {
                self.on_peer_gone(&peer);
                self.event(Event::NeighbourDown { peer });
                self.on_neighbour_gone(now, peer);
            }
            Effect::Unreached { peer } => {
                self.topology.handle(now.mono, topology::Event::DialFailed { peer });
                self.on_unreached(now, peer);
            }
            Effect::LinkUp { link, peer, round_trip } => self.on_link_up(now, link, peer, round_trip),
            Effect::LinkDown { link } => self.on_link_down(now, link),
            Effect::LinkSilent { link } => self.on_link_silent(now, link),
            Effect::RoutingLeftOut { link } => self.on_routing_left_out(now, link),
            Effect::LinkAnswers { link } => self.on_link_answers(now, link),
            Effect::RoundTrip { link, round_trip } => self.on_round_trip(now, link, round_trip),
            Effect::Parcel { link, peer, bytes, .. } => self.on_parcel(now, link, peer, bytes),
            Effect::Control { link, peer, frame } => self.on_frame(now, link, peer, frame),
            Effect::Sent { token } => self.on_sent(now, token),
            Effect::Got { token } => self.on_got(now, token),
            Effect::Lost { token } => self.on_lost(now, token),
            Effect::Book { peer, addresses } => self.riders.push(Record::Book { peer, addresses }),
            Effect::Dialled { command, peer, kind } => self.reply(command, Reply::Dialled { peer, kind }),
            Effect::DialFailed { command, reason } => self.reply(command, Reply::DialFailed { reason }),
            Effect::Evidence { peer, evidence } => self.misconduct(peer, evidence),
        }
    }

    fn on_delivery(&mut self, now: Moment, effect: delivery::Effect) {
        use delivery::Effect;
        match effect {
            Effect::Record(record) => self.records.push(record),
            Effect::Load(load, query) => self.loads.push(Output::Load { load, query }),
            Effect::Seal { parcel, peer, content, flow_random, messages } => {
                self.seal(
                    now,
                    parcel,
                    peer,
                    sessions::Plaintext { content: Some(content), flow_random, messages, controls: Vec::new() },
                );
            }
            Effect::Send { parcel, peer, class, session, content, inner, left_seconds, record_route } => {
                self.send(now, parcel, peer, class, session, content, inner, left_seconds, record_route);
            }
            Effect::Withdraw(parcel) => self.withdraw(now, parcel),
            Effect::State { peer, controls } => self.state(peer, &controls),
            Effect::Wanted(peer, wanted) => {
                self.on_wanted(now, peer, wanted);
            }
            Effect::Accepted(command, results) => self.reply(command, Reply::Submitted(results)),
            Effect::Consumed(command, unknown) => self.reply(command, Reply::Consumed { unknown }),
            Effect::Cancelled(command, result) => {
                self.reply(command, result.map_or_else(Reply::Refused, |()| Reply::Done));
            }
            Effect::Delivered { flow, seqs } => self.gate.pass(Output::Event(Event::Delivered { flow, seqs })),
            Effect::Changed { at, flow, peer, seqs, change } => {
                self.event(Event::Changed { at, flow, peer, seqs, change, wall: now.wall });
            }
            Effect::Received(batch) => self.event(Event::Received(batch)),
            Effect::Released(at) => self.event(Event::Released(at)),
            Effect::Own { sender, kind, payload } => self.on_own_message(now, sender, &kind, &payload),
            Effect::Evidence(peer, evidence) => self.misconduct(peer, evidence),
        }
    }

    fn misconduct(&mut self, peer: PeerKey, evidence: trust::Evidence) {
        self.trust.note(peer, evidence);
        self.wants.judged.insert(peer);
        self.event(Event::Misconduct { peer, evidence });
    }

    fn event(&mut self, event: Event) {
        self.replies.push(Output::Event(event));
    }

    fn reply(&mut self, command: CommandId, reply: Reply) {
        self.replies.push(Output::Reply(command, reply));
    }

    fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests;
