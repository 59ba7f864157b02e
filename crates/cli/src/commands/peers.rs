//! `tidings peers`.

use clap::{Args, Subcommand};
use tidings_api::types::{Direction, Exit, Peer};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Style, harmless_line};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Dial an address, and stay linked to whoever is there
    Add {
        /// A multiaddr, for example /ip4/192.0.2.1/udp/4001/quic-v1
        address: String,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        match arguments.action {
            Some(Action::Add { address }) => {
                output::remark("connecting …");
                let dialled = client.dial(&address).await?;
                context.print(&dialled, |out| {
                    out.push_str(&format!("connected to {} over {}\n", dialled.peer_id, dialled.link.kind));
                })?;
            }
            None => {
                let peers = client.peers().await?;
                context.print(&peers, |out| human(out, context.style(), &peers.peers))?;
            }
        }
        Ok(Exit::Done)
    })
}

fn human(out: &mut String, style: Style, peers: &[Peer]) {
    if peers.is_empty() {
        out.push_str("no peers known yet; on one network nodes find each other within seconds\n");
        return;
    }
    let rows: Vec<Vec<String>> = peers.iter().flat_map(rows).collect();
    let headings = ["NAME", "PEER ID", "LINK", "ROUND TRIP", "ADDRESS"];
    output::table(out, style, &headings, &rows);
}

/// One row for each link, or one for a peer without.
fn rows(peer: &Peer) -> Vec<Vec<String>> {
    let name = match &peer.contact {
        Some(contact) => harmless_line(contact),
        None if peer.name.is_empty() => "-".to_owned(),
        None => format!("{} (unverified)", harmless_line(&peer.name)),
    };
    let row = |link: String, time: String, address: &str| {
        let address = harmless_line(address);
        vec![name.clone(), peer.peer_id.clone(), link, time, address]
    };
    if peer.links.is_empty() {
        let address = peer.addresses.first().map_or("-", String::as_str);
        return vec![row("none".to_owned(), "-".to_owned(), address)];
    }
    peer.links
        .iter()
        .map(|link| {
            let arrow = match link.direction {
                Direction::Inbound => "in",
                Direction::Outbound => "out",
            };
            let suspect = if link.suspect { ", silent" } else { "" };
            let time = link.round_trip_seconds.map(duration::measured);
            row(format!("{} {arrow}{suspect}", link.kind), time.unwrap_or_else(|| "-".to_owned()), &link.address)
        })
        .collect()
}
