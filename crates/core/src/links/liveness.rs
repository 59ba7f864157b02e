//! Whether the other end still answers; docs/spec/links.md §4.

use std::time::Duration;

use crate::time::Instant;

/// The least silence that means something; spec §4.1.
const MIN_SILENCE: Duration = Duration::from_millis(150);
/// The least before the first measurement: what answers it may queue behind other bytes.
const UNMEASURED_SILENCE: Duration = Duration::from_secs(1);
/// Unanswered probes before a link is suspect.
const PROBES: u32 = 3;
/// How often a suspect link is probed.
const SUSPECT_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long a suspect link stays open; spec §4.4.
const SUSPECT_TIME: Duration = Duration::from_secs(10);

/// The answers of one link.
#[derive(Debug)]
pub(super) struct Liveness {
    idle_interval: Duration,
    guessed: Duration,
    smoothed: Option<Duration>,
    smallest: Option<Duration>,
    heard: Instant,
    /// Since when the link owes us something: a `Got` or the answer to a probe.
    waiting_since: Option<Instant>,
    /// The last time that the link was silent for longer than it should have been.
    outage: Option<Outage>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    /// When something was heard again.
    heard: Option<Instant>,
    /// Whether a round trip that began before that has been counted.
    counted: Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Heard,
    /// So many probes are unanswered, the last one since then. Late: a deadline was missed by this node itself,
    /// and has been moved once.
    Probing {
        probes: u32,
        since: Instant,
        late: Late,
    },
    Suspect {
        since: Instant,
        probed: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    Never,
    Once,
}

/// Whether something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Yes,
    No,
}

/// What silence asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    Probe,
    Suspect,
    Close,
}

impl Liveness {
    pub(super) fn new(now: Instant, idle_interval: Duration) -> Self {
        Self {
            idle_interval,
            guessed: Duration::ZERO,
            smoothed: None,
            smallest: None,
            heard: now,
            waiting_since: None,
            outage: None,
            stage: Stage::Heard,
        }
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The round trip, or what stands for it until one is measured.
    pub(super) fn estimate(&self) -> Duration {
        self.smoothed.unwrap_or(self.guessed)
    }

    pub(super) fn smallest_round_trip(&self) -> Option<Duration> {
        self.smallest
    }

    pub(super) fn is_suspect(&self) -> bool {
        matches!(self.stage, Stage::Suspect { .. })
    }

    /// Takes the time until the hello came, which stands for the round trip until one is measured.
    pub(super) fn guess(&mut self, round_trip: Duration) {
        self.guessed = round_trip;
    }

    /// Takes a measured round trip: RFC 6298's smoothing, a sample counts one eighth. One that began before the link was
    /// heard again may measure an outage: the first of an outage counts at most twice the smoothed value, so that a link
    /// that has become slow is still followed, and the others not at all.
    pub(super) fn measured(&mut self, now: Instant, sample: Duration) {
        let mut sample = sample.max(Duration::from_micros(1));
        if let (Some(outage), Some(smoothed)) = (&mut self.outage, self.smoothed)
            && outage.heard.is_none_or(|heard| now.since(heard) <= sample)
        {
            if std::mem::replace(&mut outage.counted, Counted::Yes) == Counted::Yes {
                return;
            }
            sample = sample.min(smoothed * 2);
        }
        self.smoothed = Some(self.smoothed.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        self.smallest = Some(self.smallest.map_or(sample, |smallest| smallest.min(sample)));
    }

    /// Bytes came. Returns whether the link was suspect.
    pub(super) fn on_heard(&mut self, now: Instant, still_owed: bool) -> bool {
        let was_suspect = self.is_suspect();
        self.heard = now;
        if let Some(outage) = &mut self.outage {
            outage.heard.get_or_insert(now);
        }
        self.stage = Stage::Heard;
        self.waiting_since = still_owed.then_some(now);
        was_suspect
    }

    /// Counted bytes were handed to the link.
    pub(super) fn on_owed(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// An answer is wanted now: the network changed, or two links contend.
    pub(super) fn ask(&mut self, now: Instant) {
        if self.stage == Stage::Heard {
            self.stage = Stage::Probing { probes: 1, since: now, late: Late::Never };
        }
    }

    fn silence(&self) -> Duration {
        self.smoothed.map_or(UNMEASURED_SILENCE.max(self.guessed * 4), |smoothed| (smoothed * 4).max(MIN_SILENCE))
    }

    pub(super) fn due(&self) -> Instant {
        match self.stage {
            Stage::Heard => match self.waiting_since {
                Some(since) => since.max(self.heard) + self.silence(),
                None => self.heard + self.idle_interval,
            },
            Stage::Probing { since, .. } => since + self.silence(),
            Stage::Suspect { since, probed } => (probed + SUSPECT_PROBE_INTERVAL).min(since + SUSPECT_TIME),
        }
    }

    /// Says what the silence until now asks for, if its time has come.
    pub(super) fn on_time(&mut self, now: Instant) -> Option<Silence> {
        let due = self.due();
        if due > now {
            return None;
        }
        match self.stage {
            Stage::Heard => {
                self.stage = Stage::Probing { probes: 1, since: now, late: Late::Never };
                if self.waiting_since.is_some() {
                    self.outage = Some(Outage { heard: None, counted: Counted::No });
                }
                Some(Silence::Probe)
            }
            // This node came late itself: what the other end answered may lie unread.
            Stage::Probing { probes, late: Late::Never, .. } if now.since(due) > self.silence() / 2 => {
                self.stage = Stage::Probing { probes, since: now, late: Late::Once };
                None
            }
            Stage::Probing { probes, .. } if probes < PROBES => {
                self.stage = Stage::Probing { probes: probes + 1, since: now, late: Late::Never };
                self.outage = Some(Outage { heard: None, counted: Counted::No });
                Some(Silence::Probe)
            }
            Stage::Probing { .. } => {
                self.stage = Stage::Suspect { since: now, probed: now };
                Some(Silence::Suspect)
            }
            Stage::Suspect { since, .. } if now >= since + SUSPECT_TIME => Some(Silence::Close),
            Stage::Suspect { since, .. } => {
                self.stage = Stage::Suspect { since, probed: now };
                Some(Silence::Probe)
            }
        }
    }
}
