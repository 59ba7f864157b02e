//! The sets against `BTreeSet`, and the wire form against its bounds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn operations() -> impl Strategy<Value = Vec<(bool, u64, u64)>> {
    prop::collection::vec((any::<bool>(), 0u64..60, 0u64..8), 0..40)
}

fn apply(operations: &[(bool, u64, u64)]) -> (IntervalSet, BTreeSet<u64>) {
    let (mut set, mut model) = (IntervalSet::new(), BTreeSet::new());
    for (insert, from, length) in operations {
        let to = from + length;
        if *insert {
            set.insert(*from, to);
            model.extend(*from..=to);
        } else {
            set.remove(*from, to);
            model.retain(|seq| !(*from..=to).contains(seq));
        }
    }
    (set, model)
}

proptest! {
    #[test]
    fn behaves_as_a_set_of_numbers(operations in operations(), other in operations(), probe in 0u64..70) {
        let (set, model) = apply(&operations);
        prop_assert_eq!(set.seqs().collect::<BTreeSet<_>>(), model.clone());
        prop_assert!(set.intervals.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        prop_assert_eq!(set.contains(probe), model.contains(&probe));
        prop_assert_eq!(set.count(), model.len() as u64);
        prop_assert_eq!(set.first_missing(probe), (probe..).find(|seq| !model.contains(seq)).expect("finite"));

        let (other_set, other_model) = apply(&other);
        prop_assert_eq!(set.covers(&other_set), other_model.is_subset(&model));
        let common = set.intersection(&other_set);
        prop_assert_eq!(common.seqs().collect::<BTreeSet<_>>(), &model & &other_model);
        prop_assert_eq!(set.difference(&other_set).seqs().collect::<BTreeSet<_>>(), &model - &other_model);
    }

    #[test]
    fn wire_form_round_trips(operations in operations(), base in 0u64..30) {
        let (mut set, _) = apply(&operations);
        set.remove_below(base);
        prop_assert_eq!(IntervalSet::from_wire(&set.to_wire(base), base, 64), Ok(set));
    }

    #[test]
    fn any_list_is_read_or_refused(list in prop::collection::vec(any::<u64>(), 0..20), base: u64) {
        if let Ok(set) = IntervalSet::from_wire(&list, base, 8) {
            prop_assert!(set.intervals() <= 8);
            prop_assert_eq!(set.to_wire(base), list);
        }
    }
}

#[test]
fn the_highest_number_can_be_held_and_removed() {
    let mut set = IntervalSet::of(u64::MAX - 1, u64::MAX);
    assert!(set.contains(u64::MAX));
    assert_eq!(set.to_wire(0), vec![u64::MAX - 1, 1]);
    set.remove(u64::MAX, u64::MAX);
    assert_eq!(set, IntervalSet::of(u64::MAX - 1, u64::MAX - 1));
}

#[test]
fn lists_beyond_the_bound_are_refused_before_they_are_read() {
    let list = vec![1; 2 * 65];
    assert_eq!(IntervalSet::from_wire(&list, 0, 64), Err(IntervalError::TooMany { limit: 64, got: 65 }));
}
