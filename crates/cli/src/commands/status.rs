//! `tidings status`.

use tidings_api::types::{Exit, NodeInfo, NodeState};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{Style, harmless_line};

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        let node = client.node().await?;
        if context.is_json() {
            context.print_json(&node)?;
            return Ok(Exit::Done);
        }
        let peers = client.peers().await?.peers;
        let neighbours = peers.iter().filter(|peer| !peer.links.is_empty()).count();
        let reachable = peers.iter().filter(|peer| peer.route.is_some()).count();
        context.print(&node, |out| human(out, context.style(), &node, (neighbours, reachable)))?;
        Ok(Exit::Done)
    })
}

fn human(out: &mut String, style: Style, node: &NodeInfo, (neighbours, reachable): (usize, usize)) {
    let state = match node.state {
        NodeState::Active => style.good("active"),
        NodeState::Degraded => style.bad("degraded"),
        other @ (NodeState::Starting | NodeState::Paused | NodeState::Stopping | _) => style.warning(other.name()),
    };
    let name = style.bold(&harmless_line(&node.name));
    let up = duration::rough(node.uptime_seconds);
    out.push_str(&format!("{name} is {state}, up {up}\n"));
    for reason in &node.reasons {
        out.push_str(&format!("  {}\n", harmless_line(reason)));
    }
    let counters = &node.counters;
    let rows = [
        ("peer id", node.peer_id.clone()),
        ("neighbours", format!("{neighbours}, {reachable} nodes can be reached")),
        ("topology", node.topology.name().to_owned()),
        (
            "sent",
            format!(
                "{} accepted, {} delivered, {} acknowledged, {} ended undelivered",
                counters.accepted, counters.delivered, counters.acknowledged, counters.ended
            ),
        ),
        ("received", counters.received.to_string()),
        ("outbox", format!("{} messages, {} bytes", counters.outbox_messages, counters.outbox_bytes)),
        ("inbox", format!("{} messages", counters.inbox_messages)),
    ];
    for (label, value) in rows {
        out.push_str(&format!("  {label:<11} {value}\n"));
    }
}
