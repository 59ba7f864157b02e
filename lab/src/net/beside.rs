//! The same scenario and seed in the simulator, beside a run with real nodes.
#![expect(clippy::print_stdout, reason = "the answer of a command")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::Result;

use super::accepted::{accepted, shown};
use super::run::{Outcome, Setup};
use crate::checker;
use crate::log::Line;
use crate::sim::{self, How};

/// How far apart the bytes may be, in percent of the simulator's.
const BYTES_APART: u64 = 20;

/// For each sender and recipient: messages accepted and not cancelled or refused, and those of them that were shown.
type Deliveries = BTreeMap<(u32, u32), (usize, usize)>;

/// Runs the simulator too, and says where the two differ. Only the same verdict, the same deliveries and bytes that
/// are near enough are a success.
pub(super) fn compare(setup: &Setup, outcome: &Outcome) -> Result<ExitCode> {
    let how = How { traced: false, logged: true, faults: None };
    let simulated = sim::run(&setup.scenario, setup.seed, &how);
    let real = deliveries(&checker::read(&setup.logs)?);
    let virtual_ones = deliveries(&simulated.log);
    let sum = |of: &Deliveries| of.values().fold((0, 0), |(a, d), (accepted, delivered)| (a + accepted, d + delivered));
    let ((accepted, delivered), (accepted_there, delivered_there)) = (sum(&real), sum(&virtual_ones));
    println!("beside it the simulator, seed {}:", setup.seed);
    println!("violations {}, there {}", outcome.verdict.violations.len(), simulated.verdict.violations.len());
    println!("accepted {accepted}, delivered {delivered}; there {accepted_there} and {delivered_there}");
    let pairs: BTreeSet<_> = real.keys().chain(virtual_ones.keys()).collect();
    let whole = |of: &Deliveries, pair| of.get(pair).is_none_or(|(accepted, delivered)| accepted == delivered);
    let differ = pairs.iter().filter(|pair| whole(&real, **pair) != whole(&virtual_ones, **pair)).count();
    println!("pairs of sender and recipient {}, where all arrived in one only: {differ}", pairs.len());
    let (bytes, there) = (outcome.reports.iter().map(|report| report.bytes).sum::<u64>(), simulated.tally.bytes);
    // By the message: real clocks fit a few more or fewer calls into the same time.
    let each = |bytes: u64, messages: usize| bytes / u64::try_from(messages).unwrap_or(u64::MAX).max(1);
    let (each, each_there) = (each(bytes, accepted), each(there, accepted_there));
    let near = each.abs_diff(each_there) * 100 <= each_there * BYTES_APART;
    println!("bytes on links {bytes}, {each} for each message; there {there} and {each_there}");
    let alike = outcome.verdict.violations.is_empty() == simulated.verdict.violations.is_empty() && differ == 0;
    println!("{}", if alike && near { "the two agree" } else { "the two differ" });
    Ok(if alike && near { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn deliveries(log: &[Line]) -> Deliveries {
    let shown = shown(log);
    // A call that is made again is answered with the ids of the first.
    let messages: BTreeMap<_, _> = accepted(log).into_iter().map(|message| (message.id, message)).collect();
    let mut deliveries = Deliveries::new();
    for message in messages.values() {
        let (accepted, delivered) = deliveries.entry((message.from, message.to)).or_default();
        *accepted += 1;
        *delivered += usize::from(shown.contains_key(&message.id));
    }
    deliveries
}

#[cfg(test)]
mod tests {
    use tidings_core::ids::{FlowId, MessageId};

    use super::*;
    use crate::log::{Entry, Hash, Id, Outcome as Answer, Submitted};
    use crate::scenario::ClassName;

    #[test]
    fn what_was_accepted_is_counted_with_what_was_shown_of_it() {
        let id = |seq| Id(MessageId { flow: FlowId([0; 8]), seq });
        let message = |to| Submitted {
            to,
            class: ClassName::Normal,
            hash: Hash::of(b"x"),
            bytes: 1,
            lifetime_ms: 1,
            stream: None,
        };
        let line = |node, entry| Line { at: 0, node: Some(node), entry };
        let results = vec![Answer::Accepted(id(1)), Answer::Refused("full".to_owned()), Answer::Accepted(id(2))];
        let messages = vec![message(1), message(1), message(2)];
        let log = [
            line(0, Entry::Submit { call: 3, messages, repeats: None }),
            line(0, Entry::Answer { call: 3, results }),
            line(1, Entry::Shown { id: id(1), from: 0, hash: Hash::of(b"x"), stream: None }),
        ];
        assert_eq!(deliveries(&log), Deliveries::from([((0, 1), (1, 1)), ((0, 2), (1, 0))]));
    }
}
