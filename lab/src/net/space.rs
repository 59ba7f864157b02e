//! A network namespace with one Ethernet interface, whose other end is a port of the wire.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::clean;
use super::wire::port::{Mac, Port};

/// What the interface is called within.
const INTERFACE: &str = "eth0";
/// Frames that wait for the wire.
const QUEUE: u32 = 10_000;

/// A namespace. It and what runs in it go when this does.
#[derive(Debug)]
pub(crate) struct Space {
    name: String,
    number: u16,
}

/// An interface that a namespace gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interface {
    pub(crate) name: &'static str,
    /// Its number on the wire.
    pub(crate) port: u16,
    pub(crate) address: Ipv4Addr,
    /// How many bits of the address are the network's.
    pub(crate) prefix: u8,
    pub(crate) mtu: u32,
}

impl Space {
    /// Makes the namespace of a node, with its interface.
    pub(crate) fn create(number: u16, mtu: u32) -> Result<(Self, Port)> {
        let space = Self::bare(number)?;
        let port =
            space.attach(Interface { name: INTERFACE, port: number, address: space.address(), prefix: 16, mtu })?;
        Ok((space, port))
    }

    /// Makes the namespace with a number, with no way out.
    pub(crate) fn bare(number: u16) -> Result<Self> {
        let space = Self { name: clean::namespace(std::process::id(), number), number };
        run("ip", &["netns", "add", &space.name])?;
        space.ip("link set lo up")?;
        Ok(space)
    }

    /// Makes an interface and gives it its address.
    pub(crate) fn attach(&self, interface: Interface) -> Result<Port> {
        let Interface { name, port, address, prefix, mtu } = interface;
        let made = self.within(|| {
            // Only IPv4 is wired; where there is no IPv6, there is nothing to switch off.
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").ok();
            std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").ok();
            Port::create(name)
        })?;
        let mac = Mac::of(port);
        self.ip(&format!(
            "link set {name} address {mac} mtu {mtu} txqueuelen {QUEUE} up
             address add {address}/{prefix} broadcast + dev {name}"
        ))?;
        Ok(made)
    }

    /// The name under which `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number that it was made with.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// A node's address on the wire.
    pub(crate) fn address(&self) -> Ipv4Addr {
        address(self.number)
    }

    /// Does something within it. A thread that has moved there ends there, so that no other work finds itself in it.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let path = format!("/run/netns/{}", self.name);
                let namespace = std::fs::File::open(&path).with_context(|| format!("{path} cannot be opened"))?;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            thread.join().map_err(|_| anyhow::anyhow!("what was to be done in a namespace panicked"))?
        })
    }

    /// Runs commands of `ip`, one a line, within it.
    pub(crate) fn ip(&self, commands: &str) -> Result<()> {
        fed("ip", &["-n", &self.name, "-batch", "-"], commands)
    }

    /// Loads rules of nftables within it.
    pub(crate) fn nft(&self, rules: &str) -> Result<()> {
        fed("ip", &["netns", "exec", &self.name, "nft", "-f", "-"], rules).context("the nftables rules are not taken")
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // What cannot be removed now, `--clean` removes.
        clean::remove_namespace(&self.name).ok();
    }
}

/// The address of a node by its number.
pub(crate) fn address(number: u16) -> Ipv4Addr {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(10, 213, high, low)
}

/// Runs a program to its end and returns what it wrote.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), why.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that reads what it shall do.
fn fed(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be run"))?;
    child.stdin.take().context("the program has no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed: {}", arguments.join(" "), why.trim());
    }
    Ok(())
}
