//! A node on the way is killed while messages pass it, and they go another way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tidings_api::client::Client;
use tidings_api::types::SendRequest;

use super::member::{Member, broken};
use super::story::{Teller, joined, numbered, until};
use super::wiring::Plan;
use crate::failure::Failure;

/// How often a message is sent meanwhile.
const INTERVAL: Duration = Duration::from_millis(10);
/// How many are sent before the node is killed, and how many have to arrive by the other way.
const EACH: u32 = 100;
/// How long the other way may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The kind of these messages.
const KIND: &str = "demo.probe";

/// What was sent, and what arrived.
#[derive(Default)]
struct Probes {
    sent: Vec<Instant>,
    /// By number: when it was shown first, and over how many links it came.
    shown: BTreeMap<u32, (Instant, u32)>,
    again: u32,
}

impl Probes {
    /// How many arrived of those that were sent after a moment.
    fn shown_after(&self, moment: Instant) -> usize {
        let first = self.sent.partition_point(|sent| *sent <= moment);
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        self.shown.range(first..).count()
    }

    /// The first that arrived of those that were sent after a moment.
    fn first_after(&self, moment: Instant) -> Option<(Instant, u32)> {
        let first = self.sent.partition_point(|sent| *sent <= moment);
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        self.shown.range(first..).map(|(_, shown)| *shown).min()
    }

    /// The longest time in which nothing arrived.
    fn longest_silence(&self) -> Duration {
        let mut times: Vec<Instant> = self.shown.values().map(|(at, _)| *at).collect();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    async fn send(&mut self, from: &Client, to: &str) -> Result<(), Failure> {
        let number = self.sent.len();
        let request =
            SendRequest { kind: Some(KIND.to_owned()), ..SendRequest::new(to, number.to_string().as_bytes()) };
        self.sent.push(Instant::now());
        from.send(&request, &format!("probe-{number}")).await?;
        Ok(())
    }

    /// Takes what has arrived, and acknowledges it.
    async fn read(&mut self, client: &Client) -> Result<(), Failure> {
        let page = numbered(client, KIND, None).await?;
        let now = Instant::now();
        for (number, message) in &page {
            self.again += u32::from(self.shown.insert(*number, (now, message.hops)).is_some());
        }
        if !page.is_empty() {
            client.acknowledge(page.into_iter().map(|(_, message)| message.id).collect()).await?;
        }
        Ok(())
    }
}

/// Who has a message from one node to another, one after the other, by the routes that they have now.
pub(super) async fn way(nodes: &[Member], (from, to): (usize, usize)) -> Result<Vec<usize>, Failure> {
    let mut way = vec![from];
    let mut seen = BTreeSet::from([from]);
    let mut at = from;
    while at != to {
        let routes = nodes[at].client().await?.routes().await?.routes;
        let next = routes.iter().find(|route| route.peer_id == nodes[to].peer).map(|route| route.next_hop.clone());
        let next = next.and_then(|peer| nodes.iter().position(|node| node.peer == peer));
        at = next.filter(|next| seen.insert(*next)).ok_or_else(|| {
            broken(format!(
                "no way leads from {} to {}, but {} was reached",
                nodes[from].name, nodes[to].name, nodes[at].name
            ))
        })?;
        way.push(at);
    }
    Ok(way)
}

/// Kills a node on the way and measures how long messages take to find another.
pub(super) async fn detour(teller: &Teller, nodes: &mut [Member], plan: &Plan) -> Result<(), Failure> {
    let before = way(nodes, plan.ends).await?;
    let Some(victim) = plan.spare(&before) else {
        return teller.note("in this wiring no node is on the way that could be gone round; none is killed on it");
    };
    let (from, to) = (nodes[plan.ends.0].client().await?, nodes[plan.ends.1].client().await?);
    let recipient = nodes[plan.ends.1].peer.clone();
    let mut probes = Probes::default();
    let mut ticks = tokio::time::interval(INTERVAL);
    for _ in 0..EACH {
        ticks.tick().await;
        probes.send(&from, &recipient).await?;
        probes.read(&to).await?;
    }
    let killed = Instant::now();
    nodes[victim].kill().await?;
    let dead = Instant::now();
    while probes.shown_after(dead) < EACH as usize {
        ticks.tick().await;
        probes.send(&from, &recipient).await?;
        probes.read(&to).await?;
        if dead.elapsed() > LIMIT {
            return Err(broken(format!(
                "{} s after {} was killed there is no other way",
                LIMIT.as_secs(),
                nodes[victim].name
            )));
        }
    }
    let after = way(nodes, plan.ends).await?;
    until(LIMIT, "every message that was on its way has arrived", async || {
        probes.read(&to).await?;
        Ok(probes.shown.len() == probes.sent.len())
    })
    .await?;
    tell(teller, nodes, plan, &probes, (victim, killed, dead), &after)?;
    back(teller, nodes, victim).await
}

fn tell(
    teller: &Teller,
    nodes: &[Member],
    plan: &Plan,
    probes: &Probes,
    (victim, killed, dead): (usize, Instant, Instant),
    after: &[usize],
) -> Result<(), Failure> {
    if probes.again > 0 {
        return Err(broken(format!("{} messages were shown again after they were acknowledged", probes.again)));
    }
    let names = |way: &[usize]| way.iter().map(|node| nodes[*node].name).collect::<Vec<_>>().join(" → ");
    let (name, from, to) = (nodes[victim].name, nodes[plan.ends.0].name, nodes[plan.ends.1].name);
    let (first, hops) = probes.first_after(dead).ok_or_else(|| broken("nothing went the other way".to_owned()))?;
    teller.note(&format!(
        "{name} is killed (SIGKILL) while {from} sends to {to} by way of it, every {} ms",
        INTERVAL.as_millis()
    ))?;
    teller.tell_after(
        first - killed,
        &format!("the mesh has healed: the first message sent after it has crossed {hops} links, {}", names(after)),
    )?;
    teller.note(&format!(
        "all {} messages arrived, none twice; the longest time without one was {} ms",
        probes.sent.len(),
        probes.longest_silence().as_millis()
    ))
}

/// Starts the node again and waits until it belongs to the mesh.
async fn back(teller: &Teller, nodes: &mut [Member], victim: usize) -> Result<(), Failure> {
    let clock = teller.clock();
    nodes[victim].restart().await?;
    joined(nodes).await?;
    teller.tell(clock, &format!("{} is started again, and each reaches every other", nodes[victim].name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healing_counts_from_the_first_message_that_was_sent_after() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut probes = Probes { sent: vec![at(0), at(10), at(20), at(30)], ..Probes::default() };
        probes.shown = BTreeMap::from([(0, (at(5), 4)), (1, (at(100), 4)), (3, (at(90), 3))]);
        // What was sent before and delayed says nothing of the other way.
        assert_eq!(probes.first_after(at(15)), Some((at(90), 3)));
        assert_eq!(probes.shown_after(at(15)), 1);
        assert_eq!(probes.first_after(at(30)), None);
        assert_eq!(probes.longest_silence(), Duration::from_millis(85));
    }
}
