//! `tidings demo`: a real mesh of node processes on this machine, and proof that nothing gets lost in it.

mod detour;
mod flood;
mod member;
mod story;
mod wiring;

use clap::Args;
use tidings_api::types::Exit;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use member::Member;
use wiring::{Plan, Wiring};

/// Start a real mesh of nodes here, send messages over several hops, kill nodes, and prove that everything arrived
/// exactly once
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many nodes, 3 to 8; a line has one more beside its middle, as a by-pass
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=8))]
    nodes: u8,
    /// Who is linked to whom
    #[arg(long, value_enum, default_value_t = Wiring::Line)]
    wiring: Wiring,
    /// How many small messages are sent
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    messages: u32,
    /// Leave the nodes running until Ctrl-C, and their directories in place
    #[arg(long)]
    keep: bool,
}

const NAMES: [&str; 9] = ["anna", "ben", "carla", "daniel", "emma", "felix", "greta", "hugo", "ida"];

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let root = tempfile::Builder::new()
            .prefix("tidings-demo-")
            .tempdir()
            .map_err(|error| member::broken(format!("there is no room for the nodes' directories: {error}")))?;
        let mut terminated = signal(SignalKind::terminate())
            .map_err(|error| member::broken(format!("signals cannot be received: {error}")))?;
        let interrupted = || Failure::new(Exit::Other, "the demo was interrupted; its nodes are gone");
        // Whatever ends the story drops the nodes, and their processes with them.
        let told = tokio::select! {
            told = story(context, arguments, root.path()) => told,
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
            _ = terminated.recv() => Err(interrupted()),
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
    let plan = Plan::new(arguments.wiring, usize::from(arguments.nodes));
    let mut nodes = start(&teller, &plan, root).await?;
    story::text(&teller, &nodes, plan.ends).await?;
    story::file(&teller, &nodes, plan.ends).await?;
    detour::detour(&teller, &mut nodes, &plan).await?;
    flood::flood(&teller, &mut nodes, plan.ends.1, arguments.messages).await?;
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

async fn start(teller: &story::Teller, plan: &Plan, root: &std::path::Path) -> Result<Vec<Member>, Failure> {
    let clock = teller.clock();
    let mut nodes: Vec<Member> = Vec::new();
    for (place, name) in NAMES.iter().take(plan.nodes).enumerate() {
        let dialled = plan.dialled_by(place).filter_map(|other| nodes.get(other));
        let bootstrap = dialled.filter_map(|node| node.addresses.first().cloned()).collect();
        nodes.push(Member::start(root, name, bootstrap).await?);
    }
    let started = clock.elapsed();
    let clock = teller.clock();
    story::joined(&nodes).await?;
    let reached = clock.elapsed();
    let links: Vec<String> = plan.links.iter().map(|(a, b)| format!("{}–{}", nodes[*a].name, nodes[*b].name)).collect();
    teller.tell_after(started, &format!("{} node processes are up, linked {}", nodes.len(), links.join(", ")))?;
    teller.tell_after(reached, "until each reaches every other, over as many links as it takes")?;
    Ok(nodes)
}
