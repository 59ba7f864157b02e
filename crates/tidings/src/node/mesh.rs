//! The mesh around a node: ways, shape, figures, and what the node tells of itself.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::topology::{Graph, Kind, Metrics};
use tidings_core::view::{DeliveryView, RouteView, TopologyView};

use super::{CallError, Node, done};
use crate::driver::call::Call;
use crate::labels::Labels;

/// The network in figures, each measured by this node or computed from what others announce.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Network {
    /// What the known graph comes to.
    pub metrics: Metrics,
    /// How well what this node sends arrives.
    pub delivery: DeliveryView,
    /// How long the last loss of links left this node with fewer than it wants; `None` if that has not happened, or
    /// lasts.
    pub recovery: Option<Duration>,
}

impl Node {
    /// Returns the ways to everybody who can be reached, in the order of routing ids.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn routes(&self) -> Result<Vec<RouteView>, CallError> {
        self.look(|engine| engine.route_views()).await
    }

    /// Returns the island as this node knows it: its own links, and those that others tell of.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn graph(&self) -> Result<Graph, CallError> {
        self.look(|engine| engine.graph()).await
    }

    /// Returns the figures of the network. In an island of thousands that takes a tenth of a second of a thread, of
    /// which there is one: callers wait for each other.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn network(&self) -> Result<Network, CallError> {
        let turn = Arc::clone(&self.shared.measuring).acquire_owned().await.map_err(|_| CallError::Stopped)?;
        let look = self.look(|engine| (engine.graph(), engine.delivery_view(), engine.topology_view()));
        let (graph, delivery, topology) = look.await?;
        // The turn ends with the computation, which goes on where the caller has left.
        let measured = self.shared.runtime.spawn_blocking(move || {
            let metrics = graph.measure();
            drop(turn);
            metrics
        });
        let metrics = measured.await.map_err(|_| CallError::Stopped)?;
        let recovery = topology.stats.last_recovery_ms.map(Duration::from_millis);
        Ok(Network { metrics, delivery, recovery })
    }

    /// Returns in which shape the node lays its links, and why.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn topology(&self) -> Result<TopologyView, CallError> {
        self.look(|engine| engine.topology_view()).await
    }

    /// Lays links in another shape from now on, until the node ends: it starts with
    /// [`Config::topology`](crate::Config::topology).
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn set_topology(&self, kind: Kind) -> Result<(), CallError> {
        done(self.ask(|answer| Call::SetTopology(kind, answer)).await?)
    }

    /// Returns what the node tells everybody about itself.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn labels(&self) -> Result<Labels, CallError> {
        let texts = self.look(|engine| engine.told().labels.clone()).await?;
        Ok(Labels::from_texts(texts).unwrap_or_default())
    }

    /// Tells everybody this about the node, in place of what it told before, until the node ends: it starts with
    /// [`Config::labels`](crate::Config::labels).
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), CallError> {
        done(self.ask(|answer| Call::SetLabels(labels, answer)).await?)
    }
}
