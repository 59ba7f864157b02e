//! What the shapes of runs came to, for people.

use std::collections::BTreeMap;

use tidings_core::topology::Kind;

use super::{Figures, Written};

/// Says it of all runs together.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(in crate::sim) fn print(shapes: &[Figures]) {
    if shapes.is_empty() {
        return;
    }
    let whole = |figure: fn(&Figures) -> u64| range(shapes.iter().map(|shape| figure(shape) as f64), 0);
    let part = |figure: fn(&Figures) -> f64| range(shapes.iter().map(figure), 3);
    println!(
        "shape: {} nodes in {} components, diameter {}, path {}, degree {}, largest {}",
        whole(|shape| shape.living as u64),
        whole(|shape| shape.components as u64),
        whole(|shape| u64::from(shape.diameter)),
        part(|shape| shape.mean_path),
        part(|shape| shape.mean_degree),
        whole(|shape| shape.largest_degree as u64),
    );
    println!(
        "links per node and minute: laid {}, dropped {}, lost with a node {}",
        part(|shape| shape.laid),
        part(|shape| shape.dropped),
        part(|shape| shape.lost),
    );
    println!(
        "written per node and minute: {} bytes, {} of them control",
        whole(|shape| shape.written.all as u64),
        whole(|shape| shape.written.control as u64),
    );
    print_batteries(shapes);
    let mut kinds: BTreeMap<Kind, (usize, u64)> = BTreeMap::new();
    for shape in shapes {
        shape.kinds.iter().for_each(|(kind, nodes)| kinds.entry(*kind).or_default().0 += nodes);
        shape.changes.to.iter().for_each(|(kind, changes)| kinds.entry(*kind).or_default().1 += changes);
    }
    let kinds = kinds.iter().map(|(kind, (nodes, changes))| format!("{kind} {nodes} (taken up {changes} times)"));
    println!("kinds in which nodes lay links at the end: {}", kinds.collect::<Vec<_>>().join(", "));
    let apart = shapes.iter().filter_map(|shape| shape.changes.apart).min();
    println!(
        "changes of kind of a node: {} at most, {} apart at least",
        whole(|shape| shape.changes.most),
        apart.map_or("no two".to_owned(), |micros| format!("{:.0} s", micros as f64 / 1e6)),
    );
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
fn print_batteries(shapes: &[Figures]) {
    let of = |figure: fn(&Written) -> f64| shapes.iter().filter_map(|shape| shape.battery_written.as_ref()).map(figure);
    if of(|_| 0.0).next().is_some() {
        println!(
            "on batteries: links {}, written per node and minute {} bytes, {} of them control",
            range(shapes.iter().filter_map(|shape| shape.battery_degree), 3),
            range(of(|written| written.all), 0),
            range(of(|written| written.control), 0),
        );
    }
}

/// The least and the most of some numbers, where they differ.
fn range(numbers: impl Iterator<Item = f64>, digits: usize) -> String {
    let (least, most) =
        numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), n| (least.min(n), most.max(n)));
    let (least, most) = (format!("{least:.digits$}"), format!("{most:.digits$}"));
    if least == most { least } else { format!("{least} to {most}") }
}
