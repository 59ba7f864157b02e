//! `tidings peers`.

use clap::{Args, Subcommand};
use tidings_api::types::{Direction, Exit, Peer, PeerQuery};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Style, harmless_line};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only peers that tell this label about themselves
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
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
                let query = PeerQuery { label: arguments.label };
                let peers = client.peers_with(&query).await?;
                context.print(&peers, |out| human(out, context.style(), &peers.peers, &query))?;
            }
        }
        Ok(Exit::Done)
    })
}

fn human(out: &mut String, style: Style, peers: &[Peer], query: &PeerQuery) {
    if peers.is_empty() {
        out.push_str(match query.label {
            Some(_) => "nobody who can be reached tells this label about itself\n",
            None => "no peers known yet; on one network nodes find each other within seconds\n",
        });
        return;
    }
    let rows: Vec<Vec<String>> = peers.iter().flat_map(rows).collect();
    let headings = ["NAME", "PEER ID", "HOPS", "LINK", "ROUND TRIP", "ADDRESS", "LABELS"];
    output::table(out, style, &headings, &rows);
}

/// One row for each link, or one for a peer without.
fn rows(peer: &Peer) -> Vec<Vec<String>> {
    let name = match &peer.contact {
        Some(contact) => harmless_line(contact),
        None if peer.name.is_empty() => "-".to_owned(),
        None => format!("{} (unverified)", harmless_line(&peer.name)),
    };
    let hops = peer.route.as_ref().map_or_else(|| "-".to_owned(), |route| route.hops.to_string());
    let labels: Vec<String> = peer.labels.iter().map(|(key, value)| harmless_line(&format!("{key}={value}"))).collect();
    let row = |link: String, time: String, address: &str| {
        let address = harmless_line(address);
        vec![name.clone(), peer.peer_id.clone(), hops.clone(), link, time, address, labels.join(", ")]
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
