//! A node of the demo: a real process of this binary with a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tidings_api::client::Client;
use tidings_api::types::Exit;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::failure::Failure;

/// How long a node may take to come up.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A node and its process.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) peer: String,
    pub(super) addresses: Vec<String>,
    directory: PathBuf,
    bootstrap: Vec<String>,
    process: Child,
}

impl Member {
    /// Starts a node that links to `bootstrap` and to nobody else.
    pub(super) async fn start(root: &Path, name: &'static str, bootstrap: Vec<String>) -> Result<Self, Failure> {
        let directory = root.join(name);
        let (process, peer, addresses) = launch(&directory, name, &bootstrap).await?;
        Ok(Self { name, peer, addresses, directory, bootstrap, process })
    }

    /// Kills the process as a power cut would: nothing is finished, nobody is told.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        self.process.kill().await.map_err(|error| broken(format!("{} cannot be killed: {error}", self.name)))
    }

    /// Starts the node again, on what its disk holds.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        let (process, _, addresses) = launch(&self.directory, self.name, &self.bootstrap).await?;
        self.process = process;
        self.addresses = addresses;
        Ok(())
    }

    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.directory).await?)
    }

    /// Runs another command of this binary on the node, with `input` on its stdin, and returns its stdout.
    pub(super) async fn command(&self, arguments: &[&str], input: &[u8]) -> Result<String, Failure> {
        use tokio::io::AsyncWriteExt as _;
        let failed = |error: std::io::Error| broken(format!("`tidings {}` failed: {error}", arguments.join(" ")));
        let mut child = Command::new(binary()?)
            .args(arguments)
            .arg("--dir")
            .arg(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            return Err(broken(format!("`tidings {}` ended with {}", arguments.join(" "), output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops the node in order.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.client().await?.shutdown().await?;
        self.process.wait().await.map(|_| ()).map_err(|error| broken(format!("{} did not stop: {error}", self.name)))
    }
}

/// Something the demo relies on did not hold.
pub(super) fn broken(sentence: String) -> Failure {
    Failure::new(Exit::Other, format!("{sentence}; run the demo again with --keep and look at the logs it names"))
}

fn binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| broken(format!("this program cannot find itself: {error}")))
}

/// Starts a process and waits until it says where it listens.
async fn launch(directory: &Path, name: &str, bootstrap: &[String]) -> Result<(Child, String, Vec<String>), Failure> {
    let failed = |error: std::io::Error| broken(format!("{name} cannot be started: {error}"));
    std::fs::create_dir_all(directory).map_err(failed)?;
    let log = std::fs::File::options().create(true).append(true).open(directory.join("log")).map_err(failed)?;
    let mut command = Command::new(binary()?);
    command.arg("run").arg("--dir").arg(directory).args(["--name", name, "--json", "--no-mdns", "--no-dial"]);
    command.args(["--api", "off", "--address", "/ip4/127.0.0.1/udp/0/quic-v1", "--address", "/ip4/127.0.0.1/tcp/0"]);
    for address in bootstrap {
        command.arg("--bootstrap").arg(address);
    }
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn().map_err(failed)?;
    let stdout = process.stdout.take().ok_or_else(|| broken(format!("{name} has no output")))?;
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    let read = tokio::time::timeout(START_LIMIT, lines.read_line(&mut line)).await;
    if !matches!(read, Ok(Ok(1..))) {
        return Err(broken(format!("{name} did not start; see {}", directory.join("log").display())));
    }
    // What it prints later is of no interest, and must not block it.
    tokio::spawn(async move {
        let mut rest = Vec::new();
        let _closed = lines.read_to_end(&mut rest).await;
    });
    let up: serde_json::Value =
        serde_json::from_str(&line).map_err(|_| broken(format!("{name} said {:?} at its start", line.trim())))?;
    let addresses = up["listen_addresses"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect();
    Ok((process, up["peer_id"].as_str().unwrap_or_default().to_owned(), addresses))
}
