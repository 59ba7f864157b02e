//! What power cuts leave.

use super::*;
use crate::sim::Purpose;

fn volume() -> (tempfile::TempDir, Volume) {
    let directory = tempfile::tempdir().unwrap();
    let volume = Volume::new(directory.path().to_owned());
    (directory, volume)
}

fn create(volume: &mut Volume, name: &str) -> u64 {
    volume.create(ROOT, OsStr::new(name), 0o600).unwrap().0
}

/// A file's bytes, as lengths of runs of one byte.
fn read(directory: &tempfile::TempDir, name: &str) -> Option<Vec<(u8, usize)>> {
    Some(runs(&fs::read(directory.path().join(name)).ok()?))
}

fn runs(bytes: &[u8]) -> Vec<(u8, usize)> {
    bytes.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

/// Has the same happen under many dice, and returns what was seen.
fn outcomes<T: Ord>(mut run: impl FnMut(&mut Dice) -> T) -> std::collections::BTreeSet<T> {
    (0..64).map(|seed| run(&mut Dice::split(seed, Purpose::Faults))).collect()
}

#[test]
fn what_is_synced_survives() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, b"synced").unwrap();
        volume.sync(file).unwrap();
        volume.sync_directory(ROOT).unwrap();
        assert_eq!(volume.cut(dice).unwrap(), Lost::default());
        read(&directory, "a")
    });
    assert_eq!(seen, [Some(runs(b"synced"))].into());
}

#[test]
fn a_write_that_is_not_synced_is_lost_or_kept_block_by_block() {
    let blocks = |a: u8, b: u8| Some(runs(&[[a; 4_096], [b; 4_096]].concat()));
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, &[1; 8_192]).unwrap();
        volume.sync(file).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.write(file, 10, &[2; 3]).unwrap();
        volume.write(file, 0, &[3; 8_192]).unwrap();
        volume.cut(dice).unwrap();
        read(&directory, "a")
    });
    assert_eq!(seen, [blocks(1, 1), blocks(1, 3), blocks(3, 1), blocks(3, 3)].into());
}

#[test]
fn a_file_that_has_grown_is_short_again_or_holds_zeros_or_all() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, &[1; 4_096]).unwrap();
        volume.sync(file).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.write(file, 4_096, &[2; 4_096]).unwrap();
        volume.cut(dice).unwrap();
        read(&directory, "a")
    });
    assert_eq!(seen, [vec![(1, 4_096)], vec![(1, 4_096), (0, 4_096)], vec![(1, 4_096), (2, 4_096)]].map(Some).into());
}

#[test]
fn a_truncation_that_is_not_synced_may_be_taken_back() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, &[1; 5_000]).unwrap();
        volume.sync(file).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.truncate(file, 0).unwrap();
        volume.cut(dice).unwrap();
        read(&directory, "a")
    });
    assert_eq!(seen, [Some(Vec::new()), Some(vec![(1, 5_000)])].into());
}

#[test]
fn a_name_without_a_sync_of_its_directory_may_be_lost() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, b"x").unwrap();
        volume.sync(file).unwrap();
        volume.cut(dice).unwrap();
        read(&directory, "a")
    });
    assert_eq!(seen, [None, Some(runs(b"x"))].into());
}

#[test]
fn a_replacement_shows_the_old_or_the_new() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let old = create(&mut volume, "a");
        volume.write(old, 0, b"old").unwrap();
        volume.sync(old).unwrap();
        volume.sync_directory(ROOT).unwrap();
        let new = create(&mut volume, "a.new");
        volume.write(new, 0, b"new").unwrap();
        volume.sync(new).unwrap();
        volume.rename(ROOT, OsStr::new("a.new"), ROOT, OsStr::new("a")).unwrap();
        volume.cut(dice).unwrap();
        (read(&directory, "a"), read(&directory, "a.new"))
    });
    let (old, new) = (Some(runs(b"old")), Some(runs(b"new")));
    assert_eq!(seen, [(old.clone(), None), (old, new.clone()), (new, None)].into());
}

#[test]
fn a_removed_file_may_come_back() {
    let seen = outcomes(|dice| {
        let (directory, mut volume) = volume();
        let file = create(&mut volume, "a");
        volume.write(file, 0, b"x").unwrap();
        volume.sync(file).unwrap();
        volume.sync_directory(ROOT).unwrap();
        volume.remove(ROOT, OsStr::new("a")).unwrap();
        volume.cut(dice).unwrap();
        read(&directory, "a")
    });
    assert_eq!(seen, [None, Some(runs(b"x"))].into());
}

#[test]
fn what_was_opened_before_a_cut_is_stale() {
    let (_directory, mut volume) = volume();
    let file = create(&mut volume, "a");
    volume.sync_directory(ROOT).unwrap();
    volume.cut(&mut Dice::split(1, Purpose::Faults)).unwrap();
    assert_eq!(volume.read(file, 0, 1).unwrap_err().raw_os_error(), Some(116));
    let (again, _) = volume.look_up(ROOT, OsStr::new("a")).unwrap();
    assert_ne!(again, file);
}
