//! What the demo does, and how it tells it.

use std::time::{Duration, Instant};

use tidings_api::client::Client;
use tidings_api::types::{InboxQuery, ReceivedMessage};

use super::member::{Member, broken};
use crate::failure::Failure;
use crate::output::{self, Style};

/// How long nodes may take to find everybody.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

/// Prints a line for each thing that has happened.
pub(super) struct Teller {
    style: Style,
    start: Instant,
}

impl Teller {
    pub(super) fn new(style: Style) -> Self {
        Self { style, start: Instant::now() }
    }

    pub(super) fn clock(&self) -> Instant {
        Instant::now()
    }

    /// Tells something that took since `clock`.
    pub(super) fn tell(&self, clock: Instant, line: &str) -> Result<(), Failure> {
        self.tell_after(clock.elapsed(), line)
    }

    pub(super) fn tell_after(&self, took: Duration, line: &str) -> Result<(), Failure> {
        let took = format!("{:>8.0} ms", took.as_secs_f64() * 1e3);
        output::write(&format!("{}  {line}\n", self.style.dim(&took)))
    }

    pub(super) fn note(&self, line: &str) -> Result<(), Failure> {
        output::write(&format!("             {line}\n"))
    }

    pub(super) fn done(&self) -> Result<(), Failure> {
        let line = format!("everything arrived exactly once, in {:.1} s", self.start.elapsed().as_secs_f64());
        output::write(&format!("\n{}\n", self.style.good(&line)))
    }
}

/// Asks again until something holds.
pub(super) async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    while !holds().await? {
        if start.elapsed() > limit {
            return Err(broken(format!("after {} s still waiting until {what}", limit.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until each node has a way to every other.
pub(super) async fn joined(nodes: &[Member]) -> Result<(), Failure> {
    for node in nodes {
        until(JOIN_LIMIT, &format!("{} reaches everybody", node.name), async || {
            let routes = node.client().await?.routes().await?.routes;
            let others = nodes.iter().filter(|other| other.peer != node.peer);
            Ok(others.into_iter().all(|other| routes.iter().any(|route| route.peer_id == other.peer)))
        })
        .await?;
    }
    Ok(())
}

/// What has arrived of messages of one kind that carry a number, each with its number.
pub(super) async fn numbered(
    client: &Client,
    kind: &str,
    wait_seconds: Option<u64>,
) -> Result<Vec<(u32, ReceivedMessage)>, Failure> {
    let query = InboxQuery { limit: Some(1000), kind: Some(kind.to_owned()), wait_seconds };
    let with_number = |message: ReceivedMessage| {
        let number = message.content.payload.as_deref().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| broken("a message arrived that nobody sent".to_owned()))?;
        Ok((number, message))
    };
    client.inbox(&query).await?.messages.into_iter().map(with_number).collect()
}

/// A first message, from somebody who has never met the recipient.
pub(super) async fn text(teller: &Teller, nodes: &[Member], ends: (usize, usize)) -> Result<(), Failure> {
    let (from, to) = (&nodes[ends.0], &nodes[ends.1]);
    let clock = teller.clock();
    from.command(&["send", &to.peer, "good morning", "--wait", "delivered", "--timeout", "20s"], b"").await?;
    let delivered = clock.elapsed();
    let clock = teller.clock();
    let shown = to.command(&["receive", "--count", "1", "--json"], b"").await?;
    let read = clock.elapsed();
    let message: ReceivedMessage =
        serde_json::from_str(&shown).map_err(|_| broken(format!("{} was shown {shown}", to.name)))?;
    if message.content.payload.as_deref() != Some("good morning") {
        return Err(broken(format!("{} was shown {shown}", to.name)));
    }
    let line = format!("{} → {}: a first message, on {}'s disk, {}", from.name, to.name, to.name, over(message.hops));
    teller.tell_after(delivered, &line)?;
    teller.tell_after(read, &format!("{} reads it and acknowledges", to.name))
}

fn over(hops: u32) -> String {
    if hops == 1 { "over one link".to_owned() } else { format!("over {hops} links") }
}

/// A file from stdin, in parts.
pub(super) async fn file(teller: &Teller, nodes: &[Member], ends: (usize, usize)) -> Result<(), Failure> {
    let (from, to) = (&nodes[ends.1], &nodes[ends.0]);
    let content: Vec<u8> = (0..600_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let clock = teller.clock();
    from.command(&["send", &to.peer, "--kind", "file", "--wait", "delivered", "--timeout", "30s"], &content).await?;
    let client = to.client().await?;
    let query = InboxQuery { kind: Some("file".to_owned()), wait_seconds: Some(10), ..InboxQuery::default() };
    let page = client.inbox(&query).await?.messages;
    let [message] = &page[..] else {
        return Err(broken(format!("{} was shown {} files instead of one", to.name, page.len())));
    };
    if message.content.to_bytes().ok().as_deref() != Some(&content[..]) {
        return Err(broken("the file arrived damaged".to_owned()));
    }
    client.acknowledge(vec![message.id.clone()]).await?;
    teller.tell(
        clock,
        &format!(
            "{} → {}: a file of {} kB from stdin, byte for byte, {}",
            from.name,
            to.name,
            content.len() / 1000,
            over(message.hops)
        ),
    )
}
