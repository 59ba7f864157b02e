//! Network address translation between a private network and the wire, by nftables.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::space::{Interface, Space, address};
use super::wire::port::Port;

/// How a router chooses the port that stands for a private one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// The same, where nobody else has it: what most home routers do.
    Preserving,
    /// Another for each destination, as a symmetric router does.
    Random,
}

/// What stands between a node and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A router that keeps ports.
    Preserving,
    /// One that shows each peer another port.
    Random,
    /// A router that keeps ports, behind a carrier's that does not.
    TwoStage,
}

/// How long a router remembers a UDP flow.
const UDP_SECONDS: u32 = 30;
const OUTSIDE: &str = "eth0";
const INSIDE: &str = "eth1";

/// A router: outwards it is a node like others, inwards the way out of a private network.
#[derive(Debug)]
pub(crate) struct Router {
    space: Space,
}

/// Where a router stands: two ports of the wire with their addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) outside_port: u16,
    pub(crate) outside: Ipv4Addr,
    pub(crate) outside_prefix: u8,
    pub(crate) inside_port: u16,
    /// The private network's first address, of 256.
    pub(crate) inside: Ipv4Addr,
}

impl Router {
    /// Makes it, and returns its two ports.
    pub(crate) fn create(sides: Sides, mapping: Mapping, mtu: u32) -> Result<(Self, [Port; 2])> {
        let Sides { outside_port, outside, outside_prefix, inside_port, inside } = sides;
        let space = Space::bare(outside_port)?;
        let of = |name, port, address, prefix| Interface { name, port, address, prefix, mtu };
        let ports = [
            space.attach(of(OUTSIDE, outside_port, outside, outside_prefix))?,
            space.attach(of(INSIDE, inside_port, inside, 24))?,
        ];
        space.within(|| Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
        space.nft(&rules(mapping))?;
        space.within(|| {
            let timeouts = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
            Ok(std::fs::write(timeouts, UDP_SECONDS.to_string())?)
        })?;
        Ok((Self { space }, ports))
    }

    /// Has what the router does not know go to another: the second stage of a carrier's translation.
    pub(crate) fn behind(&self, carrier: Ipv4Addr) -> Result<()> {
        self.space.ip(&format!("route add default via {carrier}"))
    }
}

/// Makes a node in a router's private network, and returns its port.
pub(crate) fn client(port: u16, address: Ipv4Addr, router: Ipv4Addr, mtu: u32) -> Result<(Space, Port)> {
    let space = Space::bare(port)?;
    let made = space.attach(Interface { name: OUTSIDE, port, address, prefix: 24, mtu })?;
    space.ip(&format!("route add default via {router}"))?;
    Ok((space, made))
}

/// Nobody gets in who was not asked, and nobody inside is reached by the outer address (no hairpin).
fn rules(mapping: Mapping) -> String {
    let how = match mapping {
        Mapping::Preserving => "masquerade",
        Mapping::Random => "masquerade random,fully-random",
    };
    format!(
        "table ip tidings {{
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                oifname {OUTSIDE} {how}
            }}
            chain forward {{
                type filter hook forward priority filter; policy drop;
                ct state established,related accept
                iifname {INSIDE} oifname {OUTSIDE} accept
            }}
        }}
"
    )
}

/// A node and the routers before it.
#[derive(Debug)]
pub(crate) struct Behind {
    pub(crate) space: Space,
    pub(crate) routers: Vec<Router>,
    /// Their ports in order, from the first number that was free; there the outermost router stands.
    pub(crate) ports: Vec<Port>,
    /// Ports that are joined by nothing but a cable.
    pub(crate) cables: Vec<[u16; 2]>,
}

const HOME_ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const HOME_NODE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const CARRIER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);
const CUSTOMER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);

/// Makes a node behind routers, with ports of the wire from `free` on.
pub(crate) fn behind(kind: Kind, free: u16, mtu: u32) -> Result<Behind> {
    let outer = |inside| Sides {
        outside_port: free,
        outside: address(free),
        outside_prefix: 16,
        inside_port: free + 1,
        inside,
    };
    let mapping = if kind == Kind::Preserving { Mapping::Preserving } else { Mapping::Random };
    let inside = if kind == Kind::TwoStage { CARRIER } else { HOME_ROUTER };
    let (router, ports) = Router::create(outer(inside), mapping, mtu)?;
    let (mut routers, mut ports, mut cables) = (vec![router], Vec::from(ports), Vec::new());
    if kind == Kind::TwoStage {
        let (outside_port, inside_port) = (free + 2, free + 3);
        let home = Sides { outside_port, outside: CUSTOMER, outside_prefix: 24, inside_port, inside: HOME_ROUTER };
        let (router, made) = Router::create(home, Mapping::Preserving, mtu)?;
        router.behind(CARRIER)?;
        routers.push(router);
        ports.extend(made);
        cables.push([free + 1, free + 2]);
    }
    let own = free + u16::try_from(ports.len())?;
    cables.push([own - 1, own]);
    let (space, port) = client(own, HOME_NODE, HOME_ROUTER, mtu)?;
    ports.push(port);
    Ok(Behind { space, routers, ports, cables })
}
