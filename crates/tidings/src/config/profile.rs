//! How much energy and data a node may spend, as presets by name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tidings_crypto::Power;

use super::Switch;

/// A preset of intervals and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Always on, on mains, many neighbours.
    Server,
    /// A computer that somebody uses.
    #[default]
    Desktop,
    /// A phone whose application is in the foreground.
    Phone,
    /// A phone whose application is in the background.
    PhoneBackground,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 4] = [Self::Server, Self::Desktop, Self::Phone, Self::PhoneBackground];

    /// Its name in files and flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Desktop => "desktop",
            Self::Phone => "phone",
            Self::PhoneBackground => "phone-background",
        }
    }

    /// What it stands for.
    pub const fn preset(self) -> Preset {
        match self {
            Self::Server => Preset {
                mdns_query: Duration::from_secs(10),
                keep_alive: Duration::from_secs(20),
                transport_idle: Duration::from_secs(45),
                max_inbound: 512,
                worker_threads: 4,
                relay_bytes: 64 << 20,
                tell_neighbours: Switch::On,
                serves_dht: Switch::On,
                power: Power::Mains,
            },
            Self::Desktop => Preset {
                mdns_query: Duration::from_secs(10),
                keep_alive: Duration::from_secs(20),
                transport_idle: Duration::from_secs(45),
                max_inbound: 128,
                worker_threads: 2,
                relay_bytes: 64 << 20,
                tell_neighbours: Switch::On,
                serves_dht: Switch::On,
                power: Power::Unknown,
            },
            Self::Phone | Self::PhoneBackground => Preset {
                mdns_query: Duration::from_secs(60),
                keep_alive: Duration::from_secs(20),
                transport_idle: Duration::from_secs(60),
                max_inbound: 32,
                worker_threads: 2,
                relay_bytes: 4 << 20,
                tell_neighbours: Switch::Off,
                serves_dht: Switch::Off,
                power: Power::Battery,
            },
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(())
    }
}

/// What a [`Profile`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Preset {
    /// How often the local network is asked who is there, while nobody else asks. Each costs one multicast packet.
    pub mdns_query: Duration,
    /// Silence after which a link is probed, so that its end is seen and routers on the way keep the path; where there
    /// is no link, QUIC sends a packet after half as long again. Each wakes a phone's radio.
    pub keep_alive: Duration,
    /// Silence after which a QUIC connection counts as lost.
    pub transport_idle: Duration,
    /// The most connections that others have opened. One costs 39 KiB over TCP and 55 KiB over QUIC (measured, debug
    /// build), and at most a QUIC receive window of 1.25 MiB when its peer floods it. One network has at most half of
    /// them.
    pub max_inbound: u32,
    /// Threads that run connections and link tasks. One moves about 300 MB/s.
    pub worker_threads: usize,
    /// Bytes of others' parcels that wait here for their next hop, over all links; what finds no room is refused to
    /// the neighbour that brings it.
    pub relay_bytes: usize,
    /// Whether others are told which neighbours this node has: 40 bytes in its announcement, and a new announcement
    /// every ten minutes while they change.
    pub tell_neighbours: Switch,
    /// Whether others may ask this node what it holds of the DHT, and have it hold cards: at most 2 MiB, and answers of
    /// some 3 KB. One that does not uses the DHT all the same.
    pub serves_dht: Switch,
    /// What others are told of where its energy comes from: hubs are chosen by it.
    pub power: Power,
}
