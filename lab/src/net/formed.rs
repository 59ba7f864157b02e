//! How long it takes real nodes until all reach all, seen through their API.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use tidings_api::client::Client;
use tokio::time::sleep;

/// How often a node that is not ready yet is asked. The times are right to this.
const LOOK: Duration = Duration::from_millis(20);
/// Nobody is asked any longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A node, and how many neighbours it is to have.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) directory: PathBuf,
    pub(super) neighbours: usize,
}

/// When the last node had its links, and when the last one had a way to everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formed {
    pub(super) linked: Duration,
    pub(super) whole: Duration,
}

/// Waits until everybody has a way to everybody; `None` if that does not come about in time.
pub(super) async fn watch(members: Vec<Member>, began: Instant) -> Result<Option<Formed>> {
    let others = members.len() - 1;
    let all = try_join_all(members.into_iter().map(|member| watch_one(member, others, began))).await?;
    let times: Option<Vec<_>> = all.into_iter().collect();
    Ok(times.and_then(|times| {
        let linked = times.iter().map(|formed| formed.linked).max()?;
        let whole = times.iter().map(|formed| formed.whole).max()?;
        Some(Formed { linked, whole })
    }))
}

async fn watch_one(member: Member, others: usize, began: Instant) -> Result<Option<Formed>> {
    let client = Client::connect(&member.directory).await?;
    let mut linked = None;
    while began.elapsed() < LIMIT {
        // A fault may have taken the node; then there is nothing to measure.
        let Ok(list) = client.peers().await else { return Ok(None) };
        let neighbours = list.peers.iter().filter(|peer| !peer.links.is_empty()).count();
        if neighbours >= member.neighbours && linked.is_none() {
            linked = Some(began.elapsed());
        }
        let reached = list.peers.iter().filter(|peer| peer.route.is_some()).count();
        if let (Some(linked), true) = (linked, reached >= others) {
            return Ok(Some(Formed { linked, whole: began.elapsed() }));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}
