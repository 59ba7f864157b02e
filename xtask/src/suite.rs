//! Runs what must hold before a change lands, and what takes hours; says what it could not run and why.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::steps::{Outcome, Steps, cargo, has, run, target_directory};

/// What a build needs beside Rust: the program, the package that has it on Debian, what it is for.
const TOOLS: [(&str, &str, &str); 4] = [
    ("git", "git", "the repository"),
    ("make", "make", "OpenSSL, under the encrypted database"),
    ("perl", "perl", "OpenSSL, under the encrypted database"),
    ("cc", "gcc libc6-dev", "SQLCipher and the TLS library"),
];

const INSTALL_DENY: &str = "install it with `cargo install --locked cargo-deny`";

/// Runs what must hold before a change lands.
pub(crate) fn test(root: &Path) -> Result<ExitCode> {
    let missing: Vec<_> = TOOLS.iter().filter(|(program, ..)| !has(program)).collect();
    if !missing.is_empty() {
        for (program, _, purpose) in &missing {
            println!("missing: {program}, needed for {purpose}");
        }
        let packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
        println!("on Debian: apt-get install {}", packages.join(" "));
        return Ok(ExitCode::from(2));
    }
    let mut steps = Steps::default();
    steps.push("formatting", if_component("rustfmt", || cargo(root, &["fmt", "--all", "--check"]))?);
    let lints = ["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
    steps.push("lints", if_component("clippy", || cargo(root, &lints))?);
    // Among them: the layers, generated code, openapi.json, the fuzz corpora, the examples in the docs.
    steps.push("tests", cargo(root, &["test", "--release", "--workspace", "--no-fail-fast"])?);
    steps.push("simulator", lab(root, &["sim", "--seeds", "300", "--first", "1"])?);
    steps.push("planted bugs apply", lab(root, &["planted", "--check"])?);
    steps.push("network namespaces", namespaces(root, "1", "1")?);
    steps.push("two nodes over a link that loses", network(root, &["lab/scenarios/two-lossy.toml"])?);
    steps.push("crash points of the store", failpoints(root)?);
    steps.push("licences, bans and sources", deny(root)?);
    steps.push("advisories", advisories(root)?);
    Ok(steps.close())
}

/// Kills real nodes under load, again and again, and has others end by themselves at named places of the store.
pub(crate) fn crashes(root: &Path, steps: &mut Steps) -> Result<()> {
    steps.push("crashes", lab(root, &["crash"])?);
    steps.push("crashes at named places", crashes_at_points(root)?);
    Ok(())
}

/// Nodes that end at named places are not those that users get: they are built in a folder of their own.
fn crashes_at_points(root: &Path) -> Result<Outcome> {
    let directory = target_directory(root).join("failpoints").display().to_string();
    let node = ["--package", "tidings-cli", "--features", "failpoints", "--target-dir", &directory];
    let built = cargo(root, &[&["build", "--release"], &node[..]].concat())?;
    if matches!(built, Outcome::Ran { ok: false, .. }) {
        return Ok(built);
    }
    lab(root, &["crash", "--points", "--tidings", &format!("{directory}/release/tidings")])
}

/// Ends the store's process at every named place, in a build of its own. `--workspace` keeps the features of
/// everything else, so that little is compiled.
fn failpoints(root: &Path) -> Result<Outcome> {
    let features = ["--workspace", "--features", "tidings-store/failpoints"];
    cargo(root, &[&["test", "--release"], &features[..], &["--test", "failpoints"]].concat())
}

/// Runs the lab on the node that users get; it fails where what it looks at does not hold. What the tests have built
/// is not built again.
fn lab(root: &Path, arguments: &[&str]) -> Result<Outcome> {
    let built = cargo(root, &["build", "--release", "--workspace", "--all-targets"])?;
    if matches!(built, Outcome::Ran { ok: false, .. }) {
        return Ok(built);
    }
    let program = target_directory(root).join("release/tidings-lab");
    Ok(run(root, Command::new(program).args(arguments))?.into_one_test())
}

fn if_component(component: &str, run: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    if has(&format!("cargo-{}", component.trim_start_matches("rust"))) {
        run()
    } else {
        Ok(Outcome::NotRun(format!("install it with `rustup component add {component}`")))
    }
}

/// Real nodes in network namespaces of their own, joined by a wire that loses and delays.
fn network(root: &Path, scenarios: &[&str]) -> Result<Outcome> {
    if let Some(why) = no_wire() {
        return Ok(Outcome::NotRun(why));
    }
    lab(root, &[&["net"], scenarios].concat())
}

/// The lab's own tests that take root and devices.
fn lab_tests(root: &Path) -> Result<Outcome> {
    if let Some(why) = no_wire() {
        return Ok(Outcome::NotRun(why));
    }
    if !has("nft") {
        return Ok(Outcome::NotRun("`nft` is missing; on Debian: apt-get install nftables".to_owned()));
    }
    if !Path::new("/dev/fuse").exists() {
        return Ok(Outcome::NotRun("/dev/fuse is missing; load the kernel's module fuse".to_owned()));
    }
    cargo(root, &["test", "--release", "--workspace", "--bin", "tidings-lab", "--", "--ignored"])
}

/// Why no wire can be laid between network namespaces here, if so.
fn no_wire() -> Option<String> {
    let no_tun = || "/dev/net/tun is missing; load the kernel's module tun".to_owned();
    no_namespaces().or_else(|| (!Path::new("/dev/net/tun").exists()).then(no_tun))
}

/// The long versions of what the lab does in a test run.
pub(crate) fn lab_for_long(root: &Path, steps: &mut Steps) -> Result<()> {
    steps.push("simulator", lab(root, &["sim", "--seeds", "5000", "--first", "10000"])?);
    steps.push("a thousand nodes", lab(root, &["sim", "--seeds", "1", "lab/scenarios/large/mesh.toml"])?);
    steps.push("figures of the scenarios", lab(root, &["report", "--check"])?);
    steps.push("planted bugs", lab(root, &["planted"])?);
    steps.push("the lab's tests of wires and disks", lab_tests(root)?);
    let scenarios = [
        "lab/scenarios/two-lossy.toml",
        "lab/scenarios/ten-clique.toml",
        "lab/scenarios/power-cuts.toml",
        "lab/scenarios/fifty.toml",
    ];
    for scenario in scenarios {
        steps.push(scenario, network(root, &[scenario])?);
    }
    Ok(())
}

/// Two nodes that know nothing of each other, on one cable between network namespaces.
pub(crate) fn namespaces(root: &Path, runs: &str, outages: &str) -> Result<Outcome> {
    if let Some(why) = no_namespaces() {
        return Ok(Outcome::NotRun(why));
    }
    let mut arguments = vec!["lan", "--runs", runs, "--outages", outages];
    if !has("nft") {
        println!("`nft` is missing: not run without UDP; on Debian: apt-get install nftables");
        arguments.push("--udp-only");
    }
    lab(root, &arguments)
}

/// Why there are no network namespaces here, if so: tries to make one and removes it.
fn no_namespaces() -> Option<String> {
    if !has("ip") {
        return Some("`ip` is missing; on Debian: apt-get install iproute2".to_owned());
    }
    let name = format!("tidings-probe-{}", std::process::id());
    let netns = |verb| Command::new("ip").args(["netns", verb, &name]).output().is_ok_and(|o| o.status.success());
    let made = netns("add") && netns("delete");
    (!made).then(|| "only root can make network namespaces".to_owned())
}

fn deny(root: &Path) -> Result<Outcome> {
    if !has("cargo-deny") {
        return Ok(Outcome::NotRun(INSTALL_DENY.to_owned()));
    }
    // Duplicates are counted, not listed: a screenful each.
    cargo(root, &["deny", "--log-level", "error", "check", "licenses", "bans", "sources"])
}

/// Known holes in what is used. Their database is on the network, and without it this says nothing.
fn advisories(root: &Path) -> Result<Outcome> {
    if !has("cargo-deny") {
        return Ok(Outcome::NotRun(INSTALL_DENY.to_owned()));
    }
    let fetched = Command::new("cargo").args(["deny", "fetch", "db"]).current_dir(root).output()?;
    if !fetched.status.success() {
        return Ok(Outcome::NotRun("the database of advisories cannot be fetched".to_owned()));
    }
    cargo(root, &["deny", "check", "--disable-fetch", "advisories"])
}
