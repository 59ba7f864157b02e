//! `tidings topology`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use tidings_api::types::{Exit, Topology, TopologyKind};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Style, harmless_line};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lay links in another shape from now on, until the node ends
    Set {
        /// The shape
        #[arg(value_enum)]
        kind: Kind,
    },
}

/// The shape of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A random, nearly regular graph
    Mesh,
    /// Successors by key, with chords across
    Ring,
    /// A few hubs that form a mesh; everybody else holds two of them
    Hierarchical,
    /// One centre, or as few as can serve everybody
    Star,
    /// Whichever of the others suits size, churn, loss and power
    Adaptive,
}

impl Kind {
    pub(super) const fn kind(self) -> TopologyKind {
        match self {
            Self::Mesh => TopologyKind::Mesh,
            Self::Ring => TopologyKind::Ring,
            Self::Hierarchical => TopologyKind::Hierarchical,
            Self::Star => TopologyKind::Star,
            Self::Adaptive => TopologyKind::Adaptive,
        }
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        match arguments.action {
            Some(Action::Set { kind }) => {
                let topology = client.set_topology(kind.kind()).await?;
                context.print(&topology, |out| heading(out, context.style(), &topology))?;
            }
            None => {
                let topology = client.topology().await?;
                context.print(&topology, |out| human(out, context.style(), &topology))?;
            }
        }
        Ok(Exit::Done)
    })
}

fn heading(out: &mut String, style: Style, topology: &Topology) {
    let kind = style.bold(topology.kind.name());
    if topology.kind == topology.shape {
        out.push_str(&format!("links are laid as {kind}\n"));
    } else {
        out.push_str(&format!("links are laid as {} ({kind})\n", topology.shape.name()));
    }
    if !topology.reason.is_empty() {
        out.push_str(&format!("  {}\n", harmless_line(&topology.reason)));
    }
}

fn human(out: &mut String, style: Style, topology: &Topology) {
    heading(out, style, topology);
    let reachable = topology.nodes.iter().filter(|node| node.reachable).count();
    out.push_str(&format!(
        "{reachable} of {} nodes can be reached; links known: {}\n\n",
        topology.nodes.len(),
        topology.links.len()
    ));
    let neighbours = neighbours(topology);
    let rows: Vec<Vec<String>> = topology
        .nodes
        .iter()
        .enumerate()
        .map(|(place, node)| {
            let known = neighbours.get(node.peer_id.as_str()).map(Vec::as_slice).unwrap_or_default();
            vec![
                called(&node.name, &node.peer_id),
                node.peer_id.clone(),
                match (place, node.reachable) {
                    (0, _) => "this node",
                    (_, true) => "reachable",
                    (_, false) => "lost",
                }
                .to_owned(),
                node.degree.map_or_else(|| "-".to_owned(), |degree| degree.to_string()),
                if known.is_empty() { "-".to_owned() } else { known.join(", ") },
            ]
        })
        .collect();
    output::table(out, style, &["NAME", "PEER ID", "STATE", "LINKS", "KNOWN LINKS TO"], &rows);
}

/// By peer id, what its neighbours are called, in order.
fn neighbours(topology: &Topology) -> BTreeMap<&str, Vec<String>> {
    let names: BTreeMap<&str, String> =
        topology.nodes.iter().map(|node| (node.peer_id.as_str(), called(&node.name, &node.peer_id))).collect();
    let mut neighbours: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for [one, other] in &topology.links {
        for (from, to) in [(one, other), (other, one)] {
            neighbours.entry(from).or_default().extend(names.get(to.as_str()).cloned());
        }
    }
    for of_one in neighbours.values_mut() {
        of_one.sort_unstable();
    }
    neighbours
}

/// A name where there is one, else the end of the peer id, where ids differ.
fn called(name: &str, peer: &str) -> String {
    if name.is_empty() {
        let end = peer.chars().count().saturating_sub(6);
        return format!("…{}", peer.chars().skip(end).collect::<String>());
    }
    harmless_line(name)
}

#[cfg(test)]
mod tests {
    use tidings_api::types::TopologyNode;

    use super::*;

    #[test]
    fn each_node_shows_its_state_its_links_and_those_that_are_known() {
        let node = |peer: &str, name: &str, reachable, degree| TopologyNode {
            peer_id: peer.to_owned(),
            name: name.to_owned(),
            reachable,
            degree,
        };
        let topology = Topology {
            kind: TopologyKind::Adaptive,
            shape: TopologyKind::Mesh,
            reason: "3 nodes".to_owned(),
            nodes: vec![
                node("A", "anna", true, Some(1)),
                node("123456B", "", true, Some(2)),
                node("C", "carla", false, None),
            ],
            links: vec![["A".to_owned(), "123456B".to_owned()]],
        };
        let mut out = String::new();
        human(&mut out, Style::Plain, &topology);
        let expected = "links are laid as mesh (adaptive)\n\
                        \x20 3 nodes\n\
                        2 of 3 nodes can be reached; links known: 1\n\n\
                        NAME     PEER ID  STATE      LINKS  KNOWN LINKS TO\n\
                        anna     A        this node  1      …23456B\n\
                        …23456B  123456B  reachable  2      anna\n\
                        carla    C        lost       -      -\n";
        assert_eq!(out, expected);
    }
}
