//! One run of a scenario with real nodes: from bare namespaces to the checker's verdict.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use tokio::time::{sleep, sleep_until};

use super::application::{Application, Times};
use super::clock::Clock;
use super::detours::detours;
use super::faults::Scene;
use super::formed::{self, Formed, Member};
use super::home::{Home, Needs};
use super::host::{Host, Launch, Report};
use super::idle::{Idle, Mark};
use super::journal::Journal;
use super::nat;
use super::network::Network;
use super::timeline::Timeline;
use super::wire::Figures;
use super::workload::Workload;
use crate::checker::{self, Verdict};
use crate::log::Entry;
use crate::process::Process;
use crate::scenario::{FaultKind, Scenario};
use crate::sim::{Dice, Fault, Purpose, plan};

/// The smallest packet that QUIC works with, and its IP and UDP headers (RFC 9000 §14).
const QUIC_LEAST_MTU: u32 = 1_228;
/// How often it is looked whether all is settled.
const LOOK: Duration = Duration::from_millis(200);

/// How a scenario is run.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) scenario: Arc<Scenario>,
    pub(super) seed: u64,
    pub(super) binary: PathBuf,
    /// The run's own directory, for the nodes.
    pub(super) directory: PathBuf,
    /// Where the logs of the clients go.
    pub(super) logs: PathBuf,
    /// The nodes' log filter.
    pub(super) filter: Option<String>,
    /// What stands before all nodes but the first.
    pub(super) translation: Option<nat::Kind>,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) wire: Figures,
    /// When the nodes reached one another, from the first call; `None` if that was not seen.
    pub(super) formed: Option<Formed>,
    /// What the time cost in which the scenario says that it is quiet.
    pub(super) idle: Option<Idle>,
    /// How much longer than usual messages took after each loss of a node or a link, in microseconds.
    pub(super) detours: Vec<u64>,
    pub(super) reports: Vec<Report>,
    pub(super) tally: std::collections::BTreeMap<FaultKind, u64>,
    /// From the first call until the faults end, and from then until all was settled or the time was up.
    pub(super) length: Duration,
    pub(super) settled: Duration,
    /// Messages whose end nobody told.
    pub(super) open: usize,
}

/// Runs a scenario.
pub(super) async fn run(setup: &Setup) -> Result<Outcome> {
    let scenario = &setup.scenario;
    let network = Network::lay(scenario, setup.seed, setup.translation)?;
    let mut dice = Dice::split(setup.seed, Purpose::Faults);
    let faults = plan(scenario, &network.links(), &mut dice);
    let mut timeline = Timeline::new(faults.clone());
    let machines = try_join_all((0..scenario.topology.nodes).map(|node| start(setup, &network, &faults, node))).await?;
    let names: Vec<String> = machines.iter().map(|(.., process)| process.peer.clone()).collect();
    let began = Instant::now();
    let times = Times { began, ends: began + scenario.length.0 };
    let harness = Journal::create(&setup.logs, None, began)?;
    harness.write(Entry::Run {
        scenario: scenario.name.clone(),
        nodes: u32::try_from(scenario.topology.nodes)?,
        hostile: Vec::new(),
        clocks_jump: faults.iter().any(|fault| fault.plan.kind == FaultKind::ClockJump),
    })?;
    let (mut hosts, mut applications, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for (node, (home, launch, process)) in machines.into_iter().enumerate() {
        let application = Arc::new(application(setup, &network, &names, node, began)?);
        applications.push(Arc::clone(&application));
        members.push(Member { directory: home.directory(), neighbours: network.neighbours(node).len() });
        let dice = Dice::split(setup.seed, Purpose::Node(node));
        hosts.push(Host::start(home, launch, process, application, times, dice));
    }
    let mut scene = Scene::new(network, hosts, names, began);
    let formed = tokio::spawn(formed::watch(members, began));
    let idle = match scenario.sim.expect.quiet_after {
        Some(after) => {
            rage(&mut scene, &mut timeline, times, times.ends.min(began + after.0)).await?;
            Some(Mark::take(&mut scene).await?)
        }
        None => None,
    };
    rage(&mut scene, &mut timeline, times, times.ends).await?;
    let idle = match idle {
        Some(mark) => Some(mark.until(Mark::take(&mut scene).await?)),
        None => None,
    };
    let formed = formed.await.context("who watches the nodes panicked")??;
    scene.heal(&mut timeline).await?;
    harness.write(Entry::Healed { settle_micros: u64::try_from(scenario.settle.0.as_micros())? })?;
    let (healed, length) = (Instant::now(), began.elapsed());
    settle(&applications, healed + scenario.settle.0).await;
    let settled = healed.elapsed();
    let wire = scene.network.figures()?;
    if wire.traffic.plaintext > 0 {
        harness.write(Entry::Plaintext { place: format!("the wire, in {} frames", wire.traffic.plaintext) })?;
    }
    harness.write(Entry::Finished)?;
    let mut reports = Vec::new();
    for mut host in scene.hosts {
        reports.push(host.report().await);
        host.end().await?;
    }
    let reports = reports.into_iter().collect::<Result<_>>()?;
    let open = applications.iter().map(|application| application.open()).sum();
    let log = checker::read(&setup.logs)?;
    let (verdict, detours) = (checker::judge(&log, Some(&scenario.expect)), detours(&log, &scene.losses));
    Ok(Outcome { verdict, wire, formed, idle, detours, reports, tally: scene.tally, length, settled, open })
}

/// Carries faults out until then.
async fn rage(scene: &mut Scene, timeline: &mut Timeline, times: Times, until: Instant) -> Result<()> {
    while let Some(next) = timeline.next_time()
        && times.began + next < until
    {
        sleep_until((times.began + next).into()).await;
        scene.carry_out(timeline, next).await?;
    }
    sleep_until(until.into()).await;
    Ok(())
}

/// Waits until all has come to its end, or the time is up.
async fn settle(applications: &[Arc<Application>], until: Instant) {
    // A settled application may still be sent something by one that is not, so all are looked at anew each time.
    while Instant::now() < until && !applications.iter().all(|application| application.is_settled()) {
        sleep(LOOK).await;
    }
}

/// Makes a node's disk and starts the node.
async fn start(setup: &Setup, network: &Network, faults: &[Fault], node: usize) -> Result<(Home, Launch, Process)> {
    let scenario = &setup.scenario;
    let root = setup.directory.join(node.to_string());
    let home = Home::create(root, needs(faults, node), scenario.disk.commit.map(|commit| commit.0))?;
    let listen = transport(scenario, Ipv4Addr::UNSPECIFIED);
    let mut arguments: Vec<String> =
        ["--no-mdns", "--no-dial", "--api", "off", "--address", &listen].map(str::to_owned).into();
    for address in network.neighbours(node).into_iter().filter_map(|neighbour| address(scenario, network, neighbour)) {
        arguments.extend(["--bootstrap".to_owned(), address]);
    }
    if let Some(filter) = &setup.filter {
        arguments.extend(["--log".to_owned(), filter.clone()]);
    }
    let jumps = faults.iter().any(|fault| fault.node == node && fault.plan.kind == FaultKind::ClockJump);
    let launch = Launch {
        namespace: network.space(node).name().to_owned(),
        binary: setup.binary.clone(),
        arguments,
        log: setup.filter.is_some().then(|| setup.logs.join(format!("node-{node:05}.log"))),
        clock: if jumps { Some(Clock::create(setup.directory.join(format!("clock-{node}")))?) } else { None },
    };
    let process = launch.start(&home).await?;
    if process.peer.is_empty() {
        bail!("node {node} does not say who it is");
    }
    Ok((home, launch, process))
}

fn needs(faults: &[Fault], node: usize) -> Needs {
    let happens = |kind| faults.iter().any(|fault| fault.node == node && fault.plan.kind == kind);
    let faulty = [FaultKind::PowerCut, FaultKind::DiskSlow, FaultKind::DiskError];
    Needs { small: happens(FaultKind::DiskFull), faulty: faulty.into_iter().any(happens) }
}

/// Where a node is dialled, if it can be.
fn address(scenario: &Scenario, network: &Network, node: usize) -> Option<String> {
    network.address(node).map(|host| transport(scenario, host))
}

/// Where packets are too small for QUIC, nodes talk by TCP.
fn transport(scenario: &Scenario, host: Ipv4Addr) -> String {
    let small = scenario.link.mtu.is_some_and(|mtu| mtu < QUIC_LEAST_MTU);
    if small { format!("/ip4/{host}/tcp/4001") } else { format!("/ip4/{host}/udp/4001/quic-v1") }
}

fn application(setup: &Setup, network: &Network, names: &[String], node: usize, began: Instant) -> Result<Application> {
    let journal = Journal::create(&setup.logs, Some(u32::try_from(node)?), began)?;
    let workload = Workload::new(&setup.scenario, node, &network.neighbours(node), setup.seed);
    Ok(Application::new(node, Arc::clone(&setup.scenario), names.into(), journal, workload))
}

/// Makes a folder for the logs that holds no others.
pub(super) fn logs(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    if std::fs::read_dir(folder)?.next().is_some() {
        bail!("{} holds other files; name a new folder for the logs", folder.display());
    }
    Ok(())
}
