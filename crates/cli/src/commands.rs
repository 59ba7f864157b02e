//! The commands.

mod completions;
mod contacts;
mod demo;
mod doctor;
mod id;
mod inbox;
mod invite;
mod join;
mod labels;
mod network;
mod outbox;
mod peers;
mod receive;
mod routes;
mod run;
mod send;
mod status;
mod stop;
mod topology;
mod trace;
mod version;

use clap::Subcommand;
use tidings_api::types::Exit;

use crate::context::Context;
use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node in the foreground, creating identity and database on first use
    Run(run::Arguments),
    /// Stop the node
    Stop,
    /// Start real nodes on this machine, send messages, kill one: proof that nothing gets lost
    Demo(demo::Arguments),
    /// Show name, peer id, addresses and safety-number fingerprint
    Id,
    /// Make an invite: a link and a QR code that add somebody as a contact
    Invite(invite::Arguments),
    /// Use an invite: add each other as contacts and connect
    Join(join::Arguments),
    /// Send a message
    Send(send::Arguments),
    /// Print what arrives, and acknowledge what was printed
    Receive(receive::Arguments),
    /// Show how the node is
    Status,
    /// Show peers and links, or dial an address
    Peers(peers::Arguments),
    /// Show who can be reached, over how many hops and by way of whom
    Routes,
    /// Show the network as this node knows it, or lay links in another shape
    Topology(topology::Arguments),
    /// Show figures of the network: size, paths, hotspots, delivery, latency
    Network,
    /// Show what this node tells everybody about itself, or tell something else
    Labels(labels::Arguments),
    /// List, verify, rename and remove contacts
    Contacts(contacts::Arguments),
    /// Show what was sent and is not done; cancel or retry a message
    Outbox(outbox::Arguments),
    /// Show what has arrived and is not acknowledged
    Inbox(inbox::Arguments),
    /// Show the timeline of one message
    Trace(trace::Arguments),
    /// Find out what keeps a node from working; works without a running node
    Doctor,
    /// Print a script that completes commands in a shell
    Completions(completions::Arguments),
    /// Show the version
    Version,
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Run(arguments) => run::run(context, arguments),
            Self::Stop => stop::run(context),
            Self::Demo(arguments) => demo::run(context, &arguments),
            Self::Id => id::run(context),
            Self::Invite(arguments) => invite::run(context, &arguments),
            Self::Join(arguments) => join::run(context, arguments),
            Self::Send(arguments) => send::run(context, arguments),
            Self::Receive(arguments) => receive::run(context, &arguments),
            Self::Status => status::run(context),
            Self::Peers(arguments) => peers::run(context, arguments),
            Self::Routes => routes::run(context),
            Self::Topology(arguments) => topology::run(context, &arguments),
            Self::Network => network::run(context),
            Self::Labels(arguments) => labels::run(context, arguments),
            Self::Contacts(arguments) => contacts::run(context, arguments),
            Self::Outbox(arguments) => outbox::run(context, arguments),
            Self::Inbox(arguments) => inbox::run(context, arguments),
            Self::Trace(arguments) => trace::run(context, &arguments),
            Self::Doctor => doctor::run(context),
            Self::Completions(arguments) => completions::run(&arguments),
            Self::Version => version::run(context),
        }
    }
}
