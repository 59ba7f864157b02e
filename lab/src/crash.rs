//! `crash`: `kill -9` of sender and recipient in turn, under load, and a count from what clients wrote down.
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
        let mut recipient = Process::start(&binary, &scratch.path().join("recipient"), &quiet).await?;
        let mut to_recipient = quiet.to_vec();
        let address = recipient.addresses[0].clone();
        to_recipient.extend(["--bootstrap", &address]);
        let mut sender = Process::start(&binary, &scratch.path().join("sender"), &to_recipient).await?;
        let (mut log, mut random, mut next) = (Log::default(), self.seed, 0);
        let start = Instant::now();
        for cycle in 0..self.cycles {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let life = LONGEST_LIFE * u32::try_from(random >> 40 & 1023)? / 1024;
            live(&sender, &recipient, &mut log, &mut next, Instant::now() + life).await;
            let victim = if cycle % 2 == 0 { &mut sender } else { &mut recipient };
            victim.kill().await?;
            victim.restart().await?;
        }
        let limit = Instant::now() + ARRIVAL_LIMIT;
        while log.verdict().lost > 0 && Instant::now() < limit {
            live(&sender, &recipient, &mut log, &mut next, Instant::now() + Duration::from_millis(50)).await;
            read(&recipient.client().await?, &mut log, 1).await?;
        }
        read(&recipient.client().await?, &mut log, 1).await?;
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

/// Sends and reads until a moment. A call that fails, since its node is about to be or was killed, is made again by
/// the next life.
async fn live(sender: &Process, recipient: &Process, log: &mut Log, next: &mut u64, until: Instant) {
    let (Ok(from), Ok(to)) = (sender.client().await, recipient.client().await) else { return };
    while Instant::now() < until {
        if send(&from, &recipient.peer, log, *next).await.is_ok() {
            *next += BATCH;
        }
        if read(&to, log, 0).await.is_err() {
            return;
        }
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
