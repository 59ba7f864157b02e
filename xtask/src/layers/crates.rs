//! Which crate may use which.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A crate's directory, and what it may use of the others.
const DRAWING: [(&str, &[&str]); 10] = [
    ("crates/crypto", &[]),
    ("crates/core", &["tidings-crypto", "tidings-core"]),
    ("crates/store", &["tidings-crypto", "tidings-core", "tidings-process"]),
    ("crates/tidings", &["tidings-crypto", "tidings-core", "tidings-store"]),
    ("crates/api", &["tidings"]),
    ("crates/process", &[]),
    ("crates/cli", &["tidings", "tidings-api", "tidings-process"]),
    ("fuzz", &["tidings-crypto", "tidings-core"]),
    ("lab", &["tidings-crypto", "tidings-core", "tidings-store", "tidings", "tidings-api"]),
    ("xtask", &[]),
];

/// Packages that know neither a runtime nor a network, not even through what they use.
const PURE: [&str; 3] = ["tidings-crypto", "tidings-core", "tidings-store"];
const IMPURE: [&str; 4] = ["tokio", "libp2p", "async-std", "smol"];
/// Who may name the network library: the runtime, and the lab, which measures it.
const NETWORKED: [&str; 2] = ["crates/tidings", "lab"];

pub(super) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let name = format!("crates/{}", entry?.file_name().display());
        if !DRAWING.iter().any(|(directory, _)| *directory == name) {
            found.push(format!("{name} is not in the drawing"));
        }
    }
    for (directory, allowed) in DRAWING {
        let path = root.join(directory).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.extend(manifest(directory, allowed, &text));
        if LIFTED.contains(&directory) {
            found.extend(lifted(directory, &std::fs::read_to_string(root.join("Cargo.toml"))?, &text));
        }
    }
    for package in PURE {
        let used = closure(root, package)?;
        found.extend(
            IMPURE
                .iter()
                .filter(|impure| used.contains(**impure))
                .map(|impure| format!("{package} must not depend on {impure}, not even indirectly: it has no runtime")),
        );
    }
    Ok(found)
}

fn manifest(directory: &str, allowed: &[&str], text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if section.ends_with("dependencies") {
            let name = line.split([' ', '=', '.']).next().unwrap_or_default();
            if name.starts_with("tidings") && !allowed.contains(&name) {
                found.push(format!("{directory} must not depend on {name}: imports point down the drawing"));
            }
            if name.starts_with("libp2p") && !NETWORKED.contains(&directory) {
                found.push(format!("{directory} must not depend on {name}: only the runtime knows the network"));
            }
        }
    }
    if !text.contains("[lints]\nworkspace = true") && !LIFTED.contains(&directory) {
        found.push(format!("{directory} does not take the workspace's lints"));
    }
    found
}

/// The crates that repeat the workspace's lints, since one of their files may contain what `forbid` would not let it.
const LIFTED: [&str; 2] = ["crates/process", "lab"];

/// The lints that one of them does not repeat as they are.
fn lifted(directory: &str, workspace: &str, manifest: &str) -> Vec<String> {
    let lints = workspace.split("[workspace.lints").skip(1).flat_map(|table| {
        let lines = table.lines().skip(1);
        lines.take_while(|line| !line.starts_with('[')).filter(|line| line.contains(" = "))
    });
    let wanted = lints.map(|lint| lint.replace("unsafe_code = \"forbid\"", "unsafe_code = \"deny\""));
    let missing = wanted.filter(|lint| !manifest.lines().any(|line| line == lint));
    missing.map(|lint| format!("{directory} does not repeat the workspace's lint {lint}")).collect()
}

/// The names of all packages that are compiled into one, whatever its features.
fn closure(root: &Path, package: &str) -> Result<BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--package", package, "--all-features", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--color", "never"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo tree fails: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("cargo tree prints text")?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_that_points_up_is_found() {
        let text = "[package]\nname = \"tidings-core\"\n[dev-dependencies]\ntidings-store = { workspace = true }\n\
                    libp2p.workspace = true\n[lints]\nworkspace = true\n";
        let found = manifest("crates/core", &["tidings-crypto"], text);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_lint_that_is_not_repeated_is_found() {
        let workspace = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n\n[other]\na = 1\n";
        let found = lifted("lab", workspace, "[lints.rust]\nunsafe_code = \"deny\"\n");
        assert_eq!(found, ["lab does not repeat the workspace's lint missing_docs = \"warn\""]);
    }

    #[test]
    fn what_is_used_indirectly_is_seen() {
        let used = closure(&crate::root(), "tidings-core").expect("cargo can list it");
        assert!(used.contains("tidings-crypto") && used.contains("vodozemac"));
    }
}
