//! `crash`: `kill -9` of sender and recipient in turn, under load, and a count from what clients wrote down.
//!
//! With `--points` the nodes end by themselves instead, at named places of the store around write, commit and answer,
//! which takes a binary built with the feature `failpoints`.
//!
//! The count believes only what clients saw: which calls were answered *accepted*, what was shown, which
//! acknowledgements were answered. A call that a kill cut off is repeated under its idempotency key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use tidings_api::client::Client;
use tidings_api::types::{BatchRequest, InboxQuery, SendRequest, SendResult};

use crate::process::{self, Process};

/// `crash`.
#[derive(Debug, Args)]
pub(crate) struct Crash {
    /// How often a node is killed
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// Decides when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End nodes at named places of the store: around write, commit and answer
    #[arg(long)]
    points: bool,
    /// The node's binary [default: beside this program]
    #[arg(long)]
    tidings: Option<PathBuf>,
    /// Where the nodes live
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Messages in one call.
const BATCH: u64 = 20;
/// The longest time between two kills.
const LONGEST_LIFE: Duration = Duration::from_millis(400);
/// Around the write of each batch, the commit of a group, and the answer.
const POINTS: [&str; 4] =
    ["store::before_write", "store::before_commit", "store::after_commit", "store::before_answer"];
/// The latest visit of a place at which a node ends there. A start visits some of them.
const LATEST_VISIT: u64 = 150;
/// How long a node with a crash point lives at most.
const LONGEST_ARMED_LIFE: Duration = Duration::from_secs(2);
/// How long everything may take to arrive after the last kill.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// What the clients wrote down.
#[derive(Default)]
struct Log {
    /// By number: the id that the answer gave.
    accepted: BTreeMap<u64, String>,
    /// By number: the ids it was shown under.
    shown: BTreeMap<u64, BTreeSet<String>>,
    acknowledged: BTreeSet<String>,
    shown_after_acknowledgement: u64,
    shown_again: u64,
}

#[derive(Debug, Default)]
struct Verdict {
    lost: usize,
    doubled: usize,
    after_acknowledgement: u64,
}

impl Log {
    fn verdict(&self) -> Verdict {
        let lost = self.accepted.keys().filter(|number| !self.shown.contains_key(number)).count();
        let doubled = self.shown.values().filter(|ids| ids.len() > 1).count();
        let strange =
            self.shown.iter().filter(|(number, ids)| self.accepted.get(number).is_some_and(|id| !ids.contains(id)));
        Verdict { lost, doubled: doubled + strange.count(), after_acknowledgement: self.shown_after_acknowledgement }
    }
}

impl Crash {
    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) async fn run(self) -> Result<()> {
        let binary = process::binary(self.tidings)?;
        let scratch = match &self.dir {
            Some(dir) => tempfile::Builder::new().prefix("tidings-crash-").tempdir_in(dir)?,
            None => tempfile::Builder::new().prefix("tidings-crash-").tempdir()?,
        };
        let quiet = ["--no-mdns", "--no-dial", "--api", "off", "--address", "/ip4/127.0.0.1/udp/0/quic-v1"];
        let recipient = Process::start(&binary, &scratch.path().join("recipient"), &quiet).await?;
        let mut to_recipient = quiet.to_vec();
        let address = recipient.addresses[0].clone();
        to_recipient.extend(["--bootstrap", &address]);
        let sender = Process::start(&binary, &scratch.path().join("sender"), &to_recipient).await?;
        let mut pair = Pair { sender, recipient, log: Log::default(), next: 0 };
        let mut random = self.seed;
        let mut at_points = BTreeMap::from(POINTS.map(|point| (point, 0)));
        let start = Instant::now();
        for cycle in 0..self.cycles {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if self.points {
                let (point, ended) = pair.end_at_a_point(cycle, random >> 33).await?;
                *at_points.entry(point).or_insert(0) += u32::from(ended);
            } else {
                pair.live(LONGEST_LIFE * u32::try_from(random >> 33 & 1023)? / 1024).await;
            }
            pair.victim(cycle).kill().await?;
            pair.victim(cycle).restart().await?;
        }
        if self.points {
            for (point, count) in &at_points {
                println!("ended by itself at {point}: {count}");
            }
            if let Some((point, _)) = at_points.iter().find(|(_, count)| **count == 0) {
                bail!("no node ended at {point}; build with `--features tidings-cli/failpoints`, or run more --cycles");
            }
        }
        let log = pair.arrive().await?;
        let verdict = log.verdict();
        println!(
            "{} kills in {:.0} s: {} messages accepted, {} shown, {} acknowledged, {} shown again before it",
            self.cycles,
            start.elapsed().as_secs_f64(),
            log.accepted.len(),
            log.shown.len(),
            log.acknowledged.len(),
            log.shown_again
        );
        println!(
            "lost {}, shown again after acknowledgement {}, doubled {}",
            verdict.lost, verdict.after_acknowledgement, verdict.doubled
        );
        if verdict.lost > 0 || verdict.after_acknowledgement > 0 || verdict.doubled > 0 {
            bail!("the promise is broken; the nodes' directories were in {}", scratch.keep().display());
        }
        Ok(())
    }
}

/// Two nodes and what their clients do.
struct Pair {
    sender: Process,
    recipient: Process,
    log: Log,
    /// The first number of the call to be made.
    next: u64,
}

impl Pair {
    /// Sender and recipient in turn.
    fn victim(&mut self, cycle: u32) -> &mut Process {
        if cycle.is_multiple_of(2) { &mut self.sender } else { &mut self.recipient }
    }

    /// Starts the victim anew, to end by itself at a place. Says which, and whether it did.
    async fn end_at_a_point(&mut self, cycle: u32, drawn: u64) -> Result<(&'static str, bool)> {
        let point = POINTS[usize::try_from(drawn % 4)?];
        let victim = self.victim(cycle);
        victim.crash_at(Some(format!("{point}:{}", drawn / 4 % LATEST_VISIT + 1)));
        victim.kill().await?;
        // It may end while it starts.
        if victim.restart().await.is_ok() {
            self.live(LONGEST_ARMED_LIFE).await;
        }
        let victim = self.victim(cycle);
        victim.crash_at(None);
        Ok((point, victim.has_ended()?))
    }

    /// Sends and reads for a while. A call that fails, since its node was killed, is made again by the next life.
    async fn live(&mut self, life: Duration) {
        let until = Instant::now() + life;
        let (Ok(from), Ok(to)) = (self.sender.client().await, self.recipient.client().await) else { return };
        while Instant::now() < until {
            if send(&from, &self.recipient.peer, &mut self.log, self.next).await.is_err() {
                return;
            }
            self.next += BATCH;
            if read(&to, &mut self.log, 0).await.is_err() {
                return;
            }
        }
    }

    /// Lets everything arrive, as long as the limit allows.
    async fn arrive(mut self) -> Result<Log> {
        let limit = Instant::now() + ARRIVAL_LIMIT;
        while self.log.verdict().lost > 0 && Instant::now() < limit {
            self.live(Duration::from_millis(50)).await;
            read(&self.recipient.client().await?, &mut self.log, 1).await?;
        }
        read(&self.recipient.client().await?, &mut self.log, 1).await?;
        Ok(self.log)
    }
}

async fn send(client: &Client, to: &str, log: &mut Log, first: u64) -> Result<()> {
    let message = |number: u64| SendRequest {
        to: to.to_owned(),
        payload: Some(number.to_string()),
        idempotency_key: Some(format!("crash-{number}")),
        ..SendRequest::default()
    };
    let batch = BatchRequest { messages: (first..first + BATCH).map(message).collect() };
    let results = client.send_batch(&batch).await?.results;
    for (number, result) in (first..).zip(results) {
        match result {
            SendResult::Accepted(accepted) => {
                log.accepted.insert(number, accepted.id);
            }
            SendResult::Refused { error } => bail!("refused: {}", error.detail),
        }
    }
    Ok(())
}

async fn read(client: &Client, log: &mut Log, wait_seconds: u64) -> Result<()> {
    let query = InboxQuery { limit: Some(1000), wait_seconds: Some(wait_seconds), ..InboxQuery::default() };
    let page = client.inbox(&query).await?.messages;
    for message in &page {
        let Some(number) = message.content.payload.as_deref().and_then(|text| text.parse().ok()) else {
            bail!("a message arrived that nobody sent");
        };
        log.shown_after_acknowledgement += u64::from(log.acknowledged.contains(&message.id));
        log.shown_again += u64::from(!log.shown.entry(number).or_default().insert(message.id.clone()));
    }
    let ids: Vec<_> = page.into_iter().map(|message| message.id).collect();
    if !ids.is_empty() {
        client.acknowledge(ids.clone()).await?;
        log.acknowledged.extend(ids);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_log_is_found_out() {
        let ids = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let mut log = Log::default();
        log.accepted.insert(1, "a".to_owned());
        assert_eq!(log.verdict().lost, 1);
        log.shown.insert(1, ids(&["a"]));
        assert_eq!((log.verdict().lost, log.verdict().doubled), (0, 0));
        log.shown.insert(1, ids(&["a", "b"]));
        assert_eq!(log.verdict().doubled, 1);
        log.shown.insert(1, ids(&["b"]));
        assert_eq!(log.verdict().doubled, 1);
    }
}
