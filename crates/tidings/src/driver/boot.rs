//! Builds an engine from what the disk says.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::record::Snapshot;
use tidings_core::{Engine, engine};
use tidings_crypto::{IdentityKey, OlmSealer};
use tidings_store::{Home, OpenError, Store, StoreError};
use tokio::sync::mpsc;

use super::NodeEngine;
use super::database::{Database, StoreReply};
use crate::clock::Clock;
use crate::config::{Config, Dialling, Switch};

/// A new incarnation of the node.
#[derive(Debug)]
pub(crate) struct Booted {
    pub(crate) boot: u64,
    pub(crate) engine: NodeEngine,
    pub(crate) database: Database,
}

/// What reopening came to; the reason is for people.
pub(super) type Reopened = Result<Box<Booted>, String>;

/// Why the engine could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The ratchet keys in the database cannot be read.
    #[error("the session keys in the database cannot be read: {0}")]
    Sealer(#[from] tidings_crypto::LoadError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The system has no thread to give.
    #[error("the system gives no thread for the database: {0}")]
    Thread(std::io::Error),
}

/// Opens the database and builds an engine with a new boot. Blocks on the disk.
pub(crate) fn boot(
    home: &Arc<Home>,
    config: &Config,
    clock: Clock,
    replies: mpsc::Sender<StoreReply>,
) -> Result<Booted, BootError> {
    let store = Store::open(home.database(), home.key())?;
    let snapshot = store.snapshot()?;
    let boot = snapshot.boot + 1;
    let engine = build(config, home.identity(), snapshot, clock)?;
    let database = Database::start(Arc::clone(home), store, replies).map_err(BootError::Thread)?;
    Ok(Booted { boot, engine, database })
}

fn build(config: &Config, identity: &IdentityKey, snapshot: Snapshot, clock: Clock) -> Result<NodeEngine, BootError> {
    let sealer = if snapshot.account.is_empty() { OlmSealer::generate() } else { OlmSealer::load(&snapshot.account)? };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(BootError::Random)?;
    let identity = IdentityKey::from_seed(&identity.seed());
    Ok(Engine::new(engine_config(config), identity, sealer, snapshot, clock.now(), seed))
}

/// The engine's part of the configuration.
fn engine_config(config: &Config) -> engine::Config {
    let preset = config.profile.preset();
    let mut engine = engine::Config::default();
    engine.name.clone_from(&config.name);
    engine.links.no_dial = config.dialling == Dialling::Named;
    engine.links.idle_interval = preset.keep_alive;
    engine.relay.held_bytes = preset.relay_bytes;
    engine.topology.kind = config.topology;
    engine.topology.tell_neighbours = preset.tell_neighbours == Switch::On;
    engine.told = engine::Told { power: preset.power, labels: config.labels.texts() };
    engine
}

/// What a reopening needs.
pub(super) struct Reopening {
    /// The thread that failed, to be ended first.
    pub(super) failed: Option<Database>,
    pub(super) home: Arc<Home>,
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) replies: mpsc::Sender<StoreReply>,
    pub(super) pause: Duration,
}

/// Opens the database again, off the driver's task; must run within a Tokio runtime.
pub(super) fn reopen(reopening: Reopening, reopened: mpsc::Sender<Reopened>) {
    tokio::spawn(async move {
        tokio::time::sleep(reopening.pause).await;
        let result = tokio::task::spawn_blocking(move || {
            if let Some(failed) = reopening.failed {
                failed.stop();
            }
            boot(&reopening.home, &reopening.config, reopening.clock, reopening.replies)
                .map(Box::new)
                .map_err(|error| error.to_string())
        });
        let result = result.await.unwrap_or_else(|_| Err("the attempt was interrupted".to_owned()));
        // An error means that the driver is gone.
        let _ = reopened.send(result).await;
    });
}

#[cfg(test)]
mod tests {
    use tidings_core::topology::Kind;
    use tidings_crypto::Power;

    use super::*;
    use crate::config::Profile;
    use crate::labels::Labels;

    #[test]
    fn the_engine_gets_what_was_configured_and_what_the_profile_stands_for() {
        let mut config = Config::default();
        config.topology = Kind::Star;
        config.labels = Labels::new([("room", "kitchen")]).unwrap();
        config.profile = Profile::Phone;
        let engine = engine_config(&config);
        assert_eq!((engine.topology.kind, engine.topology.tell_neighbours), (Kind::Star, false));
        assert_eq!((engine.told.power, engine.told.labels), (Power::Battery, vec!["room=kitchen".to_owned()]));
        assert_eq!(engine.relay.held_bytes, 4 << 20);
        config.profile = Profile::Server;
        let engine = engine_config(&config);
        assert!(engine.topology.tell_neighbours);
        assert_eq!((engine.told.power, engine.relay.held_bytes), (Power::Mains, 64 << 20));
    }
}
