//! What comes in: parcels and frames from neighbours.

use bytes::Bytes;
use tidings_crypto::{PeerKey, Sealer};

use super::Engine;
use crate::delivery::{self, Arrived, Moment, Precheck};
use crate::ids::{LinkId, ParcelId};
use crate::links::Source;
use crate::record::Record;
use crate::sessions::{self, Opened, Unopened};
use crate::trust::{Cost, Evidence};
use crate::wire::{Clear, Control, Frame, MAX_HOPS, Parcel, Passage, RefusedReason, Suite};

impl<S: Sealer> Engine<S> {
    pub(super) fn on_frame(&mut self, now: Moment, link: LinkId, peer: PeerKey, frame: Frame) {
        match frame {
            Frame::FindCard { peer: wanted, nonce } => self.on_find_card(now, link, peer, wanted, nonce),
            Frame::CardFound { nonce, card } => self.on_card_found(now, peer, nonce, &card),
            Frame::Refused { parcel, reason } => self.on_refused(now, peer, parcel, reason),
            Frame::Routing(frame) => self.on_routing_frame(now, link, frame),
            // The links keep these to themselves.
            Frame::Hello(_)
            | Frame::Got(_)
            | Frame::Bye(_)
            | Frame::Probe { .. }
            | Frame::Fragment(_)
            | Frame::Skipped => {}
        }
    }

    pub(super) fn on_parcel(&mut self, now: Moment, link: LinkId, neighbour: PeerKey, bytes: Bytes) {
        self.parcels_received += 1;
        let Some(passage) = Passage::decode(bytes).ok().filter(|passage| passage.ttl <= MAX_HOPS) else {
            self.misconduct(neighbour, Evidence::MalformedParcel);
            return;
        };
        if passage.to != self.own.routing_id() {
            self.carry(now, neighbour, passage);
            return;
        }
        let ttl = passage.ttl;
        let Ok(parcel) = passage.open() else {
            self.trust.charge(neighbour, Cost::FailedOpen, now.mono);
            // Who carries it for others does not look into it.
            if ttl >= MAX_HOPS {
                self.misconduct(neighbour, Evidence::MalformedParcel);
            }
            return;
        };
        let (Suite::ReceiptKey { sender, .. } | Suite::Session(Clear { sender, .. })) = &parcel.suite;
        // Whoever carries takes one off.
        if parcel.ttl >= MAX_HOPS && *sender != neighbour {
            self.failed(now, neighbour, parcel.ttl, Evidence::Forged);
            return;
        }
        match &parcel.suite {
            Suite::ReceiptKey { sender, key } => {
                if !self.trust.admit(neighbour, Cost::Probe, now.mono) {
                    return;
                }
                match self.sessions.open_controls(sender, *key, &parcel.body) {
                    Ok((controls, session)) => {
                        self.records.extend(session.map(Record::Session));
                        self.on_controls(now, *sender, controls);
                    }
                    Err(Unopened::Forged) => self.failed(now, neighbour, parcel.ttl, Evidence::Forged),
                    Err(Unopened::CannotOpen) => self.failed(now, neighbour, parcel.ttl, Evidence::CannotOpen),
                }
            }
            Suite::Session(clear) => self.on_session_parcel(now, link, neighbour, &parcel, clear),
        }
    }

    fn on_session_parcel(&mut self, now: Moment, link: LinkId, neighbour: PeerKey, parcel: &Parcel, clear: &Clear) {
        if let Some(content) = &clear.content {
            match self.delivery.precheck(clear.sender, content) {
                Precheck::Held => {
                    self.delivery.owe_receipt(clear.sender, content.flow);
                    return;
                }
                Precheck::Busy => {
                    self.refuse(link, neighbour, parcel.id, RefusedReason::Busy);
                    return;
                }
                Precheck::Open => {}
            }
        }
        let begins = self.sessions.begins(parcel);
        if begins && self.sessions.is_full() {
            self.refuse(link, neighbour, parcel.id, RefusedReason::Busy);
            return;
        }
        let cost = if begins { Cost::Session } else { Cost::Probe };
        if !self.trust.admit(neighbour, cost, now.mono) {
            self.misconduct(neighbour, Evidence::Flood);
            self.refuse(link, neighbour, parcel.id, RefusedReason::Busy);
            return;
        }
        match self.sessions.open(clear, &parcel.body, now.age) {
            Ok(opened) => self.on_opened(now, parcel, clear, opened),
            Err(Unopened::Forged) => self.failed(now, neighbour, parcel.ttl, Evidence::Forged),
            // A receipt in a session is sent again when its link ends, and may have been opened before that.
            Err(Unopened::CannotOpen) if clear.content.is_none() && !begins => {
                self.trust.charge(neighbour, Cost::FailedOpen, now.mono);
            }
            Err(Unopened::CannotOpen) => {
                self.failed(now, neighbour, parcel.ttl, Evidence::CannotOpen);
                self.tell_cannot_open(now, parcel.id, clear, !begins);
            }
        }
    }

    /// An open that failed costs its bringer more than one that did not. Who carries what others have sealed cannot
    /// know what is in it: it is evidence only against a neighbour that says that it has crossed no link before.
    fn failed(&mut self, now: Moment, neighbour: PeerKey, ttl: u32, evidence: Evidence) {
        self.trust.charge(neighbour, Cost::FailedOpen, now.mono);
        if ttl >= MAX_HOPS {
            self.misconduct(neighbour, evidence);
        }
    }

    fn refuse(&mut self, link: LinkId, neighbour: PeerKey, parcel: ParcelId, reason: RefusedReason) {
        self.parcels_refused += 1;
        self.frame(Some(link), neighbour, Frame::Refused { parcel, reason });
    }

    fn on_opened(&mut self, now: Moment, parcel: &Parcel, clear: &Clear, opened: Opened) {
        let sender = clear.sender;
        self.records.push(Record::Session(opened.session));
        for dropped in opened.dropped {
            self.records.push(Record::Session(sessions::retired(sender, dropped)));
        }
        if let Some(card) = opened.card {
            self.learn_card(now, card, Source::Card);
        }
        if opened.answers
            && let Some((session, turns)) = self.sessions.current(&sender)
        {
            self.delivery.handle(now, delivery::Event::Turned { peer: sender, session, turns });
        }
        let inner = opened.inner;
        self.on_controls(now, sender, inner.controls);
        if let Some(content) = inner.content {
            // Crossing the link to this node took one hop too.
            let hops = (inner.hop_limit.saturating_sub(parcel.ttl) + 1).min(MAX_HOPS);
            // A sender that gave it fewer links than it has relays does not mean its path.
            let path = parcel.path.clone().filter(|path| path.relays().len() < hops as usize);
            let arrived = Arrived { sender, class: parcel.class, content, messages: inner.messages, hops, path };
            self.delivery.handle(now, delivery::Event::Arrived(arrived));
        }
    }

    fn on_controls(&mut self, now: Moment, sender: PeerKey, controls: Vec<Control>) {
        for control in controls {
            match control {
                Control::Receipt(receipt) => {
                    self.delivery.handle(now, delivery::Event::Receipt(sender, receipt));
                }
                Control::FlowState(statement) => {
                    self.delivery.handle(now, delivery::Event::FlowState(sender, statement));
                }
                Control::Query(flows) => self.delivery.handle(now, delivery::Event::Query(sender, flows)),
                Control::CannotOpen { session, receipt, .. } => {
                    if let Some(receipt) = receipt {
                        self.delivery.handle(now, delivery::Event::Receipt(sender, receipt));
                    }
                    let current = self.sessions.current(&sender).is_some_and(|(id, _)| id == session);
                    let reset = current && self.sessions.reset(&sender, session, now.age);
                    if reset {
                        self.records.push(Record::SessionDropped { session });
                    }
                    if reset || !current {
                        self.delivery.handle(now, delivery::Event::SessionReset { peer: sender, session });
                    }
                }
                Control::Card(bytes) => match self.sessions.sealer().verify_card(&bytes) {
                    Some(card) if card.card().peer == sender => self.learn_card(now, card, Source::Card),
                    Some(_) | None => self.misconduct(sender, Evidence::BadCard),
                },
            }
        }
    }
}
