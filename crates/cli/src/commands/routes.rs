//! `tidings routes`.

use tidings_api::types::{Exit, Route};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Style, harmless_line};

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let list = context.client().await?.routes().await?;
        context.print(&list, |out| human(out, context.style(), &list.routes))?;
        Ok(Exit::Done)
    })
}

fn human(out: &mut String, style: Style, routes: &[Route]) {
    if routes.is_empty() {
        out.push_str("nobody can be reached yet; see `tidings peers`, or run `tidings doctor`\n");
        return;
    }
    let headings = ["NAME", "PEER ID", "HOPS", "COST", "BY WAY OF", "OR"];
    let rows: Vec<Vec<String>> = routes.iter().map(|route| row(route, routes)).collect();
    output::table(out, style, &headings, &rows);
}

fn row(route: &Route, routes: &[Route]) -> Vec<String> {
    let by_way_of = if route.next_hop == route.peer_id {
        "a link".to_owned()
    } else {
        called(&route.next_hop_name, &route.next_hop)
    };
    let second = route.second_next_hop.as_ref().map(|peer| {
        let known = routes.iter().find(|other| other.peer_id == *peer);
        known.map_or_else(|| peer.clone(), |other| called(&other.name, peer))
    });
    vec![
        if route.name.is_empty() { "-".to_owned() } else { harmless_line(&route.name) },
        route.peer_id.clone(),
        route.hops.to_string(),
        route.cost.to_string(),
        by_way_of,
        second.unwrap_or_else(|| "-".to_owned()),
    ]
}

/// A name where there is one, else the peer id.
fn called(name: &str, peer: &str) -> String {
    if name.is_empty() { peer.to_owned() } else { harmless_line(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(peer: &str, name: &str, next: (&str, &str), hops: u8, second: Option<&str>) -> Route {
        Route {
            peer_id: peer.to_owned(),
            name: name.to_owned(),
            hops,
            cost: hops,
            next_hop: next.0.to_owned(),
            next_hop_name: next.1.to_owned(),
            second_next_hop: second.map(str::to_owned),
        }
    }

    #[test]
    fn a_route_shows_both_next_hops_by_name_and_a_neighbour_its_link() {
        let routes = [
            route("A", "anna", ("A", "anna"), 1, None),
            route("B", "", ("B", ""), 1, Some("A")),
            route("C", "c\u{1b}[2J", ("A", "anna"), 2, Some("B")),
        ];
        let mut out = String::new();
        human(&mut out, Style::Plain, &routes);
        let expected = "NAME        PEER ID  HOPS  COST  BY WAY OF  OR\n\
                        anna        A        1     1     a link     -\n\
                        -           B        1     1     a link     anna\n\
                        c\\u{1b}[2J  C        2     2     anna       B\n";
        assert_eq!(out, expected);
    }
}
