//! The mesh: routes, topology, figures of the network, and labels.

use std::collections::HashMap;
use std::time::Duration;

use tidings::{DeliveryView, Graph, Labels as Told, NodeInfo, PeerId, RouteView, View, Way};

use super::State;
use super::extract::Json;
use crate::types::{
    Code, Hotspot, Labels, Latency, Network, PeerRoute, Problem, Route, RouteChange, RouteList, Topology,
    TopologyChange, TopologyKind, TopologyNode,
};

/// What to call peers: as contacts, else as they call themselves.
struct Called<'a>(HashMap<PeerId, &'a str>);

impl<'a> Called<'a> {
    fn new(view: &'a View) -> Self {
        let own = view.peers.iter().map(|peer| (peer.peer, peer.name.as_str()));
        let contacts = view.contacts.iter().map(|contact| (contact.peer, contact.name.as_str()));
        Self(own.chain(contacts).collect())
    }

    /// This node too, by its own name.
    fn and_itself(mut self, info: &'a NodeInfo) -> Self {
        self.0.insert(info.peer_id, &info.name);
        self
    }

    fn name(&self, peer: PeerId) -> String {
        self.0.get(&peer).copied().unwrap_or_default().to_owned()
    }
}

/// Everybody who can be reached, and by way of whom.
#[utoipa::path(get, path = "/v1/routes", tag = "mesh", responses((status = 200, body = RouteList)))]
pub(super) async fn routes(state: State) -> Result<axum::Json<RouteList>, Problem> {
    let view = state.node.view().await?;
    let called = Called::new(&view);
    let mut routes: Vec<Route> = view.routes.iter().map(|route| shown(route, &called)).collect();
    routes.sort_by(|a, b| (a.hops, &a.name, &a.peer_id).cmp(&(b.hops, &b.name, &b.peer_id)));
    Ok(axum::Json(RouteList { routes }))
}

fn shown(route: &RouteView, called: &Called<'_>) -> Route {
    Route {
        peer_id: route.peer.to_string(),
        name: called.name(route.peer),
        hops: route.hops,
        cost: route.cost,
        next_hop: route.next.to_string(),
        next_hop_name: called.name(route.next),
        second_next_hop: route.second.map(|peer| peer.to_string()),
    }
}

/// The ways to peers, as a list of them shows them.
pub(super) fn ways(view: &View) -> HashMap<PeerId, PeerRoute> {
    let way = |route: &RouteView| PeerRoute { hops: route.hops, next_hop: route.next.to_string() };
    view.routes.iter().map(|route| (route.peer, way(route))).collect()
}

/// A change of a way, for the stream.
pub(super) fn change(change: &tidings::RouteChange) -> RouteChange {
    let way = |way: Way| PeerRoute { hops: way.hops, next_hop: way.next.to_string() };
    RouteChange { peer_id: change.peer.to_string(), route: change.way.map(way) }
}

/// The network as this node knows it.
#[utoipa::path(get, path = "/v1/topology", tag = "mesh", responses((status = 200, body = Topology)))]
pub(super) async fn topology(state: State) -> Result<axum::Json<Topology>, Problem> {
    Ok(axum::Json(known(&state).await?))
}

/// Lays links in another shape from now on.
#[utoipa::path(put, path = "/v1/topology", tag = "mesh", request_body = TopologyChange,
    responses((status = 200, body = Topology)))]
pub(super) async fn set_topology(
    state: State,
    Json(change): Json<TopologyChange>,
) -> Result<axum::Json<Topology>, Problem> {
    state.node.set_topology(chosen(change.kind)).await?;
    Ok(axum::Json(known(&state).await?))
}

async fn known(state: &State) -> Result<Topology, Problem> {
    let graph = state.node.graph().await?;
    let view = state.node.view().await?;
    let info = state.node.info().await;
    let called = Called::new(&view).and_itself(&info);
    let node = |node: &tidings::GraphNode| TopologyNode {
        peer_id: node.peer.to_string(),
        name: called.name(node.peer),
        reachable: node.reachable,
        degree: node.degree,
    };
    Ok(Topology {
        kind: kind(view.topology.kind),
        shape: kind(view.topology.shape),
        reason: view.topology.reason.clone(),
        nodes: graph.nodes.iter().map(node).collect(),
        links: links(&graph),
    })
}

fn links(graph: &Graph) -> Vec<[String; 2]> {
    let peer = |place: u32| graph.nodes.get(place as usize).map(|node| node.peer.to_string());
    graph.edges.iter().filter_map(|(one, other)| Some([peer(*one)?, peer(*other)?])).collect()
}

pub(super) fn kind(kind: tidings::Topology) -> TopologyKind {
    match kind {
        tidings::Topology::Mesh => TopologyKind::Mesh,
        tidings::Topology::Ring => TopologyKind::Ring,
        tidings::Topology::Hierarchical => TopologyKind::Hierarchical,
        tidings::Topology::Star => TopologyKind::Star,
        tidings::Topology::Adaptive => TopologyKind::Adaptive,
    }
}

fn chosen(kind: TopologyKind) -> tidings::Topology {
    match kind {
        TopologyKind::Mesh => tidings::Topology::Mesh,
        TopologyKind::Ring => tidings::Topology::Ring,
        TopologyKind::Hierarchical => tidings::Topology::Hierarchical,
        TopologyKind::Star => tidings::Topology::Star,
        TopologyKind::Adaptive => tidings::Topology::Adaptive,
    }
}

/// The figures of the network. In an island of thousands they take a tenth of a second to compute.
#[utoipa::path(get, path = "/v1/network", tag = "mesh", responses((status = 200, body = Network)))]
pub(super) async fn network(state: State) -> Result<axum::Json<Network>, Problem> {
    let tidings::Network { metrics, delivery, recovery, .. } = state.node.network().await?;
    let view = state.node.view().await?;
    let info = state.node.info().await;
    let called = Called::new(&view).and_itself(&info);
    let hotspots = metrics.hotspots.iter().map(|hotspot| Hotspot {
        peer_id: hotspot.peer.to_string(),
        name: called.name(hotspot.peer),
        share: hotspot.share,
    });
    Ok(axum::Json(Network {
        size: metrics.size,
        drawn: metrics.drawn,
        links: metrics.links,
        components: metrics.components,
        fragmentation: metrics.fragmentation,
        density: metrics.density,
        average_degree: metrics.average_degree,
        clustering: metrics.clustering,
        average_path_length: metrics.average_path_length,
        diameter: metrics.diameter,
        hotspots: hotspots.collect(),
        delivery_rate: delivery_rate(&delivery),
        latency: latency(&delivery),
        recovery_seconds: recovery.as_ref().map(Duration::as_secs_f64),
    }))
}

fn delivery_rate(delivery: &DeliveryView) -> Option<f64> {
    let done = delivery.in_time + delivery.missed;
    (done > 0).then(|| delivery.in_time as f64 / done as f64)
}

fn latency(delivery: &DeliveryView) -> Option<Latency> {
    let latest = delivery.latest?;
    Some(Latency {
        samples: latest.samples,
        p50_seconds: latest.p50.as_secs_f64(),
        p90_seconds: latest.p90.as_secs_f64(),
        p99_seconds: latest.p99.as_secs_f64(),
        max_seconds: latest.max.as_secs_f64(),
    })
}

/// What this node tells everybody about itself.
#[utoipa::path(get, path = "/v1/labels", tag = "mesh", responses((status = 200, body = Labels)))]
pub(super) async fn labels(state: State) -> Result<axum::Json<Labels>, Problem> {
    Ok(axum::Json(told(&state.node.labels().await?)))
}

/// Tells everybody this about the node, in place of what it told before.
#[utoipa::path(put, path = "/v1/labels", tag = "mesh", request_body = Labels,
    responses((status = 200, body = Labels)))]
pub(super) async fn set_labels(state: State, Json(labels): Json<Labels>) -> Result<axum::Json<Labels>, Problem> {
    let labels = Told::new(labels.labels).map_err(|error| Problem::new(Code::InvalidLabel, error.to_string()))?;
    state.node.set_labels(labels.clone()).await?;
    Ok(axum::Json(told(&labels)))
}

fn told(labels: &Told) -> Labels {
    Labels { labels: labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_is_not_known() {
        let delivery = |in_time, missed| DeliveryView { in_time, missed, ..DeliveryView::default() };
        assert_eq!(delivery_rate(&delivery(0, 0)), None);
        assert_eq!(delivery_rate(&delivery(0, 2)), Some(0.0));
        assert_eq!(delivery_rate(&delivery(3, 1)), Some(0.75));
    }
}
