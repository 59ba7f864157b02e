//! How links behave, and what is counted about them.

use std::time::Duration;

/// How links behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What this node calls itself to neighbours, at most 64 bytes.
    pub name: String,
    /// Abilities told in the hello, at most 16 of at most 32 bytes.
    pub capabilities: Vec<String>,
    /// Silence after which an idle link is probed. Shorter finds dead neighbours sooner, each probe wakes two
    /// radios; two frames of 15 bytes per interval.
    pub idle_interval: Duration,
    /// Links beyond which strangers are refused and the local network is not dialled; twice as many are the
    /// limit for everybody. A link holds at most the bounds of spec §9, about 12.4 MiB, while both directions
    /// are full.
    pub max_links: usize,
    /// Links up to which everybody on the local network is dialled; beyond it only those that somebody wants.
    pub nearby_links: usize,
    /// Dials under way at once. A dial that hangs costs the runtime a socket for its timeout.
    pub max_dials: usize,
    /// Dial only addresses that a person gave.
    pub no_dial: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            capabilities: Vec::new(),
            idle_interval: Duration::from_secs(20),
            max_links: 128,
            nearby_links: 3,
            max_dials: 32,
            no_dial: false,
        }
    }
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Links that are open now.
    pub links: u64,
    /// Peers that can be sent to now.
    pub neighbours: u64,
    /// Dials begun.
    pub dials: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Bytes read from links.
    pub bytes_in: u64,
    /// Bytes handed to links.
    pub bytes_out: u64,
    /// Parcels handed to a link to their last byte.
    pub parcels_sent: u64,
    /// Parcels that went to another link because theirs ended or fell silent.
    pub parcels_moved: u64,
    /// Parcels that no link carries any more.
    pub parcels_lost: u64,
    /// Frames that answer somebody, and found their link's queue full.
    pub frames_dropped: u64,
    /// Whole parcels read.
    pub parcels_received: u64,
    /// Times a link fell silent.
    pub suspects: u64,
    /// Links closed because another one of the same peer stays.
    pub replaced: u64,
    /// Links refused because another holder of the same key answers.
    pub second_holders: u64,
    /// Links refused because of a bound or a pause.
    pub refused: u64,
    /// Times a peer broke the rules of a link.
    pub strikes: u64,
    /// Peers and addresses that were not taken up because a table was full.
    pub table_full: u64,
}
