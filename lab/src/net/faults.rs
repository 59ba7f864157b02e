//! What goes wrong in a run of real nodes, carried out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::detours::{Loss, loses_a_way};
use super::host::{Ending, Host, Order};
use super::network::Network;
use super::timeline::{Due, Timeline};
use crate::scenario::{FaultKind, Link};
use crate::sim::Fault;

/// A flapping link's usual turns.
const DOWN: Duration = Duration::from_secs(2);
const UP: Duration = Duration::from_secs(3);

/// What faults happen to.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) network: Network,
    pub(super) hosts: Vec<Host>,
    /// Peer ids.
    pub(super) names: Vec<String>,
    /// Which faults have flapping links down.
    down: Vec<bool>,
    /// What happened, by kind.
    pub(super) tally: BTreeMap<FaultKind, u64>,
    /// When something went that messages may have gone through.
    pub(super) losses: Vec<Loss>,
    began: Instant,
}

impl Scene {
    pub(super) fn new(network: Network, hosts: Vec<Host>, names: Vec<String>, began: Instant) -> Self {
        Self { network, hosts, names, down: Vec::new(), tally: BTreeMap::new(), losses: Vec::new(), began }
    }

    /// Does what is due.
    pub(super) async fn carry_out(&mut self, timeline: &mut Timeline, now: Duration) -> Result<()> {
        let Some((due, number)) = timeline.pop() else { return Ok(()) };
        let fault = timeline.faults[number].clone();
        self.down.resize(timeline.faults.len(), false);
        match due {
            Due::Begin => {
                *self.tally.entry(fault.plan.kind).or_default() += 1;
                if loses_a_way(fault.plan.kind) {
                    let is_link = matches!(fault.plan.kind, FaultKind::Cut | FaultKind::Silent);
                    let node = if is_link { None } else { Some(u32::try_from(fault.node)?) };
                    self.losses.push(Loss { at: u64::try_from(self.began.elapsed().as_micros())?, node });
                }
                self.begin(&fault).await?;
                if fault.plan.kind == FaultKind::Flap {
                    timeline.turn(number, now);
                }
            }
            Due::Turn => {
                let (after, usual) = if self.down[number] { (fault.plan.up, UP) } else { (fault.plan.down, DOWN) };
                self.flap(&fault, number)?;
                timeline.turn(number, now + after.map_or(usual, |after| after.0).max(Duration::from_millis(1)));
            }
            Due::Over => self.over(&fault, number).await?,
        }
        Ok(())
    }

    /// Ends what has begun.
    pub(super) async fn heal(&mut self, timeline: &mut Timeline) -> Result<()> {
        self.down.resize(timeline.faults.len(), false);
        for number in timeline.heal() {
            self.over(&timeline.faults[number].clone(), number).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, fault: &Fault) -> Result<()> {
        let host = &mut self.hosts[fault.node];
        match fault.plan.kind {
            FaultKind::Kill => host.order(Order::Down(Ending::Killed)).await?,
            FaultKind::PowerCut => host.order(Order::Down(Ending::PowerCut)).await?,
            FaultKind::Stop => host.order(Order::Down(Ending::Stopped)).await?,
            FaultKind::Freeze => host.order(Order::Freeze).await?,
            FaultKind::DiskFull => host.order(Order::Fill).await?,
            FaultKind::DiskSlow => host.order(Order::Slow(fault.plan.commit.map(|commit| commit.0))).await?,
            FaultKind::DiskError => host.order(Order::Fail).await?,
            FaultKind::ClockJump => {
                if let Some(by) = fault.plan.by {
                    host.order(Order::Jump(by)).await?;
                }
            }
            FaultKind::Reset => {
                let [from, to] = self.network.links()[fault.road];
                let peer = self.names[to].clone();
                self.hosts[from].order(Order::Reset { peer }).await?;
            }
            FaultKind::Cut => self.network.cut(fault.road)?,
            FaultKind::Split => fault.between.iter().try_for_each(|road| self.network.cut(*road))?,
            FaultKind::Silent => ways(fault).try_for_each(|way| self.network.silence(fault.road, way))?,
            FaultKind::Worse => {
                let plan = &fault.plan;
                let worse = Link {
                    delay: plan.delay,
                    jitter: plan.jitter,
                    rate: plan.rate,
                    loss: plan.loss,
                    burst: plan.burst,
                    mtu: None,
                };
                ways(fault).try_for_each(|way| self.network.worsen(fault.road, way, &worse))?;
            }
            // Its first turn cuts it; the others are refused before the run.
            FaultKind::Flap | FaultKind::ClockDrift | FaultKind::Hostile => {}
        }
        Ok(())
    }

    fn flap(&mut self, fault: &Fault, number: usize) -> Result<()> {
        self.down[number] = !self.down[number];
        if self.down[number] { self.network.cut(fault.road) } else { self.network.join(fault.road) }
    }

    async fn over(&mut self, fault: &Fault, number: usize) -> Result<()> {
        let host = &mut self.hosts[fault.node];
        match fault.plan.kind {
            FaultKind::Kill | FaultKind::PowerCut | FaultKind::Stop => host.order(Order::Up).await?,
            FaultKind::Freeze => host.order(Order::Thaw).await?,
            FaultKind::DiskFull => host.order(Order::Free).await?,
            FaultKind::DiskSlow => host.order(Order::Slow(None)).await?,
            FaultKind::DiskError => host.order(Order::Mend).await?,
            FaultKind::Cut => self.network.join(fault.road)?,
            FaultKind::Split => fault.between.iter().try_for_each(|road| self.network.join(*road))?,
            FaultKind::Silent => ways(fault).try_for_each(|way| self.network.hear(fault.road, way))?,
            FaultKind::Worse => ways(fault).try_for_each(|way| self.network.mend(fault.road, way))?,
            FaultKind::Flap if self.down[number] => self.flap(fault, number)?,
            FaultKind::Flap | FaultKind::Reset | FaultKind::ClockJump | FaultKind::ClockDrift | FaultKind::Hostile => {}
        }
        Ok(())
    }
}

/// The directions that a fault concerns.
fn ways(fault: &Fault) -> std::ops::Range<usize> {
    fault.way.map_or(0..2, |way| way..way + 1)
}
