//! A real node process with a directory of its own, driven through its Unix socket.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tidings_api::client::Client;
use tidings_api::types::{WaitQuery, WaitState};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a node may take to come up.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a link is looked for.
const LINK_INTERVAL: Duration = Duration::from_millis(20);

/// A node and what it takes to start it again.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) peer: String,
    pub(crate) addresses: Vec<String>,
    command: Vec<OsString>,
    directory: PathBuf,
    arguments: Vec<String>,
    /// Where it ends by itself: TIDINGS_CRASH_AT of a node with crash points.
    crash_at: Option<String>,
    child: Child,
}

/// The node's binary: the one given, or the one beside this program.
pub(crate) fn binary(given: Option<PathBuf>) -> Result<PathBuf> {
    let binary = match given {
        Some(given) => given,
        None => std::env::current_exe()?.with_file_name("tidings"),
    };
    if !binary.exists() {
        bail!("{} does not exist; build it with `cargo build --release`, or name it with --tidings", binary.display());
    }
    Ok(binary)
}

impl Process {
    pub(crate) async fn start(binary: &Path, directory: &Path, arguments: &[&str]) -> Result<Self> {
        Self::launch(vec![binary.into()], directory, arguments).await
    }

    /// Starts it within a network namespace.
    pub(crate) async fn start_in(namespace: &str, binary: &Path, directory: &Path, arguments: &[&str]) -> Result<Self> {
        // `ip` becomes the node, so that the child's id is the node's.
        let command = ["ip", "netns", "exec", namespace].map(OsString::from).into_iter().chain([binary.into()]);
        Self::launch(command.collect(), directory, arguments).await
    }

    /// Starts it by a command of its own, which becomes the node.
    pub(crate) async fn launch(command: Vec<OsString>, directory: &Path, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (child, peer, addresses) = launch(&command, directory, &arguments, None).await?;
        let directory = directory.to_owned();
        Ok(Self { peer, addresses, command, directory, arguments, crash_at: None, child })
    }

    /// `kill -9`, and the end of the process, which may have come before.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if self.has_ended()? {
            return Ok(());
        }
        self.child.kill().await.context("the node cannot be killed")
    }

    /// Starts the node again on what its disk holds.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let (child, _, addresses) =
            launch(&self.command, &self.directory, &self.arguments, self.crash_at.as_deref()).await?;
        (self.child, self.addresses) = (child, addresses);
        Ok(())
    }

    /// From its next start on it ends by itself at this visit of a place, or nowhere.
    pub(crate) fn crash_at(&mut self, place: Option<String>) {
        self.crash_at = place;
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("the node cannot be waited for")?.is_some())
    }

    /// Waits until it ends by itself. Can be dropped and called again.
    pub(crate) async fn ended(&mut self) -> Result<std::process::ExitStatus> {
        self.child.wait().await.context("the node cannot be waited for")
    }

    /// The process's id.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().context("the node has ended")
    }

    /// Where it listens on this transport, `tcp` or `udp`.
    pub(crate) fn socket(&self, over: &str) -> Result<SocketAddr> {
        socket(&self.addresses, over)
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        Ok(Client::connect(&self.directory).await?)
    }
}

async fn launch(
    command: &[OsString],
    directory: &Path,
    arguments: &[String],
    crash_at: Option<&str>,
) -> Result<(Child, String, Vec<String>)> {
    std::fs::create_dir_all(directory)?;
    let log = std::fs::File::options().create(true).append(true).open(directory.join("log"))?;
    let (program, before) = command.split_first().context("there is no program to start")?;
    let mut child = Command::new(program)
        .args(before)
        .args(["run", "--json", "--dir"])
        .arg(directory)
        .args(arguments)
        .envs(crash_at.map(|place| ("TIDINGS_CRASH_AT", place)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut lines = BufReader::new(child.stdout.take().context("the node has no output")?);
    let mut line = String::new();
    tokio::time::timeout(START_LIMIT, lines.read_line(&mut line)).await.context("the node does not come up")??;
    tokio::spawn(async move {
        let mut rest = Vec::new();
        lines.read_to_end(&mut rest).await.ok();
    });
    let up: serde_json::Value = serde_json::from_str(&line)
        .with_context(|| format!("the node did not start; see {}", directory.join("log").display()))?;
    let addresses = up["listen_addresses"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect();
    Ok((child, up["peer_id"].as_str().unwrap_or_default().to_owned(), addresses))
}

/// The socket in the first of the addresses `/ip4/…/tcp/…` and `/ip4/…/udp/…/quic-v1/…` that is of this transport.
fn socket(addresses: &[String], over: &str) -> Result<SocketAddr> {
    let read = |address: &String| {
        let parts: Vec<&str> = address.split('/').collect();
        let &["", "ip4", ip, protocol, port, ..] = parts.as_slice() else {
            return None;
        };
        (protocol == over).then(|| format!("{ip}:{port}").parse().ok()).flatten()
    };
    addresses.iter().find_map(read).with_context(|| format!("the node does not listen on {over}"))
}

/// Waits until a node has a link to a peer.
pub(crate) async fn linked(client: &Client, peer: &str, limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let peers = client.peers().await?.peers;
        if peers.iter().any(|known| known.peer_id == peer && !known.links.is_empty()) {
            return Ok(());
        }
        tokio::time::sleep(LINK_INTERVAL).await;
    }
    bail!("no link within {} seconds", limit.as_secs())
}

/// Waits for a message's receipt, at most as long as one call may wait: 60 seconds.
pub(crate) async fn delivered(client: &Client, id: &str, limit_seconds: u64) -> Result<()> {
    let query = WaitQuery { wait_state: Some(WaitState::Delivered), wait_seconds: Some(limit_seconds) };
    if client.message(id, &query).await?.reached != Some(true) {
        bail!("a message is not delivered after {limit_seconds} seconds");
    }
    Ok(())
}

/// The number in one field of what the kernel tells of a process, one `name: number` a line.
pub(crate) fn field<T: FromStr>(text: &str, name: &str) -> Result<T> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("the kernel tells no {name} of the process"))
}

/// The middle of what was measured, and the worst of it.
pub(crate) fn median_and_max(times: &mut [Duration]) -> Option<(Duration, Duration)> {
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, *times.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_for_its_transport() {
        let addresses = ["/ip4/127.0.0.1/udp/4001/quic-v1/p2p/x", "/ip4/127.0.0.1/tcp/4002/p2p/x"].map(str::to_owned);
        assert_eq!(socket(&addresses, "tcp").unwrap(), "127.0.0.1:4002".parse().unwrap());
        assert_eq!(socket(&addresses, "udp").unwrap(), "127.0.0.1:4001".parse().unwrap());
        assert!(socket(&addresses[..1], "tcp").is_err());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "VmRSSx:\t1 kB\nVmRSS:\t  207 kB\nThreads:\t4\n";
        assert_eq!((field::<u64>(text, "VmRSS").unwrap(), field::<u64>(text, "Threads").unwrap()), (207, 4));
        assert!(field::<u64>(text, "Vm").is_err());
    }
}
