//! A node's machine: its disk, its process, and the application that uses it, through everything that happens to them.

use std::ffi::OsString;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::application::{Application, Times};
use super::clock::Clock;
use super::home::Home;
use crate::process::{Process, field};
use crate::scenario::Shift;
use crate::sim::Dice;

/// Orders that may wait for a host.
const ORDERS: usize = 256;
/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(100);
/// How long a node that ended by itself stays down.
const RESTART: Duration = Duration::from_secs(1);
/// How long a node may take to stop in order.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long a node may take to say how much it has written.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// What happens to a host.
#[derive(Debug)]
pub(super) enum Order {
    /// The node ends, and does not start before as many [`Order::Up`].
    Down(Ending),
    Up,
    Freeze,
    Thaw,
    Fill,
    Free,
    /// A sync takes so long, or as long as usual.
    Slow(Option<Duration>),
    Fail,
    Mend,
    /// The wall clock jumps.
    Jump(Shift),
    /// The link to a peer ends, as a person ends it; the node takes no other for a minute.
    Reset {
        peer: String,
    },
    /// Answered when all orders before are carried out.
    Report(oneshot::Sender<Report>),
}

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Killed,
    PowerCut,
    Stopped,
}

/// What a host has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) starts: u64,
    /// How nodes ended that nobody had ended.
    pub(super) crashes: Vec<String>,
    /// Files and names that lost something when the power was cut.
    pub(super) lost_files: u64,
    pub(super) lost_names: u64,
    /// Bytes that the node wrote to links, as it told before each of its ends that it could see coming.
    pub(super) bytes: u64,
    /// What the running process has used.
    pub(super) usage: Usage,
}

/// What a process has used of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu: Duration,
    pub(super) resident_kilobytes: u64,
    pub(super) anonymous_kilobytes: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.resident_kilobytes += other.resident_kilobytes;
        self.anonymous_kilobytes += other.anonymous_kilobytes;
    }
}

/// How a node is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) namespace: String,
    pub(super) binary: PathBuf,
    pub(super) arguments: Vec<String>,
    /// A clock of its own.
    pub(super) clock: Option<Clock>,
    /// Where its log is kept after the run.
    pub(super) log: Option<PathBuf>,
}

impl Launch {
    pub(super) async fn start(&self, home: &Home) -> Result<Process> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let directory = home.directory();
        // `ip` becomes `env`, and that the node, so that the child's id is the node's.
        let mut command: Vec<OsString> = ["ip", "netns", "exec", &self.namespace, "env"].map(OsString::from).into();
        command.extend(self.clock.iter().flat_map(Clock::environment));
        command.push(self.binary.clone().into());
        let started = Process::launch(command, &directory, &arguments).await;
        // The directory, and with it the log, goes with the run.
        started.with_context(|| format!("the node in {} does not start: {}", self.namespace, Self::last_words(home)))
    }

    /// What the node logged last.
    fn last_words(home: &Home) -> String {
        let log = std::fs::read_to_string(home.directory().join("log")).unwrap_or_default();
        log.trim_end().lines().last().unwrap_or("its log is empty").to_owned()
    }
}

/// A host's own task.
#[derive(Debug)]
pub(super) struct Host {
    orders: Sender<Order>,
    task: JoinHandle<Result<()>>,
}

impl Host {
    /// Takes over a node that runs.
    pub(super) fn start(
        home: Home,
        launch: Launch,
        process: Process,
        application: Arc<Application>,
        times: Times,
        dice: Dice,
    ) -> Self {
        let (orders, receiver) = channel(ORDERS);
        let machine = Machine {
            home,
            launch,
            process: Some(process),
            application,
            times,
            dice,
            downs: 0,
            freezes: 0,
            fills: 0,
            report: Report { starts: 1, ..Report::default() },
        };
        Self { orders, task: tokio::spawn(machine.run(receiver)) }
    }

    /// Gives an order; fails where the host has failed, with the reason.
    pub(super) async fn order(&mut self, order: Order) -> Result<()> {
        if self.orders.send(order).await.is_err() {
            self.failure().await?;
        }
        Ok(())
    }

    pub(super) async fn report(&mut self) -> Result<Report> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Report(answer)).await?;
        match answered.await {
            Ok(report) => Ok(report),
            Err(_) => self.failure().await.map(|()| Report::default()),
        }
    }

    async fn failure(&mut self) -> Result<()> {
        (&mut self.task).await.context("a host panicked")?.context("a host has failed")
    }

    /// Ends the node and returns why the host failed, if it did.
    pub(super) async fn end(self) -> Result<()> {
        drop(self.orders);
        self.task.await.context("a host panicked")?
    }
}

#[derive(Debug)]
struct Machine {
    home: Home,
    launch: Launch,
    process: Option<Process>,
    application: Arc<Application>,
    times: Times,
    /// Decides what a power cut leaves.
    dice: Dice,
    downs: u32,
    freezes: u32,
    fills: u32,
    report: Report,
}

/// What a machine waits for.
enum Next {
    Order(Option<Order>),
    Ended(String),
}

impl Machine {
    async fn run(mut self, mut orders: Receiver<Order>) -> Result<()> {
        let mut life = self.process.is_some().then(|| self.live());
        loop {
            match self.next(&mut orders).await {
                Next::Order(None) => {
                    self.finish(life.take()).await?;
                    if let Some(log) = &self.launch.log {
                        std::fs::copy(self.home.directory().join("log"), log).context("a node's log is not kept")?;
                    }
                    return self.down(Ending::Killed).await;
                }
                Next::Order(Some(Order::Down(ending))) => {
                    self.downs += 1;
                    self.finish(life.take()).await?;
                    self.down(ending).await?;
                }
                Next::Order(Some(Order::Up)) => {
                    self.downs -= 1;
                    self.up(&mut life).await?;
                }
                Next::Order(Some(order)) => {
                    self.obey(order).await?;
                    // It may have been kept down by what is over now.
                    self.up(&mut life).await?;
                }
                Next::Ended(how) => {
                    let last = Launch::last_words(&self.home);
                    self.report.crashes.push(format!("{how}; {last}"));
                    self.finish(life.take()).await?;
                    self.process = None;
                    sleep(RESTART).await;
                    self.up(&mut life).await?;
                }
            }
        }
    }

    async fn next(&mut self, orders: &mut Receiver<Order>) -> Next {
        let Some(process) = &mut self.process else { return Next::Order(orders.recv().await) };
        tokio::select! {
            order = orders.recv() => Next::Order(order),
            status = process.ended() => Next::Ended(match status {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            }),
        }
    }

    /// Has the application use the node, in a task of its own.
    fn live(&self) -> JoinHandle<Result<()>> {
        let (application, directory, times) = (Arc::clone(&self.application), self.home.directory(), self.times);
        tokio::spawn(async move {
            loop {
                // Why a life ended is seen in the log: calls without an answer.
                application.live(&directory, times).await.map(|never| match never {}).ok();
                application.end()?;
                sleep(RECONNECT).await;
            }
        })
    }

    /// Ends the application's use of the node.
    async fn finish(&self, life: Option<JoinHandle<Result<()>>>) -> Result<()> {
        let Some(life) = life else { return Ok(()) };
        life.abort();
        match life.await {
            // A log that cannot be written makes the run worthless.
            Ok(Err(error)) => Err(error),
            Err(error) if error.is_panic() => Err(error).context("an application panicked"),
            Ok(Ok(())) | Err(_) => self.application.end(),
        }
    }

    async fn down(&mut self, ending: Ending) -> Result<()> {
        self.report.bytes += self.written().await;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if ending == Ending::Stopped {
            signal(&process, Signal::TERM)?;
            if self.freezes == 0 && timeout(STOP_LIMIT, process.ended()).await.is_ok() {
                return Ok(());
            }
            self.report.crashes.push(format!("did not stop within {} s", STOP_LIMIT.as_secs()));
        }
        process.kill().await?;
        if ending == Ending::PowerCut {
            let (files, names) = self.home.cut(&mut self.dice)?;
            self.report.lost_files += files;
            self.report.lost_names += names;
        }
        Ok(())
    }

    async fn up(&mut self, life: &mut Option<JoinHandle<Result<()>>>) -> Result<()> {
        if self.downs > 0 || self.process.is_some() {
            return Ok(());
        }
        match self.launch.start(&self.home).await {
            Ok(process) => {
                self.report.starts += 1;
                self.process = Some(process);
                *life = Some(self.live());
                if self.freezes > 0 {
                    self.signal(Signal::STOP)?;
                }
            }
            // A disk that is full may keep it from starting; it is started again when there is space.
            Err(_) if self.fills > 0 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Freeze => {
                self.freezes += 1;
                self.signal(Signal::STOP)?;
            }
            Order::Thaw => {
                self.freezes -= 1;
                if self.freezes == 0 {
                    self.signal(Signal::CONT)?;
                }
            }
            Order::Fill => {
                self.fills += 1;
                self.home.fill()?;
            }
            Order::Free => {
                self.fills -= 1;
                if self.fills == 0 {
                    self.home.free()?;
                }
            }
            Order::Jump(by) => {
                if let Some(clock) = &mut self.launch.clock {
                    clock.jump(by)?;
                }
            }
            Order::Slow(takes) => self.home.slow(takes),
            Order::Fail => self.home.fail(),
            Order::Mend => self.home.mend(),
            Order::Reset { peer } => {
                if let Some(process) = &self.process
                    && let Ok(client) = process.client().await
                {
                    // A link that is down already need not be reset.
                    client.close_peer(&peer).await.ok();
                }
            }
            // Whoever asked may have gone.
            Order::Report(answer) => {
                let bytes = self.report.bytes + self.written().await;
                drop(answer.send(Report { bytes, usage: self.usage().unwrap_or_default(), ..self.report.clone() }));
            }
            Order::Down(_) | Order::Up => {}
        }
        Ok(())
    }

    /// What the running process has used; `None` where there is none.
    fn usage(&self) -> Option<Usage> {
        let id = self.process.as_ref()?.id().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Behind the name, which may hold anything, the 12th and 13th field are the ticks in the program and the kernel.
        let mut ticks = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2).map(u64::from_str);
        let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
        let cpu = Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
        let [resident_kilobytes, anonymous_kilobytes] = ["VmRSS", "RssAnon"].map(|name| field(&status, name).ok());
        Some(Usage { cpu, resident_kilobytes: resident_kilobytes?, anonymous_kilobytes: anonymous_kilobytes? })
    }

    /// Bytes that the running node has written to links; none where it does not answer.
    async fn written(&self) -> u64 {
        let Some(process) = self.process.as_ref().filter(|_| self.freezes == 0) else { return 0 };
        let ask = async {
            let metrics = process.client().await?.metrics().await?;
            let value = metrics.lines().find_map(|line| line.strip_prefix("tidings_links_sent_bytes_total "));
            anyhow::Ok(value.context("there is no such figure")?.parse()?)
        };
        timeout(ASK_LIMIT, ask).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn signal(&self, what: Signal) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| signal(process, what))
    }
}

fn signal(process: &Process, what: Signal) -> Result<()> {
    let id = Pid::from_raw(i32::try_from(process.id()?)?).context("a process has an id")?;
    kill_process(id, what).context("a node takes no signal")
}
