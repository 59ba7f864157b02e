//! The wire: a switch in user space that joins TAP devices and treats each directed pair of them as it is told.
//!
//! One thread reads frames, lets the [`Shaper`] of the pair decide, keeps what is under way in a heap and writes it
//! when its time has come. A frame to a group goes to every port that the sender's has a pair with. The thread measures
//! itself: its share of a core, and how late it was, tell whether a run says more about the nodes or about the wire.

pub(crate) mod port;
pub(crate) mod shape;

mod switch;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::time::{ClockId, Timespec, clock_gettime};

use self::port::Port;
use self::shape::Shape;
use self::switch::Switch;
pub(crate) use self::switch::Traffic;

/// Changes that may wait for the wire.
const CHANGES: usize = 1_024;
/// Frames taken from one port before the others have their turn.
const BURST: usize = 64;
/// How long the windows are in which the wire's share of a core is taken.
const WINDOW: Duration = Duration::from_secs(5);
/// A run is invalid in which the wire was busier than this in any window.
const BUSIEST: f64 = 0.6;

/// A directed pair of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

/// The wire, while it runs. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    changes: SyncSender<Change>,
    wake: OwnedFd,
    thread: Option<JoinHandle<Result<Figures>>>,
}

#[derive(Debug)]
enum Change {
    Shape(Pair, Option<Shape>),
    Look(SyncSender<Figures>),
    Stop,
}

/// What the wire did and what it took.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) traffic: Traffic,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// The largest share of a core in a window.
    pub(crate) busiest: f64,
    /// How late the latest frame was.
    pub(crate) latest: Duration,
    /// How late frames were on average.
    pub(crate) late: Duration,
}

impl Figures {
    /// Says why the run counts for nothing, where it does.
    pub(crate) fn invalid(&self) -> Option<String> {
        (self.busiest >= BUSIEST).then(|| {
            let (busiest, limit) = (self.busiest * 100.0, BUSIEST * 100.0);
            format!("the wire took {busiest:.0} % of a core, {limit:.0} % is the limit; use fewer nodes or less load")
        })
    }
}

impl Wire {
    /// Starts with ports by their numbers and no pair joined.
    pub(crate) fn start(ports: Vec<Port>, seed: u64) -> Result<Self> {
        let (changes, receiver) = sync_channel(CHANGES);
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mut worker = Worker::new(ports, seed, wake.try_clone()?, receiver)?;
        let thread = std::thread::Builder::new().name("tidings-wire".to_owned()).spawn(move || worker.run())?;
        Ok(Self { changes, wake, thread: Some(thread) })
    }

    /// Joins two ports in one direction, changes how that behaves, or parts them. What is under way still arrives.
    pub(crate) fn set(&self, pair: Pair, shape: Option<Shape>) -> Result<()> {
        self.tell(Change::Shape(pair, shape))
    }

    /// Returns what the wire has done so far.
    pub(crate) fn figures(&self) -> Result<Figures> {
        let (answer, answered) = sync_channel(1);
        self.tell(Change::Look(answer))?;
        answered.recv().context("the wire has stopped")
    }

    /// Stops it and returns what it did.
    #[cfg(test)]
    pub(crate) fn stop(mut self) -> Result<Figures> {
        self.end()
    }

    fn tell(&self, change: Change) -> Result<()> {
        if self.changes.send(change).is_err() {
            bail!("the wire has stopped");
        }
        rustix::io::write(&self.wake, &1u64.to_ne_bytes())?;
        Ok(())
    }

    fn end(&mut self) -> Result<Figures> {
        let thread = self.thread.take().context("the wire has stopped")?;
        let told = self.tell(Change::Stop);
        let figures = thread.join().map_err(|_| anyhow::anyhow!("the wire's thread panicked"))??;
        told.map(|()| figures)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Stopped already, or nobody is left to hear why it failed.
        self.end().ok();
    }
}

/// What runs on the wire's thread.
struct Worker {
    epoll: OwnedFd,
    wake: OwnedFd,
    changes: Receiver<Change>,
    switch: Switch,
    start: Instant,
    meter: Meter,
}

/// Names the descriptor that wakes the thread; ports are named by their numbers.
const WAKE: u64 = u64::MAX;

impl Worker {
    fn new(ports: Vec<Port>, seed: u64, wake: OwnedFd, changes: Receiver<Change>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        for (number, port) in (0..).zip(&ports) {
            epoll::add(&epoll, port, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        }
        let start = Instant::now();
        Ok(Self { epoll, wake, changes, switch: Switch::new(ports, seed), start, meter: Meter::default() })
    }

    fn run(&mut self) -> Result<Figures> {
        let mut events = Vec::with_capacity(64);
        loop {
            let now = self.start.elapsed();
            self.switch.deliver(now);
            self.meter.look(now);
            let window_ends = self.meter.window_start + WINDOW;
            let until = self.switch.next_arrival().unwrap_or(window_ends).min(window_ends).saturating_sub(now);
            let timeout = Timespec::try_from(until)?;
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let name = event.data.u64();
                if name == WAKE {
                    if self.change()? {
                        return Ok(self.figures());
                    }
                } else {
                    let now = self.start.elapsed();
                    self.switch.take(usize::try_from(name)?, BURST, now)?;
                }
            }
        }
    }

    /// Does what it was told; says whether that was to stop.
    fn change(&mut self) -> Result<bool> {
        rustix::io::read(&self.wake, &mut [0; 8])?;
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Change::Shape(pair, shape) => self.switch.set(pair, shape),
                // Whoever asked may have gone.
                Change::Look(answer) => drop(answer.try_send(self.figures())),
                Change::Stop => return Ok(true),
            }
        }
        Ok(false)
    }

    fn figures(&mut self) -> Figures {
        let took = self.start.elapsed();
        self.meter.close(took);
        let lateness = self.switch.lateness();
        Figures {
            traffic: self.switch.traffic().clone(),
            took,
            cpu: cpu(),
            busiest: self.meter.busiest,
            latest: lateness.latest,
            late: lateness.mean(),
        }
    }
}

/// The thread's share of a core, window by window.
#[derive(Debug, Default)]
struct Meter {
    window_start: Duration,
    cpu_then: Duration,
    busiest: f64,
}

impl Meter {
    fn look(&mut self, now: Duration) {
        if now >= self.window_start + WINDOW {
            self.close(now);
        }
    }

    fn close(&mut self, now: Duration) {
        let (cpu, length) = (cpu(), now.saturating_sub(self.window_start));
        // A short last window would be chance.
        if length >= WINDOW / 5 {
            self.busiest = self.busiest.max((cpu - self.cpu_then).as_secs_f64() / length.as_secs_f64());
            (self.window_start, self.cpu_then) = (now, cpu);
        }
    }
}

/// What the calling thread has taken.
fn cpu() -> Duration {
    // The thread's own clock never goes below 0.
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
