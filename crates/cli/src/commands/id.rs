//! `tidings id`.

use serde::Serialize;
use tidings::config::Settings;
use tidings::{PlainWrapper, fingerprint, inspect};
use tidings_api::client::{Client, ClientError};

use tidings_api::types::Exit;

use super::run::configuration;
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
        match Client::connect(context.directory()).await {
            Ok(client) => {
                let node = client.node().await?;
                Ok(Identity {
                    name: node.name,
                    peer_id: node.peer_id,
                    addresses: node.listen_addresses,
                    fingerprint: node.fingerprint,
                })
            }
            Err(error @ ClientError::NoNode { .. }) => without_node(context, error),
            Err(error) => Err(error.into()),
        }
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

/// Reads the identity's file. A node that does not run has no addresses.
fn without_node(context: &Context, error: ClientError) -> Result<Identity, Failure> {
    let config = configuration(context.directory(), Settings::default())?;
    match inspect(context.directory(), &PlainWrapper).identity {
        Ok(Some(peer)) => Ok(Identity {
            name: config.name,
            peer_id: peer.to_string(),
            addresses: Vec::new(),
            fingerprint: fingerprint(&peer),
        }),
        Ok(None) => Err(error.into()),
        Err(sentence) => Err(Failure::new(Exit::Other, sentence)),
    }
}

/// Digits in groups of five, as people read them out.
fn groups(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    let groups: Vec<String> = digits.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}
