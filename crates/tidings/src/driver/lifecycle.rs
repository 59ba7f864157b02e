//! The node's phases: running, paused, stopping; what it lacks; and the way back when the database is lost.

use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use libp2p::Multiaddr;
use libp2p::swarm::SwarmEvent;
use tidings_core::Command;
use tokio::sync::watch;

use super::boot::{self, Reopened};
use super::calls::Pending;
use super::{Booted, Driver};
use crate::config::Switch;
use crate::network;
use crate::status::{NodeState, Status};

/// How long goodbyes may take; commits get the rest of the two seconds that a stop may take.
const GOODBYE: Duration = Duration::from_millis(1000);
/// How long the store thread may take for what it was given.
const COMMITS: Duration = Duration::from_millis(600);
/// The first and the longest pause between attempts to reopen the database.
const REOPEN_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A database that fails within this time of its reopening has not been mended by it.
const REOPEN_HELD: Duration = Duration::from_mins(1);
/// How long listeners may take to report their first address.
const LISTENERS_UP: Duration = Duration::from_secs(2);

/// What the node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    Paused,
    Stopping {
        until: Instant,
        /// Whether the engine has taken the command.
        taken: bool,
    },
}

impl Phase {
    pub(super) fn is_running(self) -> bool {
        self == Self::Running
    }

    pub(super) fn is_stopping(self) -> bool {
        matches!(self, Self::Stopping { .. })
    }

    pub(super) fn stop_deadline(self) -> Option<Instant> {
        match self {
            Self::Stopping { until, .. } => Some(until),
            Self::Running | Self::Paused => None,
        }
    }
}

/// A node that has let go of everything but its runtime.
#[must_use]
pub(crate) struct Ended(watch::Sender<Status>);

impl Ended {
    /// Says that the node has stopped: its directory and its ports can be used again.
    pub(crate) fn tell(self) {
        self.0.send_modify(|status| status.state = NodeState::Stopped);
    }
}

/// What a node can lack; each has at most one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Disk,
    Database,
    Identity,
    Listeners,
}

impl Driver {
    /// Opens the listeners and tells the engine where it is. Must be called before [`Driver::run`].
    ///
    /// # Errors
    ///
    /// The address that cannot be listened on, and why.
    pub(crate) async fn open(&mut self) -> Result<(), (Multiaddr, String)> {
        self.listen()?;
        let deadline = tokio::time::Instant::now() + LISTENERS_UP;
        let mut silent = self.listeners.len();
        while silent > 0 {
            let event = self.swarm.select_next_some();
            let Ok(event) = tokio::time::timeout_at(deadline, event).await else {
                tracing::warn!("not every listener has an address yet");
                break;
            };
            if let SwarmEvent::NewListenAddr { listener_id, .. } = &event
                && self.heard.insert(*listener_id)
            {
                silent -= 1;
            }
            self.on_swarm(event);
        }
        // A listener on all interfaces has reported one of them, and has the others ready.
        while let Some(event) = self.swarm.select_next_some().now_or_never() {
            self.on_swarm(event);
        }
        self.network_due = None;
        self.tell_listening();
        self.seek_bootstrap();
        let preset = self.config.profile.preset();
        network::look_around(&mut self.swarm, self.config.mdns, &preset);
        self.tell_addresses();
        self.update_state();
        Ok(())
    }

    pub(super) fn pause(&mut self) {
        if self.phase.is_running() {
            self.phase = Phase::Paused;
            self.close_listeners();
            self.let_dht_dial(Switch::Off);
            let preset = self.config.profile.preset();
            network::look_around(&mut self.swarm, Switch::Off, &preset);
            self.update_state();
        }
    }

    pub(super) fn resume(&mut self) {
        if self.phase == Phase::Paused {
            self.phase = Phase::Running;
            self.let_dht_dial(self.config.dialling.others());
            match self.listen() {
                Ok(()) => self.recover(Cause::Listeners),
                Err((address, reason)) => {
                    self.degrade(Cause::Listeners, &format!("cannot listen on {address}: {reason}"));
                }
            }
            self.seek_bootstrap();
            self.on_network_changed();
            self.update_state();
        }
    }

    /// Begins to stop.
    pub(super) fn stop(&mut self) {
        if !self.phase.is_stopping() {
            // What was submitted before is accepted before.
            self.submit_joined();
            self.phase = Phase::Stopping { until: Instant::now() + GOODBYE, taken: self.engine.is_none() };
            self.close_listeners();
            self.update_state();
            self.command(Command::Stop, Pending::Stop);
        }
    }

    /// The engine has said goodbye on every link.
    pub(super) fn on_stop_taken(&mut self) {
        if let Phase::Stopping { taken, .. } = &mut self.phase {
            *taken = true;
        }
    }

    /// Whether the node has stopped, but for its commits.
    pub(super) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Stopping { until, taken } => (taken && self.links.is_empty()) || until <= Instant::now(),
            Phase::Running | Phase::Paused => false,
        }
    }

    /// Finishes the commits, and lets go of directory and sockets.
    pub(crate) async fn finish(mut self) -> Ended {
        self.links.clear();
        self.engine = None;
        if let Some(database) = self.database.take() {
            // The replies must not fill their channel while the thread finishes.
            let replies = async { while self.store_replies.1.recv().await.is_some() {} };
            let stopped = tokio::task::spawn_blocking(move || database.stop());
            tokio::select! {
                _ = tokio::time::timeout(COMMITS, stopped) => {}
                () = replies => {}
            }
        }
        Ended(self.status)
    }

    pub(super) fn degrade(&mut self, cause: Cause, reason: &str) {
        tracing::warn!(reason, "degraded");
        self.reasons.retain(|(known, _)| *known != cause);
        self.reasons.push((cause, reason.to_owned()));
        self.update_state();
    }

    pub(super) fn recover(&mut self, cause: Cause) {
        self.reasons.retain(|(known, _)| *known != cause);
        self.update_state();
    }

    pub(super) fn update_state(&mut self) {
        let state = match self.phase {
            Phase::Stopping { .. } => NodeState::Stopping,
            Phase::Paused => NodeState::Paused,
            Phase::Running if self.reasons.is_empty() => NodeState::Active,
            Phase::Running => NodeState::Degraded,
        };
        let reasons = self.reasons.iter().map(|(_, reason)| reason.clone());
        let reasons = reasons.collect();
        self.status.send_modify(|status| {
            status.state = state;
            status.reasons = reasons;
        });
    }

    /// The disk failed in a way that leaves it open what is written: everything in memory may be wrong about it. The
    /// engine is dropped as in a crash and built again from what the disk says.
    pub(super) fn on_database_lost(&mut self, reason: &str) {
        let reason = format!("the database was lost and is being reopened: {reason}");
        self.degrade(Cause::Database, &reason);
        self.engine = None;
        let was_short = self.reopened_at.is_some_and(|at| at.elapsed() < REOPEN_HELD);
        self.failed_reopens = if was_short { self.failed_reopens + 1 } else { 0 };
        let failed = self.database.take();
        self.links.clear();
        self.dials.clear();
        self.inputs.clear();
        // Whoever waits is told by its answer being dropped.
        self.pending.clear();
        self.tracked.clear();
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
                dht.on_neighbour_gone(&peer);
            }
            // An error means that it has gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.reopen(failed);
    }

    fn reopen(&mut self, failed: Option<super::Database>) {
        let (first, longest) = REOPEN_PAUSES;
        let pause = longest.min(first * 2u32.saturating_pow(self.failed_reopens));
        let pause = if self.failed_reopens == 0 { Duration::ZERO } else { pause };
        boot::reopen(
            boot::Reopening {
                failed,
                home: std::sync::Arc::clone(&self.home),
                config: self.config.clone(),
                clock: self.clock,
                replies: self.store_replies.0.clone(),
                pause,
            },
            self.reopened.0.clone(),
        );
    }

    pub(super) fn on_reopened(&mut self, reopened: Reopened) {
        match reopened {
            Ok(booted) => {
                self.reopened_at = Some(Instant::now());
                // Replies of the thread that failed are still queued before those of the new one.
                while self.store_replies.1.try_recv().is_ok() {}
                let Booted { boot, engine, database } = *booted;
                self.status.send_modify(|status| status.boot = boot);
                self.engine = Some(engine);
                self.database = Some(database);
                self.recover(Cause::Database);
                if self.phase == Phase::Paused {
                    self.command(Command::Pause, Pending::Stop);
                } else {
                    self.tell_listening();
                    self.seek_bootstrap();
                }
            }
            Err(reason) => {
                self.failed_reopens += 1;
                let reason = format!("the database cannot be reopened: {reason}");
                self.degrade(Cause::Database, &reason);
                if !self.phase.is_stopping() {
                    self.reopen(None);
                }
            }
        }
    }
}
