//! Many small messages to a node that is killed midway: each is shown under one id, and never after it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tidings_api::client::Client;
use tidings_api::types::{BatchRequest, SendRequest, SendResult};

use super::member::{Member, broken};
use super::story::{Teller, numbered, until};
use crate::failure::Failure;

/// Messages in one call.
const BATCH: u32 = 250;
/// How long everything may take to arrive.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);
/// The kind of the small messages.
const KIND: &str = "demo.count";

/// What one reader was shown.
#[derive(Default)]
struct Shown {
    /// By sender's number: the ids under which it was shown.
    ids: BTreeMap<u32, BTreeSet<String>>,
    acknowledged: BTreeSet<String>,
    again: u32,
    after_acknowledgement: u32,
}

impl Shown {
    /// Reads what is there, and acknowledges it.
    async fn read(&mut self, client: &Client) -> Result<usize, Failure> {
        let page = numbered(client, KIND, Some(1)).await?;
        for (number, message) in &page {
            if self.acknowledged.contains(&message.id) {
                self.after_acknowledgement += 1;
            }
            let ids = self.ids.entry(*number).or_default();
            self.again += u32::from(!ids.insert(message.id.clone()));
        }
        let ids: Vec<_> = page.iter().map(|(_, message)| message.id.clone()).collect();
        if !ids.is_empty() {
            client.acknowledge(ids.clone()).await?;
            self.acknowledged.extend(ids);
        }
        Ok(page.len())
    }
}

/// Many small messages from all others to one node, which is killed midway and started again.
pub(super) async fn flood(teller: &Teller, nodes: &mut [Member], victim: usize, messages: u32) -> Result<(), Failure> {
    let clock = teller.clock();
    let mut shown = Shown::default();
    send(nodes, victim, 0..messages / 2).await?;
    let client = nodes[victim].client().await?;
    let name = nodes[victim].name;
    let limit = Instant::now() + ARRIVAL_LIMIT;
    while shown.ids.len() < (messages / 4) as usize {
        shown.read(&client).await?;
        if Instant::now() > limit {
            return Err(broken(format!("{name} was shown only {} messages", shown.ids.len())));
        }
    }
    nodes[victim].kill().await?;
    teller.tell(
        clock,
        &format!("{name} has read {} of {messages} small messages, and is killed (SIGKILL)", shown.ids.len()),
    )?;

    let clock = teller.clock();
    send(nodes, victim, messages / 2..messages).await?;
    teller.tell(clock, &format!("the others accept {} more for {name}, who is away", messages - messages / 2))?;

    let clock = teller.clock();
    nodes[victim].restart().await?;
    teller.tell(clock, &format!("{name} is started again"))?;
    let clock = teller.clock();
    let client = nodes[victim].client().await?;
    let limit = Instant::now() + ARRIVAL_LIMIT;
    while shown.ids.len() < messages as usize {
        shown.read(&client).await?;
        if Instant::now() > limit {
            return Err(broken(format!("{name} was shown only {} of {messages} messages", shown.ids.len())));
        }
    }
    teller.tell(clock, &format!("{name} has read all {messages}"))?;

    let clock = teller.clock();
    for node in nodes.iter() {
        until(Duration::from_secs(30), &format!("{} knows that all is read", node.name), async || {
            let counters = node.client().await?.node().await?.counters;
            Ok(counters.outbox_messages == 0 && (node.name == name || counters.acknowledged >= counters.accepted))
        })
        .await?;
    }
    let known = clock.elapsed();
    let left = shown.read(&client).await?;
    verdict(&shown, messages, left)?;
    teller.tell_after(
        known,
        &format!("every sender knows it; shown again before their acknowledgement: {}, after it: none", shown.again),
    )
}

/// Sends numbers from all nodes but one, in turn.
async fn send(nodes: &[Member], to: usize, numbers: std::ops::Range<u32>) -> Result<(), Failure> {
    let senders: Vec<_> = (0..nodes.len()).filter(|index| *index != to).collect();
    let mut clients = Vec::new();
    for sender in &senders {
        clients.push(nodes[*sender].client().await?);
    }
    let mut turn = 0;
    let mut next = numbers.start;
    while next < numbers.end {
        let end = (next + BATCH).min(numbers.end);
        let message = |number: u32| SendRequest {
            to: nodes[to].peer.clone(),
            payload: Some(number.to_string()),
            kind: Some(KIND.to_owned()),
            idempotency_key: Some(format!("demo-{number}")),
            ..SendRequest::default()
        };
        let batch = BatchRequest { messages: (next..end).map(message).collect() };
        let results = clients[turn % clients.len()].send_batch(&batch).await?.results;
        if let Some(SendResult::Refused { error }) =
            results.into_iter().find(|result| matches!(result, SendResult::Refused { .. }))
        {
            return Err(error.into());
        }
        turn += 1;
        next = end;
    }
    Ok(())
}

fn verdict(shown: &Shown, messages: u32, left: usize) -> Result<(), Failure> {
    let missing = (0..messages).filter(|number| !shown.ids.contains_key(number)).count();
    let doubled = shown.ids.values().filter(|ids| ids.len() > 1).count();
    if missing + doubled + left > 0 || shown.after_acknowledgement > 0 {
        return Err(broken(format!(
            "lost {missing}, under two ids {doubled}, shown after their acknowledgement {}",
            shown.after_acknowledgement as usize + left
        )));
    }
    Ok(())
}
