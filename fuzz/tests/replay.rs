//! Every kept input, run again. With `TIDINGS_UPDATE_CORPUS` set, the seeds are written first.

use std::path::{Path, PathBuf};

use tidings_fuzz::{TARGETS, seeds};

const UPDATE: &str = "TIDINGS_UPDATE_CORPUS";

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn kept_inputs_break_no_promise() {
    if std::env::var_os(UPDATE).is_some() {
        for (target, name, bytes) in seeds::all() {
            std::fs::create_dir_all(corpus(target)).unwrap();
            std::fs::write(corpus(target).join(name), bytes).unwrap();
        }
    }
    for (target, run) in TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus(target)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            run(&std::fs::read(path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{target} keeps no input");
    }
}

#[test]
fn every_seed_is_taken_by_its_target() {
    for (target, name, bytes) in seeds::all() {
        let (_, run) = TARGETS.iter().find(|(known, _)| *known == target).unwrap();
        assert!(run(&bytes), "{target} refuses {name}");
    }
}

#[test]
fn every_target_has_its_binary() {
    let mut binaries: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    binaries.sort();
    assert_eq!(binaries, TARGETS.map(|(name, _)| name));
}
