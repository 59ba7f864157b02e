//! Shapes in virtual time.

use super::*;
use crate::sim::Purpose;

const MILLISECOND: Duration = Duration::from_millis(1);

fn shaper(shape: Shape) -> Shaper {
    Shaper::new(shape, Dice::split(1, Purpose::Links))
}

/// Offers frames of 1,000 bytes, one per millisecond.
fn offer(shaper: &mut Shaper, count: u32) -> Vec<Fate> {
    (0..count).map(|number| shaper.offer(MILLISECOND * number, 1_000)).collect()
}

fn lost(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| **fate == Err(Drop::Lost)).count()
}

#[test]
fn a_plain_line_carries_everything_at_once() {
    let fates = offer(&mut shaper(Shape::default()), 3);
    let at = |number| Ok((Arrival { at: MILLISECOND * number, turned_bit: None }, None));
    assert_eq!(fates, [at(0), at(1), at(2)]);
}

#[test]
fn jitter_comes_on_top_of_the_delay_and_keeps_the_order() {
    let shape = Shape { delay: 50 * MILLISECOND, jitter: 20 * MILLISECOND, ..Shape::default() };
    let arrivals: Vec<_> = offer(&mut shaper(shape), 1_000).into_iter().map(|fate| fate.unwrap().0.at).collect();
    assert!(arrivals.is_sorted());
    for (number, at) in (0..).zip(&arrivals) {
        let under_way = *at - MILLISECOND * number;
        assert!((50 * MILLISECOND..70 * MILLISECOND).contains(&under_way), "{under_way:?}");
    }
    assert!(arrivals.iter().zip(0..).any(|(at, number)| *at - MILLISECOND * number > 60 * MILLISECOND));
}

#[test]
fn a_slow_line_spaces_frames_out_and_its_queue_is_bounded() {
    let shape = Shape { bytes_per_second: Some(100_000), queue_bytes: 3_000, ..Shape::default() };
    let mut slow = shaper(shape);
    let at_once: Vec<_> = (0..5).map(|_| slow.offer(Duration::ZERO, 1_000)).collect();
    let at = |number| Ok((Arrival { at: 10 * MILLISECOND * number, turned_bit: None }, None));
    assert_eq!(at_once, [at(1), at(2), at(3), Err(Drop::QueueFull), Err(Drop::QueueFull)]);
    assert_eq!(slow.offer(10 * MILLISECOND, 1_000), at(4));
    assert_eq!(slow.offer(100 * MILLISECOND, 1_000), at(11));
}

#[test]
fn even_loss_takes_its_share() {
    let fates = offer(&mut shaper(Shape { loss: Loss::even(200_000), ..Shape::default() }), 100_000);
    assert!((19_500..20_500).contains(&lost(&fates)), "{} of 100,000", lost(&fates));
}

#[test]
fn loss_in_bursts_takes_the_same_share_in_longer_runs() {
    let fates = offer(&mut shaper(Shape { loss: Loss::bursts(200_000, 10), ..Shape::default() }), 400_000);
    let share = lost(&fates) as f64 / fates.len() as f64;
    let bursts = fates.windows(2).filter(|pair| pair[0].is_ok() && pair[1].is_err()).count();
    let length = lost(&fates) as f64 / bursts as f64;
    assert!((0.18..0.22).contains(&share), "{share}");
    assert!((9.0..11.0).contains(&length), "{length}");
}

#[test]
fn bursts_that_take_all_take_all() {
    let fates = offer(&mut shaper(Shape { loss: Loss::bursts(MILLION, 5), ..Shape::default() }), 1_000);
    assert_eq!(lost(&fates), 1_000);
}

#[test]
fn duplicates_and_turned_bits_take_their_share() {
    let shape = Shape { duplicate: 100_000, corrupt: 50_000, ..Shape::default() };
    let fates = offer(&mut shaper(shape), 10_000);
    let twice = fates.iter().flatten().filter(|(_, second)| second.is_some()).count();
    let turned: Vec<_> = fates.iter().flatten().filter_map(|(first, _)| first.turned_bit).collect();
    assert!((900..1_100).contains(&twice), "{twice}");
    assert!((420..580).contains(&turned.len()), "{}", turned.len());
    assert!(turned.iter().all(|&bit| bit < 8_000));
}

#[test]
fn a_held_back_frame_is_overtaken() {
    let fates = offer(&mut shaper(Shape { reorder: 100_000, ..Shape::default() }), 10_000);
    let arrivals: Vec<_> = fates.into_iter().map(|fate| fate.unwrap().0.at).collect();
    let overtaken = arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((800..1_100).contains(&overtaken), "{overtaken}");
}

#[test]
fn large_frames_and_blackholes_vanish() {
    let mut narrow = shaper(Shape { largest_frame: Some(999), ..Shape::default() });
    assert_eq!(narrow.offer(Duration::ZERO, 1_000), Err(Drop::TooLarge));
    assert!(narrow.offer(Duration::ZERO, 999).is_ok());
    narrow.set(Shape { blackhole: true, ..Shape::default() });
    assert_eq!(narrow.offer(Duration::ZERO, 1), Err(Drop::Blackhole));
}

#[test]
fn the_same_seed_gives_the_same_fates() {
    let shape = Shape {
        jitter: 20 * MILLISECOND,
        loss: Loss::bursts(300_000, 4),
        duplicate: 100_000,
        reorder: 100_000,
        corrupt: 100_000,
        ..Shape::default()
    };
    let draw = |seed| offer(&mut Shaper::new(shape.clone(), Dice::split(seed, Purpose::Links)), 1_000);
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
