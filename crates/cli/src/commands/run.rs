//! `tidings run`.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tidings::config::{ApiAddress, Settings};
use tidings::{Config, Node, NodeState, StartError};
use tidings_api::directory;
use tidings_api::server::{Options, ServeError, Server, TcpError};
use tidings_api::types::Exit;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::context::Context;
use crate::failure::Failure;
use crate::heap;
use crate::output::{self, Style, harmless_line};

/// How long a node may take to stop before the program ends without it: what is accepted is on disk either way.
const STOP_TIMEOUT: Duration = Duration::from_millis(1_900);
/// Serves the HTTP interface; the node brings its own threads.
const THREADS: usize = 2;
/// The configuration file in the directory.
const CONFIG: &str = "config.toml";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the node calls itself, told to neighbours and on the LAN [default: the host name]
    #[arg(long)]
    name: Option<String>,
    /// Where to listen; repeat it for several [default: QUIC and TCP on all interfaces, ports chosen once and kept]
    #[arg(long, value_name = "MULTIADDR")]
    address: Vec<String>,
    /// A node to dial and stay linked to; repeat it for several
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// Link only to bootstrap nodes and `peers add`; others may still dial this node
    #[arg(long)]
    no_dial: bool,
    /// Where the HTTP interface listens, or the next free port; off leaves only the Unix socket [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDR|off")]
    api: Option<String>,
    /// Neither look for nodes on the LAN nor be found there
    #[arg(long)]
    no_mdns: bool,
    /// Neither look in the DHT for peers that nothing else leads to, nor put this node's card there
    #[arg(long)]
    no_dht: bool,
    /// How much energy and data to spend: server, desktop, phone or phone-background [default: desktop]
    #[arg(long)]
    profile: Option<String>,
    /// In which shape to lay links [default: adaptive]
    #[arg(long, value_enum, value_name = "KIND")]
    topology: Option<super::topology::Kind>,
    /// Which log lines to write to stderr, for example info or tidings=debug [default: warn]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Show each value of the configuration and where it came from, and end
    #[arg(long)]
    print_config: bool,
}

impl Arguments {
    fn settings(&self) -> Settings {
        let list = |values: &[String]| (!values.is_empty()).then(|| values.to_vec());
        Settings {
            name: self.name.clone(),
            address: list(&self.address),
            bootstrap: list(&self.bootstrap),
            no_dial: self.no_dial.then_some(true),
            no_mdns: self.no_mdns.then_some(true),
            no_dht: self.no_dht.then_some(true),
            profile: self.profile.clone(),
            topology: self.topology.map(|kind| kind.kind().name().to_owned()),
            api: self.api.clone(),
            log: self.log.clone(),
            ..Settings::default()
        }
    }
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let config = configuration(context.directory(), arguments.settings())?;
    if arguments.print_config {
        print_config(context, &config)?;
        return Ok(Exit::Done);
    }
    log(&config)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().map_err(|error| {
            Failure::new(Exit::Other, format!("the system gives no threads: {error}; close some programs"))
        })?;
    let result = runtime.block_on(serve(context, config));
    runtime.shutdown_background();
    result
}

/// Puts flags, environment and file together.
pub(super) fn configuration(directory: &Path, flags: Settings) -> Result<Config, Failure> {
    let usage = |error: tidings::config::ConfigError| Failure::new(Exit::Usage, error.to_string());
    let path = directory.join(CONFIG);
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Settings::from_toml(&text).map_err(usage)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Settings::default(),
        Err(error) => {
            let sentence = format!("{} cannot be read: {error}; correct its owner and mode", path.display());
            return Err(Failure::new(Exit::Other, sentence));
        }
    };
    let environment = Settings::from_environment(std::env::vars()).map_err(usage)?;
    Config::layers(flags, environment, file).map_err(usage)
}

fn print_config(context: &Context, config: &Config) -> Result<(), Failure> {
    let values = config.values();
    let object: serde_json::Map<String, serde_json::Value> = values
        .iter()
        .map(|(key, value, layer)| {
            let entry = serde_json::json!({ "value": value, "from": layer.to_string() });
            ((*key).to_owned(), entry)
        })
        .collect();
    context.print(&object, |out| {
        for (key, value, layer) in &values {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{key} = {value}  # {layer}");
        }
    })
}

fn log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| {
        let sentence =
            format!("the log filter {:?} cannot be read: {error}; use one like info or tidings=debug", config.log);
        Failure::new(Exit::Usage, sentence)
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // A log that cannot be written must not end the node: the disk it goes to may be the one that is full.
        .log_internal_errors(false)
        .init();
    Ok(())
}

async fn serve(context: &Context, config: Config) -> Result<Exit, Failure> {
    // Before the start, so that no signal falls between.
    let mut stop = Signals::new()?;
    let tcp = match config.api {
        ApiAddress::Off => None,
        ApiAddress::At(address) => Some(address),
    };
    let options = Options { directory: context.directory().to_owned(), tcp, allow_origin: config.allow_origin.clone() };
    if !context.directory().exists() {
        let directory = context.directory().display();
        output::remark(&format!("creating a new node in {directory} …"));
    }
    let start = Node::builder().dir(context.directory()).config(config).start();
    let node = tokio::select! {
        node = start => node.map_err(|error| start_failure(&error))?,
        () = stop.arrived() => return Ok(Exit::Done),
    };
    let server = match Server::start(node.clone(), options).await {
        Ok(server) => server,
        Err(error) => {
            node.shutdown().await;
            return Err(serve_failure(&error));
        }
    };
    announce(context, &node, &server).await?;
    tokio::select! {
        () = heap::tend() => {}
        () = stop.arrived() => output::remark("stopping …"),
        () = node.stopped() => {}
    }
    let has_failed = node.state() != NodeState::Stopped && !stop.has_arrived;
    let stopped = async {
        node.shutdown().await;
        server.stop().await;
    };
    if tokio::time::timeout(STOP_TIMEOUT, stopped).await.is_err() {
        output::remark("the node is still busy; what it has accepted is on disk");
    }
    if has_failed {
        let sentence = "the node ended by a fault of its own; what it has accepted is on disk, start it again";
        return Err(Failure::new(Exit::Other, sentence.to_owned()));
    }
    Ok(Exit::Done)
}

fn start_failure(error: &StartError) -> Failure {
    Failure::new(Exit::Other, error.to_string())
}

fn serve_failure(error: &ServeError) -> Failure {
    let exit = if matches!(error, ServeError::Tcp(TcpError::NotLoopback(_))) { Exit::Usage } else { Exit::Other };
    Failure::new(exit, error.to_string())
}

/// What asks the program to end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    has_arrived: bool,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                let sentence = format!("signals cannot be received: {error}; close some programs");
                Failure::new(Exit::Other, sentence)
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            has_arrived: false,
        })
    }

    async fn arrived(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.has_arrived = true;
    }
}

/// What a node says when it is ready.
#[derive(Debug, Serialize)]
struct Running {
    name: String,
    peer_id: String,
    listen_addresses: Vec<String>,
    directory: PathBuf,
    /// The HTTP interface's address; left out where it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    /// A command that asks the node how it is.
    curl: String,
}

async fn announce(context: &Context, node: &Node, server: &Server) -> Result<(), Failure> {
    let info = node.info().await;
    let api = server.address().map(|address| address.to_string());
    let running = Running {
        name: info.name.clone(),
        peer_id: info.peer_id.to_string(),
        listen_addresses: info.listen_addresses.iter().map(ToString::to_string).collect(),
        directory: context.directory().to_owned(),
        curl: curl(context.directory(), server, api.as_deref())?,
        api,
    };
    context.print(&running, |out| human(out, context.style(), &running))
}

/// A line that can be pasted into a shell as it is.
fn curl(path: &Path, server: &Server, api: Option<&str>) -> Result<String, Failure> {
    let Some(api) = api else {
        let socket = directory::socket_path(path).map_err(|error| {
            let sentence = format!("the socket's place cannot be read: {error}; start again");
            Failure::new(Exit::Other, sentence)
        })?;
        let socket = quoted(&socket);
        return Ok(format!("curl --unix-socket {socket} http://localhost/v1/node"));
    };
    let token = quoted(&server.token_path());
    Ok(format!("curl -H \"Authorization: Bearer $(cat {token})\" http://{api}/v1/node"))
}

/// A path as a word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn human(out: &mut String, style: Style, running: &Running) {
    let name = style.bold(&harmless_line(&running.name));
    out.push_str(&format!("{name} is running\n"));
    let mut row = |label: &str, value: &str| {
        out.push_str(&format!("  {label:<9} {value}\n"));
    };
    row("peer id", &running.peer_id);
    for (n, address) in running.listen_addresses.iter().enumerate() {
        row(if n == 0 { "address" } else { "" }, address);
    }
    row("directory", &running.directory.display().to_string());
    row("try", &running.curl);
    out.push_str(&style.dim("Stop with Ctrl-C or `tidings stop`."));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_and_quotes_is_one_word_of_a_shell() {
        assert_eq!(quoted(Path::new("/var/lib/tidings")), "/var/lib/tidings");
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
