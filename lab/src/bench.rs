//! `bench direct`: two processes on loopback through the library, beside two floors in the same interleaved run.
//!
//! 256 incompressible bytes, durable at both ends, encrypted databases, end-to-end receipts. The floors: plain
//! libp2p request-response with as many requests under way (nothing stored, nothing sealed end to end), and
//! `fdatasync` of small appends. Absolute figures of a shared machine mean little; the ratios within a round do.

mod floor;
mod peer;
mod rounds;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(crate) use peer::serve;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// One sender, one recipient, one link
    Direct(Direct),
}

/// `bench direct`.
#[derive(Debug, Args)]
pub(crate) struct Direct {
    /// Interleaved rounds; the report shows medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Messages under way at once
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 2000])]
    windows: Vec<usize>,
    /// Where the databases are made
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Link over TCP instead of QUIC
    #[arg(long)]
    tcp: bool,
}

/// The bytes of each message.
pub(crate) const PAYLOAD_BYTES: usize = 256;

impl Bench {
    pub(crate) async fn run(self) -> Result<()> {
        let Self::Direct(direct) = self;
        rounds::run(&direct).await
    }
}

/// What one measurement gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Completed in the time.
    pub(crate) count: u64,
    pub(crate) elapsed: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
    /// CPU time of both processes.
    pub(crate) cpu: Duration,
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }

    pub(crate) fn cpu_per_message(&self) -> Duration {
        self.cpu / u32::try_from(self.count.max(1)).unwrap_or(u32::MAX)
    }
}

/// CPU time this process has used, in the kernel's ticks of 10 ms.
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
