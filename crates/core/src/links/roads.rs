//! Joins dialling and the book to the links: when a peer is dialled and what comes of it; docs/spec/links.md §7.

use std::time::Duration;

use tidings_crypto::PeerKey;

use super::address::{Address, LinkKind, Source};
use super::book::Added;
use super::dialling::{COMMAND_TIME, DIAL_TIME, Dial, MAX_COMMANDS, Plan, Target, Upgrade, courtesy};
use super::event::Effect;
use super::{Mode, State, Timer};
use crate::ids::{CommandId, DialId};
use crate::time::Age;
use crate::wire::Bye;

/// The most own addresses that are remembered.
const MAX_OWN_ADDRESSES: usize = 64;

impl State {
    // --- reasons to dial ---

    pub(super) fn on_wanted(&mut self, peer: PeerKey, wanted: bool) {
        if peer == self.own {
            return;
        }
        let target = Target::Peer(peer);
        if !wanted && !self.dialling.plans.contains_key(&target) {
            return;
        }
        let now = self.now;
        let upgrade = self.is_up(&peer).then(|| self.upgrade(&target));
        let Ok(plan) = self.dialling.plan(&target) else {
            self.stats.table_full += 1;
            return;
        };
        let before = plan.reasons.wanted;
        plan.reasons.wanted = wanted;
        match upgrade {
            None if wanted && !before => plan.on_wanted(now),
            Some(upgrade) if plan.next_round.is_none() => plan.on_up(now, upgrade, &mut self.rng),
            None | Some(_) => {}
        }
        self.forget_if_over(&target);
        self.arm(&target);
    }

    pub(super) fn on_discovered(&mut self, peer: Option<PeerKey>, addresses: Vec<Address>, source: Source, age: Age) {
        self.age = Some((self.now, age));
        let addresses: Vec<_> = addresses.into_iter().filter(|address| !self.is_own_address(address)).collect();
        match peer {
            Some(peer) if peer == self.own => {}
            Some(peer) => self.on_peer_discovered(peer, &addresses, source),
            None => {
                for address in addresses {
                    self.on_address_discovered(address, source);
                }
            }
        }
    }

    fn on_peer_discovered(&mut self, peer: PeerKey, addresses: &[Address], source: Source) {
        let added = self.add_to_book(peer, addresses, source);
        let target = Target::Peer(peer);
        let is_reason = matches!(source, Source::Person | Source::Lan);
        if !is_reason && !self.dialling.plans.contains_key(&target) {
            return;
        }
        let has_room = self.links.len() < self.config.nearby_links.min(self.config.max_links);
        let pause = match source {
            // Only this end was searching.
            Source::Dht => Duration::ZERO,
            Source::Person | Source::Lan | Source::Card | Source::Book => courtesy(&self.own, &peer, &mut self.rng),
        };
        let now = self.now;
        let Ok(plan) = self.dialling.plan(&target) else {
            self.stats.table_full += 1;
            return;
        };
        match source {
            Source::Person => plan.reasons.named = true,
            Source::Lan => plan.reasons.nearby = has_room,
            Source::Card | Source::Dht | Source::Book => {}
        }
        match (source, added) {
            (Source::Person, _) => plan.hurry(now),
            (_, Added::New) => plan.hurry_politely(now, pause),
            (Source::Lan, _) if plan.is_rested(now) => plan.hurry_politely(now, pause),
            _ => {}
        }
        self.arm(&target);
    }

    fn on_address_discovered(&mut self, address: Address, source: Source) {
        let target = Target::Address(address);
        let now = self.now;
        let Ok(plan) = self.dialling.plan(&target) else {
            self.stats.table_full += 1;
            return;
        };
        match source {
            Source::Person => plan.reasons.named = true,
            Source::Lan | Source::Card | Source::Dht | Source::Book => plan.reasons.nearby = true,
        }
        plan.hurry(now);
        self.arm(&target);
    }

    fn add_to_book(&mut self, peer: PeerKey, addresses: &[Address], source: Source) -> Added {
        let (plans, neighbours) = (&self.dialling.plans, &self.neighbours);
        let in_use = |peer: &PeerKey| neighbours.contains_key(peer) || plans.contains_key(&Target::Peer(*peer));
        let (added, forgotten) = self.book.add(peer, addresses, source, in_use);
        if added == Added::Full {
            self.stats.table_full += 1;
        }
        if let Some(forgotten) = forgotten.filter(|forgotten| forgotten.persisted) {
            self.effect(Effect::Book { peer: forgotten.peer, addresses: Vec::new() });
        }
        added
    }

    /// Whether an address of a peer is known that may be dialled.
    pub(crate) fn has_addresses(&self, peer: &PeerKey) -> bool {
        !self.to_dial(&Target::Peer(*peer), None).is_empty()
    }

    /// Whether addresses that nobody named are dialled.
    pub(crate) fn dials_whom_it_finds(&self) -> bool {
        !self.config.no_dial
    }

    /// Whether something waits for the peer, or a person named it.
    pub(super) fn is_needed(&self, peer: &PeerKey) -> bool {
        let plan = self.dialling.plans.get(&Target::Peer(*peer));
        plan.is_some_and(|plan| plan.reasons.wanted || plan.reasons.named)
    }

    pub(super) fn on_network_changed(&mut self) {
        self.book.on_network_changed();
        let now = self.now;
        let mut targets = Vec::new();
        for (target, plan) in &mut self.dialling.plans {
            plan.hurry(now);
            targets.push(target.clone());
        }
        for target in &targets {
            self.arm(target);
        }
        // Links that the change has cut off do not know it.
        let live = self.links.values_mut().filter(|link| link.is_live());
        let live: Vec<_> = live
            .map(|link| {
                link.liveness.ask(now);
                link.id
            })
            .collect();
        for id in live {
            self.probe(id);
            self.rearm(id);
        }
    }

    // --- rounds ---

    fn arm(&mut self, target: &Target) {
        let due = self.dialling.plans.get(target).and_then(Plan::due);
        self.timers.set(&Timer::Target(target.clone()), due);
    }

    fn forget_if_over(&mut self, target: &Target) {
        let now = self.now;
        if self.dialling.plans.get_mut(target).is_some_and(|plan| plan.is_over(now)) {
            self.dialling.plans.remove(target);
        }
    }

    /// Whether there is a link to the target.
    fn is_reached(&self, target: &Target) -> bool {
        let peer = match target {
            Target::Peer(peer) => Some(*peer),
            Target::Address(_) => self.dialling.plans.get(target).and_then(|plan| plan.found),
        };
        peer.is_some_and(|peer| self.is_up(&peer))
    }

    pub(super) fn on_target_due(&mut self, target: &Target) {
        if self.mode == Mode::Running {
            self.begin_round_if_due(target);
            self.dial_next(target);
            self.forget_if_over(target);
            self.arm(target);
        }
    }

    fn begin_round_if_due(&mut self, target: &Target) {
        let now = self.now;
        let is_reached = self.is_reached(target);
        let upgrade = self.upgrade(target);
        let pause = match target {
            Target::Peer(peer) => self.refusals.refused_until(now, peer),
            Target::Address(_) => None,
        };
        let Some(plan) = self.dialling.plans.get_mut(target) else {
            return;
        };
        if plan.next_round.is_none_or(|due| due > now) {
            return;
        }
        if let Some(until) = pause {
            plan.pause(until);
        } else if !plan.wants_link(now) || is_reached && upgrade == Upgrade::None {
            plan.rest();
        } else if is_reached {
            let quic: Vec<_> = self.to_dial(target, Some(LinkKind::Quic));
            if let Some(plan) = self.dialling.plans.get_mut(target) {
                plan.begin_round(now, quic.into_iter().take(1).collect(), &mut self.rng);
                plan.schedule_upgrade(now, &mut self.rng);
            }
        } else {
            let addresses = self.to_dial(target, None);
            if let Some(plan) = self.dialling.plans.get_mut(target) {
                plan.begin_round(now, addresses, &mut self.rng);
            }
        }
    }

    /// Where to dial a target, best first.
    fn to_dial(&self, target: &Target, only: Option<LinkKind>) -> Vec<Address> {
        let allowed = |address: &Address, source: Source| {
            (!self.config.no_dial || source == Source::Person)
                && !self.is_own_address(address)
                && only.is_none_or(|kind| address.kind() == kind)
        };
        match target {
            Target::Peer(peer) => self.book.to_dial(peer, allowed),
            Target::Address(address) => {
                let named = self.dialling.plans.get(target);
                let source = if named.is_some_and(|plan| plan.reasons.named) { Source::Person } else { Source::Book };
                let addresses = [address.clone()].into_iter();
                addresses.filter(|address| allowed(address, source)).collect()
            }
        }
    }

    /// Whether a link over QUIC may take the place of the one there is.
    fn upgrade(&self, target: &Target) -> Upgrade {
        let Target::Peer(peer) = target else {
            return Upgrade::None;
        };
        let worse = self.best_link(peer).is_some_and(|link| link.kind != LinkKind::Quic && link.kind != LinkKind::Host);
        if worse && !self.to_dial(target, Some(LinkKind::Quic)).is_empty() { Upgrade::Possible } else { Upgrade::None }
    }

    fn dial_next(&mut self, target: &Target) {
        let now = self.now;
        let is_full = self.dialling.dials.len() >= self.config.max_dials;
        let Some(plan) = self.dialling.plans.get_mut(target) else {
            return;
        };
        let Some(address) = plan.next_address(now) else {
            return;
        };
        if is_full {
            plan.put_back(now, address);
            return;
        }
        let peer = match target {
            Target::Peer(peer) => {
                self.book.on_tried(peer, &address);
                Some(*peer)
            }
            Target::Address(_) => None,
        };
        let dial = Dial { target: target.clone(), address, command: None };
        self.begin_dial(peer, dial);
    }

    fn begin_dial(&mut self, peer: Option<PeerKey>, dial: Dial) {
        self.stats.dials += 1;
        let address = dial.address.clone();
        let id = self.dialling.begin(dial);
        self.timers.set(&Timer::Dial(id), Some(self.now + DIAL_TIME));
        self.effect(Effect::Dial { dial: id, peer, address });
    }

    // --- a person's dial ---

    pub(super) fn on_dial(&mut self, command: CommandId, address: Address) {
        let refusal = if self.mode != Mode::Running {
            Some("links are paused; resume them first")
        } else if self.is_own_address(&address) {
            Some("the address is this node's own")
        } else if self.dialling.commands.len() >= MAX_COMMANDS {
            Some("too many dials are waiting; try again later")
        } else {
            None
        };
        if let Some(reason) = refusal {
            let reason = reason.to_owned();
            self.effect(Effect::DialFailed { command, reason });
            return;
        }
        self.timers.set(&Timer::Command(command), Some(self.now + COMMAND_TIME));
        let dial = Dial { target: Target::Address(address.clone()), address, command: Some(command) };
        self.begin_dial(None, dial);
    }

    pub(super) fn on_command_due(&mut self, command: CommandId) {
        if self.dialling.commands.remove(&command).is_some() {
            let reason = "nobody answered within 10 seconds".to_owned();
            self.effect(Effect::DialFailed { command, reason });
        }
    }

    fn answer_command(&mut self, dial: &Dial) -> Option<CommandId> {
        let command = dial.command?;
        self.dialling.commands.remove(&command)?;
        self.timers.set(&Timer::Command(command), None);
        Some(command)
    }

    // --- what comes of a dial ---

    /// Takes a dial out of those under way.
    pub(super) fn end_dial(&mut self, id: DialId) -> Option<Dial> {
        self.timers.set(&Timer::Dial(id), None);
        self.dialling.end(id)
    }

    pub(super) fn on_dial_failed(&mut self, id: DialId, reason: String) {
        if let Some(dial) = self.end_dial(id) {
            self.on_dial_useless(dial, &reason);
        }
    }

    /// A dial led to no link.
    pub(super) fn on_dial_useless(&mut self, dial: Dial, reason: &str) {
        self.stats.dials_failed += 1;
        if let Some(command) = self.answer_command(&dial) {
            let reason = reason.to_owned();
            self.effect(Effect::DialFailed { command, reason });
        }
        let now = self.now;
        if let Some(plan) = self.dialling.plans.get_mut(&dial.target) {
            plan.on_failed(now);
            let exhausted = plan.is_exhausted();
            self.arm(&dial.target);
            if let Target::Peer(peer) = dial.target
                && exhausted
                && !self.is_up(&peer)
            {
                self.effect(Effect::Unreached { peer });
            }
        }
    }

    /// A dial led to a node that said hello.
    pub(super) fn on_dialled(&mut self, peer: PeerKey, kind: LinkKind, dial: Dial) {
        if let Some(plan) = self.dialling.plans.get_mut(&dial.target) {
            plan.found = Some(peer);
        }
        let source = match &dial.target {
            Target::Address(_) => Source::Person,
            Target::Peer(_) => Source::Book,
        };
        self.add_to_book(peer, std::slice::from_ref(&dial.address), source);
        let age = self.age();
        if let Some(addresses) = self.book.on_reached(&peer, &dial.address, age) {
            self.effect(Effect::Book { peer, addresses });
        }
        if let Some(command) = self.answer_command(&dial) {
            self.effect(Effect::Dialled { command, peer, kind });
        }
    }

    /// The age now, as far as it was told.
    fn age(&self) -> Age {
        self.age.map(|(at, age)| age + self.now.since(at)).unwrap_or_default()
    }

    fn is_own_address(&self, address: &Address) -> bool {
        self.own_addresses.contains(address)
            || address.as_str().rsplit_once("/p2p/").is_some_and(|(_, peer)| peer.parse() == Ok(self.own))
    }

    /// A dial led to this node itself.
    pub(super) fn on_own_address(&mut self, dial: Dial) {
        if self.own_addresses.len() < MAX_OWN_ADDRESSES {
            self.own_addresses.insert(dial.address.clone());
        }
        self.on_dial_useless(dial, "the address is this node's own");
    }

    // --- peers come and go ---

    pub(super) fn on_peer_up(&mut self, peer: PeerKey) {
        for target in self.targets_of(peer) {
            let upgrade = self.upgrade(&target);
            let now = self.now;
            if let Some(plan) = self.dialling.plans.get_mut(&target) {
                plan.on_up(now, upgrade, &mut self.rng);
            }
            self.arm(&target);
        }
    }

    pub(super) fn on_peer_down(&mut self, peer: PeerKey) {
        for target in self.targets_of(peer) {
            let pause = courtesy(&self.own, &peer, &mut self.rng);
            let now = self.now;
            // A link that is suspect and still open: the other end may not know it.
            let is_open = self.links.values().any(|link| link.peer == peer);
            let pause = if is_open { Duration::ZERO } else { pause };
            if let Some(plan) = self.dialling.plans.get_mut(&target) {
                plan.on_down(now, pause);
            }
            self.arm(&target);
        }
    }

    fn targets_of(&self, peer: PeerKey) -> Vec<Target> {
        let found = self.dialling.plans.iter();
        let found = found.filter(|(_, plan)| plan.found == Some(peer));
        let mut targets: Vec<_> = found.map(|(target, _)| target.clone()).collect();
        if self.dialling.plans.contains_key(&Target::Peer(peer)) {
            targets.push(Target::Peer(peer));
        }
        targets
    }

    /// A peer without a link is left alone for a while, and the address that led to it.
    pub(super) fn pause_dialling(&mut self, peer: PeerKey, dial: Option<Target>, pause: Duration) {
        if self.is_up(&peer) {
            return;
        }
        let until = self.now + pause;
        for target in dial.into_iter().chain(self.targets_of(peer)) {
            if let Some(plan) = self.dialling.plans.get_mut(&target) {
                plan.pause(until);
            }
            self.arm(&target);
        }
    }

    pub(super) fn on_close_peer(&mut self, peer: PeerKey, pause: Duration) {
        self.refusals.refuse(self.now, peer, pause);
        self.leave_peer(&peer, Bye::Refused);
        self.pause_dialling(peer, None, pause);
    }

    pub(super) fn on_mode(&mut self, mode: Mode) {
        if self.mode == mode || self.mode == Mode::Stopped {
            return;
        }
        self.mode = mode;
        if mode == Mode::Running {
            self.on_network_changed();
            return;
        }
        self.leave_all(Bye::ShuttingDown);
        let commands: Vec<_> = self.dialling.commands.keys().copied().collect();
        for command in commands {
            self.dialling.commands.remove(&command);
            self.timers.set(&Timer::Command(command), None);
            let reason = "links were paused".to_owned();
            self.effect(Effect::DialFailed { command, reason });
        }
    }
}
