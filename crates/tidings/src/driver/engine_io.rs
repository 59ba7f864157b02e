//! Feeds the engine and does what it wants done.

use std::sync::Arc;

use tidings_core::ids::DialId;
use tidings_core::links::Address;
use tidings_core::message::MessageState;
use tidings_core::{DiskState, Event, Input, Output};
use tidings_crypto::PeerKey;

use super::Driver;
use super::call::News;
use super::database::StoreReply;
use super::lifecycle::Cause;
use super::net::Neighbour;
use crate::event::{RouteChange, StateChange};
use crate::link::LinkIo;

impl Driver {
    /// Hands an input to the engine, if there is one.
    pub(super) fn handle(&mut self, input: Input) {
        if let Some(engine) = &mut self.engine {
            engine.handle(self.now, input);
        }
    }

    /// Lets the engine see the time and does all it wants done.
    pub(super) fn work(&mut self) {
        self.submit_joined();
        self.on_timers();
        loop {
            while let Some(output) = self.engine.as_mut().and_then(|engine| engine.poll_output()) {
                self.on_output(output);
            }
            match self.inputs.pop_front() {
                Some(input) => self.handle(input),
                None => break,
            }
        }
        self.tell_routes();
        for (_, link) in self.links.values_mut() {
            link.flush();
        }
    }

    fn on_timers(&mut self) {
        let now = self.clock.now();
        if let Some(engine) = &mut self.engine
            && engine.next_deadline().is_some_and(|deadline| deadline <= now.mono)
        {
            engine.handle(now, Input::Tick);
        }
        self.on_network_timer();
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Persist { batch, records } => {
                if let Some(database) = &self.database {
                    database.persist(batch, records);
                }
            }
            Output::Load { load, query } => {
                if let Some(database) = &self.database {
                    database.load(load, query);
                }
            }
            Output::Transmit { link, bytes } => {
                if let Some((_, link)) = self.links.get_mut(&link) {
                    link.push(bytes);
                }
            }
            Output::Dial { dial, peer, address } => self.on_dial(dial, peer, &address),
            Output::Close { link } => {
                if let Some((_, link)) = self.links.get_mut(&link) {
                    link.close();
                }
            }
            Output::Publish { card } => self.publish(card),
            Output::FindPeer { peer } => self.find_peer(peer),
            Output::Reply(id, reply) => self.on_reply(id, reply),
            Output::Event(event) => self.on_event(event),
        }
    }

    fn on_dial(&mut self, dial: DialId, peer: Option<PeerKey>, address: &Address) {
        if let Err(reason) = self.dial(dial, peer, address) {
            self.inputs.push_back(Input::DialFailed { dial, reason });
        }
    }

    pub(super) fn on_store(&mut self, reply: StoreReply) {
        // What comes from a thread that has failed belongs to an engine that is gone.
        if self.database.is_none() {
            return;
        }
        match reply {
            StoreReply::Persisted(batch) => self.handle(Input::Persisted(batch)),
            StoreReply::Loaded(load, loaded) => self.handle(Input::Loaded(load, loaded)),
            StoreReply::Disk(state) => {
                match state {
                    DiskState::Full => {
                        self.degrade(Cause::Disk, "the disk is full: nothing new is accepted until there is room again")
                    }
                    DiskState::Ready => self.recover(Cause::Disk),
                }
                self.handle(Input::Disk(state));
            }
            StoreReply::Failed(reason) => self.on_database_lost(&reason),
        }
    }

    pub(super) fn on_link_io(&mut self, io: LinkIo) {
        match io {
            LinkIo::Read { link, bytes, permit } => {
                if self.links.contains_key(&link) {
                    self.handle(Input::Bytes { link, bytes });
                }
                drop(permit);
            }
            LinkIo::Written { link, bytes } => {
                if self.links.contains_key(&link) {
                    self.handle(Input::Writable { link, bytes });
                }
            }
            LinkIo::Ended { link } => {
                if let Some((connection, _)) = self.links.remove(&link) {
                    self.swarm.close_connection(connection);
                    self.handle(Input::LinkDown { link });
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Received(batch) => self.tell(News::Received(Arc::new(batch))),
            Event::Released(at) => self.tell(News::Released(at)),
            Event::Delivered { flow, seqs } => self.on_change(StateChange {
                at: None,
                to: None,
                flow,
                seqs,
                state: MessageState::Delivered,
                when: self.now.wall,
            }),
            Event::Changed { at, flow, peer, seqs, change, wall } => self.on_change(StateChange {
                at: Some(at),
                to: Some(peer),
                flow,
                seqs,
                state: change.state(),
                when: wall,
            }),
            Event::NeighbourUp { peer, name, kind } => {
                self.on_neighbour(&peer, Neighbour::Linked);
                self.tell(News::NeighbourUp { peer, name: name.into(), kind });
            }
            Event::NeighbourDown { peer } => {
                self.on_neighbour(&peer, Neighbour::Gone);
                self.tell(News::NeighbourDown { peer });
            }
            Event::Topology { kind, reason } => self.tell(News::Topology { kind, reason: reason.into() }),
            Event::Route { peer, way } => {
                self.route_changes.insert(peer, way);
            }
            Event::Contact(contact) => self.tell(News::Contact(Arc::new(contact))),
            Event::Misconduct { peer, evidence } => {
                self.on_misconduct(&peer, &evidence);
                self.tell(News::Misconduct { peer, evidence });
            }
            Event::Degraded { reason } => {
                self.degrade(Cause::Identity, reason);
                self.tell(News::Degraded { reason: reason.into() });
            }
        }
    }

    fn on_change(&mut self, change: StateChange) {
        self.tracked.on_change(change.flow, &change.seqs, change.state);
        self.tell(News::State(Arc::new(change)));
    }

    /// Tells what this turn has changed of the ways, all together: when a network comes up there are many.
    fn tell_routes(&mut self) {
        let changes = std::mem::take(&mut self.route_changes);
        if !changes.is_empty() {
            self.tell(News::Routes(changes.into_iter().map(|(peer, way)| RouteChange { peer, way }).collect()));
        }
    }

    /// Tells all streams; nobody need be listening.
    fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }
}
