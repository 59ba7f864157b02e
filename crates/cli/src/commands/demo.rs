//! `tidings demo`: a real mesh of node processes on this machine, and proof that nothing gets lost in it.

mod member;
mod story;

use std::time::Duration;

use clap::{Args, ValueEnum};
use tidings_api::types::Exit;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use member::Member;

/// Start some real nodes here, send messages, kill one, and prove that everything arrived exactly once
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many nodes, 3 to 8
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=8))]
    nodes: u8,
    /// Who is linked to whom
    #[arg(long, value_enum, default_value_t = Wiring::Full)]
    wiring: Wiring,
    /// How many small messages are sent
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    messages: u32,
    /// Leave the nodes running until Ctrl-C, and their directories in place
    #[arg(long)]
    keep: bool,
}

/// Links between the nodes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wiring {
    /// Each with each
    Full,
}

const NAMES: [&str; 8] = ["anna", "ben", "carla", "daniel", "emma", "felix", "greta", "hugo"];

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let root = tempfile::Builder::new()
            .prefix("tidings-demo-")
            .tempdir()
            .map_err(|error| member::broken(format!("there is no room for the nodes' directories: {error}")))?;
        let told = tokio::select! {
            told = story(context, arguments, root.path()) => told,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Other, "the demo was interrupted; its nodes are gone")),
        };
        if arguments.keep {
            let kept = root.keep();
            output::remark(&format!("directories and logs stay in {}", kept.display()));
        }
        told.map(|()| Exit::Done)
    })
}

async fn story(context: &Context, arguments: &Arguments, root: &std::path::Path) -> Result<(), Failure> {
    let teller = story::Teller::new(context.style());
    let mut nodes = start(&teller, arguments, root).await?;
    story::text(&teller, &nodes).await?;
    story::file(&teller, &nodes).await?;
    story::flood(&teller, &mut nodes, arguments.messages).await?;
    teller.done()?;
    if arguments.keep {
        let example = format!("tidings send {} hello --dir {}", nodes[1].name, nodes[0].directory().display());
        teller.note(&format!("the nodes run until Ctrl-C; try: {example}"))?;
        std::future::pending::<()>().await;
    }
    for node in &mut nodes {
        node.stop().await?;
    }
    Ok(())
}

async fn start(teller: &story::Teller, arguments: &Arguments, root: &std::path::Path) -> Result<Vec<Member>, Failure> {
    let clock = teller.clock();
    let mut nodes: Vec<Member> = Vec::new();
    for name in NAMES.iter().take(usize::from(arguments.nodes)) {
        // Each node dials those before it: Full wiring.
        let bootstrap = match arguments.wiring {
            Wiring::Full => nodes.iter().filter_map(|node| node.addresses.first().cloned()).collect(),
        };
        nodes.push(Member::start(root, name, bootstrap).await?);
    }
    for node in &nodes {
        story::until(Duration::from_secs(20), &format!("{} finds its neighbours", node.name), async || {
            let peers = node.client().await?.peers().await?.peers;
            Ok(peers.iter().filter(|peer| !peer.links.is_empty()).count() + 1 == nodes.len())
        })
        .await?;
    }
    let links = nodes.len() * (nodes.len() - 1) / 2;
    let names: Vec<_> = nodes.iter().map(|node| node.name).collect();
    teller.tell(clock, &format!("{} node processes with {links} links: {}", nodes.len(), names.join(", ")))?;
    Ok(nodes)
}
