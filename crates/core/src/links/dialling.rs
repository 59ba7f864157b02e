//! Whom to dial, where and when; docs/spec/links.md §7.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::Rng as _;
use tidings_crypto::PeerKey;

use super::address::Address;
use crate::ids::{CommandId, DialId};
use crate::time::Instant;

/// The first pause after a round of dials that led nowhere; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// How long it is remembered that rounds were in vain, when there is no reason for another.
const MEMORY: Duration = LONGEST_PAUSE;
/// How long a peer whose link just ended is dialled again and again.
const QUICK_TIME: Duration = Duration::from_mins(1);
/// How often, at least; up to a quarter is added.
const QUICK_INTERVAL: Duration = Duration::from_secs(1);
/// When the next address is tried while the one before has not answered.
pub(super) const STAGGER: Duration = Duration::from_millis(500);
/// How long the end with the larger key waits, at most, so that two ends do not dial one another at once.
const COURTESY: Duration = Duration::from_secs(1);
/// A dial that nobody answered by then is forgotten.
pub(super) const DIAL_TIME: Duration = Duration::from_secs(30);
/// When a person is told that nobody answered.
pub(super) const COMMAND_TIME: Duration = Duration::from_secs(10);
/// The most dials that people wait for.
pub(super) const MAX_COMMANDS: usize = 64;
/// The most peers and addresses that are to be dialled.
pub(super) const MAX_PLANS: usize = 4096;
/// The most dials under way to one peer.
const MAX_DIALS_PER_PLAN: usize = 8;
/// Rounds after which a peer that was only seen nearby is given up.
const NEARBY_ROUNDS: u32 = 8;
/// The first pause before QUIC is tried beside a link that runs over something else; it doubles.
const UPGRADE_PAUSE: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST_UPGRADE_PAUSE: Duration = Duration::from_mins(10);
/// The pause after a peer said that it takes no link.
pub(super) const REFUSED_PAUSE: Duration = Duration::from_mins(1);

/// What a plan leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Peer(PeerKey),
    /// Whoever is there.
    Address(Address),
}

/// A dial under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dial {
    pub(super) target: Target,
    pub(super) address: Address,
    pub(super) command: Option<CommandId>,
}

/// Why a target is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reasons {
    /// Something waits for the peer.
    pub(super) wanted: bool,
    /// A person named the address.
    pub(super) named: bool,
    /// Seen on the local network.
    pub(super) nearby: bool,
}

/// The state of a target that is to be dialled.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) reasons: Reasons,
    /// Who was found at an address.
    pub(super) found: Option<PeerKey>,
    pub(super) next_round: Option<Instant>,
    next_address: Option<Instant>,
    rest: VecDeque<Address>,
    failures: u32,
    upgrades: u32,
    quick_until: Option<Instant>,
    last_round: Option<Instant>,
    under_way: usize,
    /// When it is forgotten, if there is no reason to dial by then.
    forget_at: Option<Instant>,
}

/// All plans and dials.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    pub(super) plans: BTreeMap<Target, Plan>,
    pub(super) dials: BTreeMap<DialId, Dial>,
    /// Commands that are not answered.
    pub(super) commands: BTreeMap<CommandId, DialId>,
    last_dial: u64,
}

/// The tables are at their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableFull;

impl Dialling {
    /// The plan of a target, made if there is room.
    pub(super) fn plan(&mut self, target: &Target) -> Result<&mut Plan, TableFull> {
        if !self.plans.contains_key(target) {
            if self.plans.len() >= MAX_PLANS {
                self.plans.retain(|_, plan| plan.is_needed());
            }
            if self.plans.len() >= MAX_PLANS {
                return Err(TableFull);
            }
        }
        Ok(self.plans.entry(target.clone()).or_default())
    }

    /// Numbers a dial.
    pub(super) fn begin(&mut self, dial: Dial) -> DialId {
        self.last_dial += 1;
        let id = DialId(self.last_dial);
        if let Some(plan) = self.plans.get_mut(&dial.target) {
            plan.under_way += 1;
        }
        if let Some(command) = dial.command {
            self.commands.insert(command, id);
        }
        self.dials.insert(id, dial);
        id
    }

    /// The runtime has answered a dial, or never will.
    pub(super) fn end(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.dials.remove(&id)?;
        if let Some(plan) = self.plans.get_mut(&dial.target) {
            plan.under_way = plan.under_way.saturating_sub(1);
        }
        Some(dial)
    }
}

impl Plan {
    pub(super) fn is_needed(&self) -> bool {
        self.reasons != Reasons::default() || self.under_way > 0
    }

    /// Whether the target is to be dialled while there is no link.
    pub(super) fn wants_link(&self, now: Instant) -> bool {
        let Reasons { wanted, named, nearby } = self.reasons;
        wanted || named || nearby && (self.failures < NEARBY_ROUNDS || self.is_quick(now))
    }

    fn is_quick(&self, now: Instant) -> bool {
        self.quick_until.is_some_and(|until| until > now)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        [self.next_round, self.next_address, self.forget_at].into_iter().flatten().min()
    }

    /// Something waits for the peer: a round begins once the pause after the last one is over. Where messages go by
    /// routes, something waits again and again for a peer that no dial reaches.
    pub(super) fn on_wanted(&mut self, now: Instant) {
        self.next_round = Some(self.next_round.map_or(now, |pause_ends| pause_ends.max(now)));
    }

    /// Whether there is nothing left to do and to remember: no reason to dial, and no round in vain of late.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if self.is_needed() {
            self.forget_at = None;
            return false;
        }
        self.failures == 0 || *self.forget_at.get_or_insert(now + MEMORY) <= now
    }

    /// Starts at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.failures = 0;
        self.upgrades = 0;
        self.next_round = Some(now);
    }

    /// Starts at the latest after a moment that the smaller key does not wait.
    pub(super) fn hurry_politely(&mut self, now: Instant, courtesy: Duration) {
        self.failures = 0;
        let due = now + courtesy;
        self.next_round = Some(self.next_round.map_or(due, |before| before.min(due)));
    }

    /// Whether the last round is so long ago that a new sighting may start another.
    pub(super) fn is_rested(&self, now: Instant) -> bool {
        self.last_round.is_none_or(|last| now.since(last) >= QUICK_INTERVAL * 5)
    }

    /// A link ended a moment ago.
    pub(super) fn on_down(&mut self, now: Instant, courtesy: Duration) {
        self.quick_until = Some(now + QUICK_TIME);
        self.hurry_politely(now, courtesy);
    }

    /// There is a link: nothing to do, unless a better kind may be had.
    pub(super) fn on_up(&mut self, now: Instant, upgrade: Upgrade, rng: &mut ChaCha12Rng) {
        self.failures = 0;
        self.quick_until = None;
        self.rest.clear();
        self.next_address = None;
        self.next_round = None;
        if upgrade == Upgrade::Possible {
            self.schedule_upgrade(now, rng);
        }
    }

    /// When QUIC is tried again beside the link there is.
    pub(super) fn schedule_upgrade(&mut self, now: Instant, rng: &mut ChaCha12Rng) {
        let pause = doubled(UPGRADE_PAUSE, self.upgrades).min(LONGEST_UPGRADE_PAUSE);
        self.upgrades = self.upgrades.saturating_add(1);
        self.next_round = Some(now + jitter(pause, rng));
    }

    /// The peer takes no link until then.
    pub(super) fn pause(&mut self, until: Instant) {
        self.quick_until = None;
        self.rest.clear();
        self.next_address = None;
        self.next_round = Some(until);
    }

    /// Nothing is dialled until something happens.
    pub(super) fn rest(&mut self) {
        self.rest.clear();
        self.next_address = None;
        self.next_round = None;
    }

    /// A round begins; its first address is due at once. The next round is set as if this one led nowhere.
    pub(super) fn begin_round(&mut self, now: Instant, addresses: Vec<Address>, rng: &mut ChaCha12Rng) {
        self.last_round = Some(now);
        let length = STAGGER * u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        self.rest = addresses.into();
        self.next_address = (!self.rest.is_empty()).then_some(now);
        let pause = if self.is_quick(now) {
            QUICK_INTERVAL + random_below(QUICK_INTERVAL / 4, rng)
        } else {
            let pause = doubled(FIRST_PAUSE, self.failures).min(LONGEST_PAUSE);
            self.failures = self.failures.saturating_add(1);
            length + jitter(pause, rng)
        };
        self.next_round = Some(now + pause);
    }

    /// The address whose turn it is, if it may be dialled now.
    pub(super) fn next_address(&mut self, now: Instant) -> Option<Address> {
        if self.next_address.is_none_or(|due| due > now) {
            return None;
        }
        if self.under_way >= MAX_DIALS_PER_PLAN {
            self.next_address = Some(now + STAGGER);
            return None;
        }
        let address = self.rest.pop_front();
        self.next_address = (!self.rest.is_empty()).then_some(now + STAGGER);
        address
    }

    /// No dial is free: the same address again in a while.
    pub(super) fn put_back(&mut self, now: Instant, address: Address) {
        self.rest.push_front(address);
        self.next_address = Some(now + STAGGER);
    }

    /// Whether every address of the round has been tried.
    pub(super) fn is_exhausted(&self) -> bool {
        self.rest.is_empty() && self.under_way == 0
    }

    /// A dial failed: the next address need not wait.
    pub(super) fn on_failed(&mut self, now: Instant) {
        if self.next_address.is_some() {
            self.next_address = Some(now);
        }
    }
}

/// Whether a better kind of link may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    None,
    Possible,
}

/// How long this end waits before it dials somebody who may be dialling it.
pub(super) fn courtesy(own: &PeerKey, peer: &PeerKey, rng: &mut ChaCha12Rng) -> Duration {
    if own < peer { Duration::ZERO } else { random_below(COURTESY, rng) }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1 << times.min(16))
}

/// Three to five quarters.
fn jitter(pause: Duration, rng: &mut ChaCha12Rng) -> Duration {
    pause * 3 / 4 + random_below(pause / 2, rng)
}

fn random_below(limit: Duration, rng: &mut ChaCha12Rng) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(rng.next_u64() % micros)
}
