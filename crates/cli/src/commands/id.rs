//! `tidings id`.

use serde::Serialize;
use tidings_api::types::Exit;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::harmless_line;

/// Who a node is.
#[derive(Debug, Serialize)]
struct Identity {
    name: String,
    peer_id: String,
    addresses: Vec<String>,
    fingerprint: String,
}

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let identity = context.block_on(async {
        let node = context.client().await?.node().await?;
        Ok(Identity {
            name: node.name,
            peer_id: node.peer_id,
            addresses: node.listen_addresses,
            fingerprint: node.fingerprint,
        })
    })?;
    context.print(&identity, |out| {
        let mut row = |label: &str, value: &str| {
            out.push_str(&format!("{label:<12} {value}\n"));
        };
        row("name", &harmless_line(&identity.name));
        row("peer id", &identity.peer_id);
        for (n, address) in identity.addresses.iter().enumerate() {
            row(if n == 0 { "address" } else { "" }, address);
        }
        row("fingerprint", &groups(&identity.fingerprint));
    })?;
    Ok(Exit::Done)
}

/// Digits in groups of five, as people read them out.
fn groups(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    let groups: Vec<String> = digits
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}
