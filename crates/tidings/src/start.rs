//! Starts a node: directory, database, engine, listeners.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidings_core::links::Address;
use tidings_crypto::{KeyWrapper, PlainWrapper};
use tidings_store::{Exposure, Home, HomeError, OpenError, StoreError};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::config::{Config, Dialling, Profile, Switch};
use crate::driver::{self, BootError, Driver, Ended, Parts};
use crate::node::{Node, Shared};
use crate::status::Status;
use crate::{network, ports};

/// How long the threads of the node's own runtime may take to end.
const RUNTIME_ENDS: Duration = Duration::from_millis(300);

/// Describes a node before it starts; from [`Node::builder`].
pub struct Builder {
    dir: Option<PathBuf>,
    config: Config,
    keys: Arc<dyn KeyWrapper + Send + Sync>,
    runtime: Option<tokio::runtime::Handle>,
}

impl Default for Builder {
    fn default() -> Self {
        Self { dir: None, config: Config::default(), keys: Arc::new(PlainWrapper), runtime: None }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("dir", &self.dir).field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No directory was named.
    #[error("no directory was given for the node's identity and database; name one")]
    NoDirectory,
    /// Another node uses the directory.
    #[error("another node is running in {}; stop it with `tidings stop`, or use another directory", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be made, read or written.
    #[error("the directory {} cannot be used: {reason}; correct its owner and mode, or use another", dir.display())]
    Unreadable {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The identity or key file is missing while the database exists.
    #[error("{reason}")]
    NoKey {
        /// Which file is missing beside which, and what to do.
        reason: String,
    },
    /// The key does not open the database.
    #[error("{reason}")]
    WrongKey {
        /// Which file does not open which, and what to do.
        reason: String,
    },
    /// The database is damaged.
    #[error("{reason}")]
    Corrupt {
        /// What was found and what to do.
        reason: String,
    },
    /// The database cannot be used for another reason.
    #[error("{reason}")]
    Database {
        /// What was found and what to do.
        reason: String,
    },
    /// Another program has the port.
    #[error("the address {address} is in use by another program; stop it, or listen on another port with --address")]
    PortInUse {
        /// The address.
        address: Address,
    },
    /// The machine cannot listen on the address.
    #[error("this machine cannot listen on {address}: {reason}; name another with --address")]
    Listen {
        /// The address.
        address: Address,
        /// What the system says.
        reason: String,
    },
    /// `SSLKEYLOGFILE` is set, and the TLS library would write the keys of every connection there.
    #[error(
        "the variable SSLKEYLOGFILE is set, and the keys of every connection would be written to that file; unset it \
         and start again"
    )]
    KeyLog,
    /// The system refuses threads, random bytes or sockets.
    #[error("the system does not give what a node needs: {reason}")]
    System {
        /// What it refused.
        reason: String,
    },
}

impl Builder {
    /// Sets the directory that holds identity, key and database; it is created with mode 0700 if missing.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Replaces the configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets [`Config::name`].
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Adds to [`Config::addresses`].
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.config.addresses.push(address);
        self
    }

    /// Adds to [`Config::bootstrap`].
    #[must_use]
    pub fn bootstrap(mut self, address: Address) -> Self {
        self.config.bootstrap.push(address);
        self
    }

    /// Sets [`Config::dialling`] to [`Dialling::Named`].
    #[must_use]
    pub fn no_dial(mut self) -> Self {
        self.config.dialling = Dialling::Named;
        self
    }

    /// Sets [`Config::mdns`].
    #[must_use]
    pub fn mdns(mut self, mdns: Switch) -> Self {
        self.config.mdns = mdns;
        self
    }

    /// Sets [`Config::dht`].
    #[must_use]
    pub fn dht(mut self, dht: Switch) -> Self {
        self.config.dht = dht;
        self
    }

    /// Sets [`Config::profile`].
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.config.profile = profile;
        self
    }

    /// Sets how the identity and the database key are protected on disk. Default: [`PlainWrapper`], the mode of the
    /// files alone.
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeyWrapper + Send + Sync>) -> Self {
        self.keys = keys;
        self
    }

    /// Runs the node on an existing multi-thread runtime. By default it brings its own.
    #[must_use]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Starts the node; returns when its listeners are up and its database is loaded.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to do about it.
    ///
    /// # Cancel safety
    ///
    /// A node whose start is dropped ends by itself.
    pub async fn start(self) -> Result<Node, StartError> {
        let dir = self.dir.ok_or(StartError::NoDirectory)?;
        let start = Start { dir, config: self.config, keys: self.keys };
        let (started, starting) = oneshot::channel();
        // Its own thread, since opening a database blocks, and since a runtime must not be dropped within another.
        std::thread::Builder::new()
            .name("tidings-driver".to_owned())
            .spawn(move || start.run(self.runtime, started))
            .map_err(|error| StartError::System { reason: error.to_string() })?;
        starting.await.unwrap_or_else(|_| {
            Err(StartError::System { reason: "the node's thread ended while it started".to_owned() })
        })
    }
}

/// Everything that a start needs.
pub(crate) struct Start {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
    pub(crate) keys: Arc<dyn KeyWrapper + Send + Sync>,
}

/// Tells [`Builder::start`] how it went.
type Started = oneshot::Sender<Result<Node, StartError>>;

impl Start {
    /// Starts the node and drives it on this thread, or on a runtime that somebody else owns.
    fn run(self, runtime: Option<Handle>, started: Started) {
        match runtime {
            Some(handle) => {
                let prepared = {
                    let _entered = handle.enter();
                    self.prepare(&handle)
                };
                match prepared {
                    Ok((driver, node)) => {
                        handle.spawn(async {
                            if let Some(ended) = drive(driver, node, started).await {
                                ended.tell();
                            }
                        });
                    }
                    Err(error) => refuse(started, error),
                }
            }
            None => {
                let prepared = self.own_runtime().and_then(|runtime| {
                    let _entered = runtime.enter();
                    let (driver, node) = self.prepare(runtime.handle())?;
                    drop(_entered);
                    Ok((runtime, driver, node))
                });
                match prepared {
                    Ok((runtime, driver, node)) => {
                        let ended = runtime.block_on(drive(driver, node, started));
                        // The tasks of connections hold sockets until they are dropped.
                        runtime.shutdown_timeout(RUNTIME_ENDS);
                        if let Some(ended) = ended {
                            ended.tell();
                        }
                    }
                    Err(error) => refuse(started, error),
                }
            }
        }
    }

    fn own_runtime(&self) -> Result<Runtime, StartError> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.profile.preset().worker_threads)
            .thread_name("tidings-net")
            .enable_all()
            .build()
            .map_err(|error| StartError::System { reason: error.to_string() })
    }

    /// Opens everything but the listeners; must run within the runtime.
    pub(crate) fn prepare(self, runtime: &Handle) -> Result<(Driver, Node), StartError> {
        refuse_key_log()?;
        raise_descriptor_limit();
        let clock = Clock::new();
        let home = Home::open(&self.dir, &*self.keys).map_err(|error| StartError::of_home(&self.dir, error))?;
        let home = Arc::new(home);
        log_exposure(&self.dir, home.exposure());
        let places = ports::settle(&self.dir, &self.config.addresses)?;
        let store_replies = mpsc::channel(driver::STORE_REPLIES);
        let booted = driver::boot(&home, &self.config, clock, store_replies.0.clone())
            .map_err(|error| StartError::of_boot(&error))?;
        let swarm = network::build(home.identity(), &self.config)
            .map_err(|error| StartError::System { reason: error.to_string() })?;
        let (calls, taken) = mpsc::channel(driver::CALLS);
        let stop = Arc::new(Notify::new());
        let (status, watched) = watch::channel(Status::starting(booted.boot, self.config.topology));
        let (news, _) = broadcast::channel(driver::NEWS);
        let node = Node::new(Shared {
            peer: home.identity().peer(),
            name: self.config.name.clone(),
            profile: self.config.profile,
            started: Instant::now(),
            calls,
            stop: Arc::clone(&stop),
            reads: Arc::new(Semaphore::new(driver::READS)),
            status: watched,
            news: news.downgrade(),
            measuring: Arc::new(Semaphore::new(1)),
            runtime: runtime.clone(),
        });
        let driver = Driver::new(Parts {
            config: self.config,
            clock,
            home,
            booted,
            swarm,
            places,
            calls: taken,
            stop,
            store_replies,
            status,
            news,
        });
        Ok((driver, node))
    }
}

/// Opens the listeners, hands the node out, and drives it to its end. `None` if it never was a node.
async fn drive(mut driver: Driver, node: Node, started: Started) -> Option<Ended> {
    match driver.open().await {
        Ok(()) => {
            // Where nobody waits any more, the node is dropped here, and the driver ends.
            let _ = started.send(Ok(node));
            Some(driver.run().await)
        }
        Err((address, reason)) => {
            let address = network::core_address(&address);
            // Nobody watches a node that was never handed out.
            let _ = driver.finish().await;
            let error = match address {
                Some(address) => StartError::Listen { address, reason },
                None => StartError::System { reason },
            };
            refuse(started, error);
            None
        }
    }
}

fn refuse(started: Started, error: StartError) {
    // An error means that nobody waits.
    let _ = started.send(Err(error));
}

fn log_exposure(dir: &Path, exposure: Exposure) {
    let dir = dir.display();
    match exposure {
        Exposure::None => {}
        Exposure::Ended => tracing::warn!(%dir, "others could look into the node's directory; it is now yours alone"),
        Exposure::Stays => {
            tracing::warn!(%dir, "others can look into the node's directory, which is not yours alone; choose another");
        }
    }
}

/// The TLS library writes the secrets of every connection to the file that `SSLKEYLOGFILE` names, and cannot be told
/// not to.
fn refuse_key_log() -> Result<(), StartError> {
    if cfg!(not(debug_assertions)) && std::env::var_os("SSLKEYLOGFILE").is_some() {
        return Err(StartError::KeyLog);
    }
    Ok(())
}

/// Allows as many open files as the system lets us: connections must not take those that the database and the HTTP
/// interface need.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

impl StartError {
    /// What keeps a directory closed.
    fn of_home(dir: &Path, error: HomeError) -> Self {
        let reason = error.to_string();
        match error {
            HomeError::InUse { dir } => Self::InUse { dir },
            HomeError::Io { source, .. } => Self::Unreadable { dir: dir.to_owned(), reason: source.to_string() },
            HomeError::Missing { .. } => Self::NoKey { reason },
            HomeError::Wrapped { .. } | HomeError::Length { .. } => Self::WrongKey { reason },
            HomeError::Random => Self::System { reason },
            _ => Self::Database { reason },
        }
    }

    /// What keeps a database closed.
    fn of_boot(error: &BootError) -> Self {
        let reason = error.to_string();
        match error {
            BootError::Open(OpenError::WrongKey { .. }) => Self::WrongKey { reason },
            BootError::Open(OpenError::Corrupt { .. })
            | BootError::Read(StoreError::Unreadable)
            | BootError::Sealer(_) => Self::Corrupt { reason },
            BootError::Random(_) | BootError::Thread(_) => Self::System { reason },
            BootError::Open(_) | BootError::Read(_) => Self::Database { reason },
        }
    }
}
