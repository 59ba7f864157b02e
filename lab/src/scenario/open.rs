//! What keys about open topologies and about what nodes are like can be wrong about together.

use super::check::{Checked, wrong};
use super::load::Step;
use super::topology::Shape;
use super::{Nodes, Scenario, SimExpect};

fn within(table: &'static str, key: &'static str) -> Vec<Step> {
    vec![Step::Key(table), Step::Key(key)]
}

impl Scenario {
    pub(super) fn check_open(&self) -> Checked {
        let topology = &self.topology;
        let (told, joined) = (topology.told.unwrap_or(0), topology.joined.unwrap_or(0));
        if topology.kind != Shape::Open {
            let given = [("told", topology.told.is_some()), ("joined", topology.joined.is_some())];
            if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
                let problem = format!("expected no {key} in a topology that is not open");
                return Err(wrong(within("topology", key), problem));
            }
            return self.sim.expect.of_open().map_or(Ok(()), |key| {
                let path = vec![Step::Key("sim"), Step::Key("expect"), Step::Key(key)];
                Err(wrong(path, format!("expected no {key} in a topology that is not open")))
            });
        }
        let most = topology.nodes - 1;
        let key = if topology.told.is_some() { "told" } else { "joined" };
        if (1..=most).contains(&(told + joined)) {
            return Ok(());
        }
        Err(wrong(
            within("topology", key),
            format!("expected told and joined of 1 to {most} together, got {}", told + joined),
        ))
    }

    pub(super) fn check_nodes(&self) -> Checked {
        let (mains, battery) = (&self.nodes.mains, &self.nodes.battery);
        for (key, nodes) in [("mains", mains), ("battery", battery)] {
            if let Some(Nodes::These(nodes)) = nodes {
                nodes.iter().try_for_each(|node| self.node(*node, within("nodes", key)))?;
            }
        }
        match (mains, battery) {
            (Some(Nodes::All), Some(Nodes::All)) => {
                Err(wrong(within("nodes", "battery"), "expected all nodes either on mains or on batteries"))
            }
            (Some(Nodes::These(mains)), Some(Nodes::These(battery))) => {
                let both = battery.iter().find(|node| mains.contains(node));
                both.map_or(Ok(()), |node| {
                    let problem = format!("expected a node either on mains or on a battery, got {node} twice");
                    Err(wrong(within("nodes", "battery"), problem))
                })
            }
            (_, _) => Ok(()),
        }
    }
}

impl SimExpect {
    /// The first key that is about the shape of an open topology.
    fn of_open(&self) -> Option<&'static str> {
        let given = [
            ("diameter", self.diameter.is_some()),
            ("largest_degree", self.largest_degree.is_some()),
            ("one_component", self.one_component),
            ("link_changes", self.link_changes.is_some()),
            ("kind", self.kind.is_some()),
            ("kind_changes", self.kind_changes.is_some()),
            ("kinds_apart", self.kinds_apart.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(key, _)| key)
    }
}
