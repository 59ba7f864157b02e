//! Interleaved rounds, and the report.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tidings::{Message, MessageState, Node, PeerId};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Direct, PAYLOAD_BYTES, Sample, cpu_time, floor, peer};

/// The recipient's process.
struct Other {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Other {
    async fn cpu(&mut self) -> Result<Duration> {
        self.input.write_all(b"cpu\n").await?;
        let line = self.output.next_line().await?.context("the recipient has ended")?;
        Ok(Duration::from_millis(line.parse()?))
    }
}

/// Runs all rounds and prints the report.
#[expect(clippy::print_stdout, reason = "the report")]
pub(super) async fn run(direct: &Direct) -> Result<()> {
    let scratch = match &direct.dir {
        Some(dir) => tempfile::Builder::new().prefix("tidings-bench-").tempdir_in(dir)?,
        None => tempfile::Builder::new().prefix("tidings-bench-").tempdir()?,
    };
    let mut process = Command::new(std::env::current_exe()?)
        .arg("bench-peer")
        .arg("--dir")
        .arg(scratch.path().join("recipient"))
        .args(direct.tcp.then_some("--tcp"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = process.stdin.take().context("the recipient has no input")?;
    let mut output = BufReader::new(process.stdout.take().context("the recipient has no output")?).lines();
    let here: serde_json::Value = serde_json::from_str(&output.next_line().await?.context("no recipient")?)?;
    let text = |name: &str| here[name].as_str().unwrap_or_default().to_owned();
    let mut other = Other { _process: process, input, output };

    let node = peer::node(&scratch.path().join("sender"), direct.tcp).await?;
    node.dial(&text("address")).await?;
    let to: PeerId = text("peer").parse()?;
    let mut asker = floor::Asker::connect(text("echo_peer").parse()?, text("echo_address").parse()?).await?;
    let mut payload = [0; PAYLOAD_BYTES];
    getrandom::fill(&mut payload)?;

    let time = Duration::from_secs(direct.seconds);
    // A first message opens the session and warms everything up.
    node.send(Message::to(to).payload(payload.to_vec())).await?.wait(MessageState::Delivered).await?;
    for window in &direct.windows {
        let (mut ours, mut theirs, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..direct.rounds {
            syncs.push(floor::fdatasync(scratch.path(), Duration::from_millis(500))?);
            let before = other.cpu().await? + cpu_time();
            let mut sample = measure(&node, to, *window, time, payload).await?;
            sample.cpu = other.cpu().await? + cpu_time() - before;
            ours.push(sample);
            let before = other.cpu().await? + cpu_time();
            let mut sample = asker.measure(*window, time, &payload).await;
            sample.cpu = other.cpu().await? + cpu_time() - before;
            theirs.push(sample);
        }
        println!("{}", report(*window, &ours, &theirs, &syncs));
    }
    let counters = node.info().await.counters;
    println!(
        "sent {} accepted, {} delivered; {} parcels, {} of them again",
        counters.accepted, counters.delivered, counters.parcels_sent, counters.parcels_resent
    );
    node.shutdown().await;
    Ok(())
}

/// Sends with so many messages under way: each of `window` tasks sends one and waits until it is delivered.
async fn measure(
    node: &Node,
    to: PeerId,
    window: usize,
    time: Duration,
    payload: [u8; PAYLOAD_BYTES],
) -> Result<Sample> {
    let start = Instant::now();
    let counter = Arc::new(AtomicU64::new(0));
    let tasks = (0..window).map(|_| {
        let (node, counter) = (node.clone(), Arc::clone(&counter));
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let mut unique = payload;
                let number = counter.fetch_add(1, Ordering::Relaxed);
                unique[..8].copy_from_slice(&number.to_le_bytes());
                let before = Instant::now();
                let handle = node.send(Message::to(to).payload(unique.to_vec())).await?;
                handle.wait(MessageState::Delivered).await?;
                latencies.push(before.elapsed());
            }
            anyhow::Ok(latencies)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut sample = Sample::default();
    for task in tasks {
        sample.latencies.extend(task.await??);
    }
    sample.elapsed = start.elapsed();
    sample.count = sample.latencies.len() as u64;
    sample.latencies.sort_unstable();
    Ok(sample)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn of(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    median(samples.iter().map(value).collect())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn report(window: usize, ours: &[Sample], theirs: &[Sample], syncs: &[Sample]) -> String {
    let line = |name: &str, samples: &[Sample]| {
        format!(
            "  {name:<26} {:>9.0}/s   p50 {:>8.0} µs   p99 {:>8.0} µs   CPU {:>6.1} µs each",
            of(samples, Sample::rate),
            of(samples, |sample| micros(sample.percentile(50))),
            of(samples, |sample| micros(sample.percentile(99))),
            of(samples, |sample| micros(sample.cpu_per_message())),
        )
    };
    let ratio =
        |other: &[Sample]| median(ours.iter().zip(other).map(|(ours, other)| ours.rate() / other.rate()).collect());
    let physics = ours.iter().zip(theirs).zip(syncs).map(|((ours, theirs), sync)| {
        let floor = 2.0 * micros(sync.percentile(50)) + micros(theirs.percentile(50));
        micros(ours.percentile(50)) / floor
    });
    let physics = median(physics.collect());
    [
        format!("window {window}"),
        line("tidings, durable, sealed", ours),
        line("libp2p request-response", theirs),
        line("fdatasync of an append", syncs),
        format!("  rate: {:.2} × request-response, {:.2} × fdatasync", ratio(theirs), ratio(syncs)),
        format!("  p50:  {physics:.2} × (2 × fdatasync + a request-response round trip)"),
    ]
    .join("\n")
}
