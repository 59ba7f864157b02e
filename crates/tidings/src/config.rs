//! How a node is configured, and where each value came from.
//!
//! Flags beat the environment (`TIDINGS_*`), which beats the file `config.toml`, which beats the profile, which
//! beats the defaults. [`Config::layers`] puts them together and keeps the source of every value.

mod address;
mod layers;
mod profile;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tidings_core::links::Address;
use tidings_core::topology::Kind;

use crate::labels::Labels;

pub use layers::{ConfigError, Layer, Settings};
pub use profile::{Preset, Profile};

pub(crate) use address::{check_dial, check_listen};

/// The longest name of a node, in bytes; it travels in every hello.
pub const MAX_NODE_NAME_BYTES: usize = 64;
/// Where the HTTP interface listens unless told otherwise.
pub const DEFAULT_API: &str = "127.0.0.1:7420";
/// The log filter unless told otherwise.
pub const DEFAULT_LOG: &str = "warn";
/// Where a node listens unless told otherwise: QUIC and TCP on all interfaces. Port 0 stands for one that is
/// chosen at the first start and kept.
pub const DEFAULT_ADDRESSES: [&str; 4] =
    ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip6/::/udp/0/quic-v1", "/ip6/::/tcp/0"];

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What the node calls itself, at most [`MAX_NODE_NAME_BYTES`]; told to neighbours and on the LAN. Default:
    /// the host name.
    pub name: String,
    /// Where it listens; empty stands for [`DEFAULT_ADDRESSES`], of which those the machine cannot open are left
    /// out.
    pub addresses: Vec<Address>,
    /// Nodes to dial at start and to stay linked to.
    pub bootstrap: Vec<Address>,
    /// Whom it dials.
    pub dialling: Dialling,
    /// Whether it looks for nodes on the local network and lets itself be found there.
    pub mdns: Switch,
    /// Whether its card is put into the DHT, and peers that nothing else leads to are looked for there.
    pub dht: Switch,
    /// How much energy and data it may spend.
    pub profile: Profile,
    /// In which shape it lays its links.
    pub topology: Kind,
    /// What it tells everybody about itself.
    pub labels: Labels,
    /// Where the HTTP interface listens. Read by whoever serves it.
    pub api: ApiAddress,
    /// Which log lines are written, as `tracing-subscriber` filters. Read by whoever writes them.
    pub log: String,
    /// Origins beside its own that browsers may call the HTTP interface from. Read by whoever serves it.
    pub allow_origin: Vec<String>,
    layers: Vec<(&'static str, Layer)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: host_name(),
            addresses: Vec::new(),
            bootstrap: Vec::new(),
            dialling: Dialling::Anybody,
            mdns: Switch::On,
            dht: Switch::On,
            profile: Profile::default(),
            topology: Kind::default(),
            labels: Labels::default(),
            api: ApiAddress::default(),
            log: DEFAULT_LOG.to_owned(),
            allow_origin: Vec::new(),
            layers: Vec::new(),
        }
    }
}

/// Whether something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// Whom a node dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialling {
    /// Whoever it finds.
    Anybody,
    /// Bootstrap addresses and what the application names; links that others open are taken.
    Named,
}

impl Dialling {
    /// Whether those are dialled whom nobody has named.
    pub(crate) fn others(self) -> Switch {
        match self {
            Self::Anybody => Switch::On,
            Self::Named => Switch::Off,
        }
    }
}

/// Where the HTTP interface listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiAddress {
    /// Nowhere.
    Off,
    /// Here, or at the next free port if this one is busy.
    At(SocketAddr),
}

impl Default for ApiAddress {
    fn default() -> Self {
        Self::At(SocketAddr::from(([127, 0, 0, 1], 7420)))
    }
}

impl fmt::Display for ApiAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl FromStr for ApiAddress {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// The machine's name, cut to [`MAX_NODE_NAME_BYTES`].
fn host_name() -> String {
    let name = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .chain(std::env::var("HOSTNAME"))
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "tidings".to_owned());
    cut(&name, MAX_NODE_NAME_BYTES).to_owned()
}

/// The longest beginning of `text` that has at most `max` bytes and ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let end = text
        .char_indices()
        .map(|(start, character)| start + character.len_utf8())
        .take_while(|end| *end <= max)
        .last()
        .unwrap_or(0);
    &text[..end]
}
