//! Contacts and the invites by which two nodes make each other one.

use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{PeerKey, Sealer, SignedCard};

use super::Engine;
use crate::class::Class;
use crate::delivery::{self, Moment};
use crate::ids::CommandId;
use crate::links::{Address, Source};
use crate::message::{MAX_LIFETIME, MAX_NAME_BYTES, Refusal, Submission};
use crate::output::{Event, Reply};
use crate::record::{Contact, Invite, Record};
use crate::wire::{InviteText, decode_introduction, encode_introduction};

/// The most contacts.
const MAX_CONTACTS: usize = 10_000;
/// The most invites given out at a time; the one that ends first makes room.
const MAX_INVITES: usize = 256;
/// The kind of the message by which somebody who used an invite introduces himself.
const INTRODUCTION: &str = "tidings.invite.accepted";

impl<S: Sealer> Engine<S> {
    pub(super) fn set_contact(
        &mut self,
        now: Moment,
        command: CommandId,
        peer: PeerKey,
        name: Option<String>,
        verified: Option<bool>,
    ) {
        let result = self.put_contact(now, peer, name, verified);
        self.reply(command, result.map_or_else(Reply::Refused, Reply::Contact));
    }

    fn put_contact(
        &mut self,
        now: Moment,
        peer: PeerKey,
        name: Option<String>,
        verified: Option<bool>,
    ) -> Result<Contact, Refusal> {
        if peer == self.own {
            return Err(Refusal::ToSelf);
        }
        let known = self.contacts.get(&peer);
        let name = match (name, known) {
            (Some(name), _) => name,
            (None, Some(contact)) => contact.name.clone(),
            (None, None) => self.free_name(&peer),
        };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(Refusal::TooLarge { what: "contact name", limit: MAX_NAME_BYTES });
        }
        if self.contacts.values().any(|other| other.name == name && other.peer != peer) {
            return Err(Refusal::NameTaken);
        }
        if known.is_none() && self.contacts.len() >= MAX_CONTACTS {
            return Err(Refusal::Busy);
        }
        let contact = Contact {
            peer,
            name,
            verified: verified.or_else(|| known.map(|contact| contact.verified)).unwrap_or(false),
            added: known.map_or(now.wall, |contact| contact.added),
        };
        self.contacts.insert(peer, contact.clone());
        self.records.push(Record::Contact(contact.clone()));
        self.on_contact(now, peer);
        self.event(Event::Contact(contact.clone()));
        Ok(contact)
    }

    /// What a peer calls itself, made unique among the contacts.
    fn free_name(&self, peer: &PeerKey) -> String {
        let card_name = self.sessions.card(peer).map(|card| card.card().name.clone()).unwrap_or_default();
        let base = if card_name.is_empty() { peer.to_string() } else { card_name };
        let taken = |name: &str| self.contacts.values().any(|other| other.name == name && other.peer != *peer);
        let numbered = |number: u32| {
            let suffix = format!("-{number}");
            let mut name = base.clone();
            while name.len() + suffix.len() > MAX_NAME_BYTES {
                name.pop();
            }
            name + &suffix
        };
        if base.len() <= MAX_NAME_BYTES && !taken(&base) {
            return base;
        }
        (2..).map(numbered).find(|name| !taken(name)).unwrap_or(base)
    }

    pub(super) fn remove_contact(&mut self, now: Moment, command: CommandId, peer: PeerKey) {
        let reply = if self.contacts.remove(&peer).is_some() {
            self.records.push(Record::ContactRemoved { peer });
            self.on_contact(now, peer);
            Reply::Done
        } else {
            Reply::Refused(Refusal::Unknown)
        };
        self.reply(command, reply);
    }

    pub(super) fn create_invite(&mut self, now: Moment, command: CommandId, lifetime: Duration) {
        if self.invites.len() >= MAX_INVITES
            && let Some(first) = self.invites.values().min_by_key(|invite| invite.deadline).copied()
        {
            self.invites.remove(&first.secret);
            self.records.push(Record::InviteDone { secret: first.secret });
        }
        let invite = Invite { secret: self.random(), deadline: now.age + lifetime };
        self.invites.insert(invite.secret, invite);
        self.records.push(Record::Invite(invite));
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let text = InviteText {
            card: self.sessions.own_card().clone(),
            secret: invite.secret,
            expires_ms: now.wall.0.saturating_add(lifetime_ms),
        };
        self.reply(command, Reply::Invite(text.encode()));
    }

    pub(super) fn accept_invite(&mut self, now: Moment, command: CommandId, invite: &[u8], name: Option<String>) {
        let result = self.use_invite(now, invite, name);
        self.reply(command, result.map_or_else(Reply::Refused, Reply::Contact));
    }

    fn use_invite(&mut self, now: Moment, invite: &[u8], name: Option<String>) -> Result<Contact, Refusal> {
        let invite = InviteText::decode(invite).ok_or(Refusal::BadInvite)?;
        let card = SignedCard::verify(&invite.card).map_err(|_| Refusal::BadInvite)?;
        if invite.expires_ms <= now.wall.0 {
            return Err(Refusal::BadInvite);
        }
        let peer = card.card().peer;
        let addresses: Vec<_> =
            card.card().addresses.iter().filter_map(|text| Address::new(text.clone()).ok()).collect();
        if peer == self.own {
            return Err(Refusal::ToSelf);
        }
        self.learn_card(now, card, Source::Card);
        let contact = self.put_contact(now, peer, name, None)?;
        self.on_addresses(now, Some(peer), addresses, Source::Person);
        let introduction = Submission {
            to: peer,
            class: Class::High,
            lifetime: MAX_LIFETIME,
            kind: INTRODUCTION.to_owned(),
            payload: encode_introduction(invite.secret),
            stream: None,
            headers: Vec::new(),
            reply_to: None,
            retry_of: None,
            record_route: false,
            idempotency: None,
        };
        self.delivery.handle(now, delivery::Event::SubmitOwn(introduction));
        Ok(contact)
    }

    /// A message of the node's own kinds arrived. Kinds of later versions are taken and mean nothing here.
    pub(super) fn on_own_message(&mut self, now: Moment, sender: PeerKey, kind: &str, payload: &Bytes) {
        if kind != INTRODUCTION {
            return;
        }
        let Some(secret) = decode_introduction(payload) else { return };
        let Some(invite) = self.invites.get(&secret).copied().filter(|invite| invite.deadline > now.age) else {
            return;
        };
        self.invites.remove(&invite.secret);
        self.records.push(Record::InviteDone { secret });
        // Whoever is a contact already stays what it is.
        if !self.contacts.contains_key(&sender) {
            let _full = self.put_contact(now, sender, None, None);
        }
    }

    pub(super) fn forget_old_invites(&mut self, now: Moment) {
        let old: Vec<_> = self.invites.values().filter(|invite| invite.deadline <= now.age).copied().collect();
        for invite in old {
            self.invites.remove(&invite.secret);
            self.records.push(Record::InviteDone { secret: invite.secret });
        }
    }
}
