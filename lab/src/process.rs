//! A real node process with a directory of its own, driven through its Unix socket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tidings_api::client::Client;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a node may take to come up.
const START_LIMIT: Duration = Duration::from_secs(30);

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

/// The middle of what was measured, and the worst of it.
pub(crate) fn median_and_max(times: &mut [Duration]) -> Option<(Duration, Duration)> {
    times.sort_unstable();
    Some((*times.get(times.len() / 2)?, *times.last()?))
}
