//! The rules that keep the tree like its drawing: imports point down, siblings in core do not know each other,
//! files stay readable, and every section of the spec that code cites exists.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What each crate may use of the others.
const CRATES: [(&str, &[&str]); 7] = [
    ("crates/crypto", &[]),
    ("crates/core", &["tidings-crypto", "tidings-core"]),
    ("crates/store", &["tidings-crypto", "tidings-core"]),
    ("crates/tidings", &["tidings-crypto", "tidings-core", "tidings-store"]),
    ("crates/api", &["tidings"]),
    ("crates/cli", &["tidings", "tidings-api"]),
    ("lab", &["tidings-crypto", "tidings-core", "tidings-store", "tidings", "tidings-api"]),
];

/// Crates that know neither a runtime nor a network.
const PURE: [&str; 3] = ["crates/crypto", "crates/core", "crates/store"];
/// What those may not depend on.
const IMPURE: [&str; 3] = ["tokio", "libp2p", "futures"];
/// The modules of core that only its engine composes.
const SIBLINGS: [&str; 3] = ["links", "delivery", "sessions"];
/// What every module of core may use of a sibling: plain types of its edge.
const SHARED: [(&str, &[&str]); 1] =
    [("links", &["Address", "AddressError", "LinkKind", "Source", "MAX_ADDRESS_BYTES"])];
/// A file longer than this is split at a noun of the spec.
const MAX_LINES: usize = 1000;

/// Every rule that is broken, one sentence each.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (directory, allowed) in CRATES {
        manifest(root, directory, allowed, &mut found)?;
    }
    siblings(&root.join("crates/core/src"), &mut found)?;
    for file in sources(root)? {
        let text = std::fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        if text.lines().count() > MAX_LINES && !name.ends_with("proto.rs") {
            found.push(format!("{name} is longer than {MAX_LINES} lines"));
        }
        citations(root, &name, &text, &mut found);
    }
    Ok(found)
}

fn manifest(root: &Path, directory: &str, allowed: &[&str], found: &mut Vec<String>) -> Result<()> {
    let path = root.join(directory).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for line in text.lines() {
        let name = line.split([' ', '=', '.']).next().unwrap_or_default();
        if name.starts_with("tidings") && line.contains('=') && !allowed.contains(&name) {
            found.push(format!("{directory} must not depend on {name}"));
        }
        if PURE.contains(&directory) && IMPURE.contains(&name) {
            found.push(format!("{directory} must not depend on {name}: it has no runtime"));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        found.push(format!("{directory} does not take the workspace's lints"));
    }
    Ok(())
}

fn siblings(core: &Path, found: &mut Vec<String>) -> Result<()> {
    for module in SIBLINGS {
        let mut files = rust_files(&core.join(module))?;
        files.push(core.join(format!("{module}.rs")));
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            for other in SIBLINGS.iter().filter(|other| **other != module).chain(&["engine"]) {
                let shared = SHARED.iter().find(|(name, _)| name == other).map_or(&[][..], |(_, names)| names);
                for line in text.lines().filter(|line| line.contains(&format!("crate::{other}::"))) {
                    let used = line.split(&format!("crate::{other}::")).nth(1).unwrap_or_default();
                    let mut names = used.split(|c: char| !c.is_alphanumeric() && c != '_');
                    let plain = names.find(|name| !name.is_empty()).is_some_and(|name| shared.contains(&name));
                    if !plain {
                        found.push(format!("core's {module} must not import {other}: {}", line.trim()));
                    }
                }
            }
        }
    }
    Ok(())
}

/// `docs/spec/X.md §N` in code names a numbered heading of that file.
fn citations(root: &Path, name: &str, text: &str, found: &mut Vec<String>) {
    for cited in text.split("docs/spec/").skip(1) {
        let Some((page, rest)) = cited.split_once(".md") else { continue };
        if page.len() > 20 || !page.chars().all(|c| c.is_ascii_lowercase()) {
            continue;
        }
        let Ok(spec) = std::fs::read_to_string(root.join(format!("docs/spec/{page}.md"))) else {
            found.push(format!("{name} cites docs/spec/{page}.md, which does not exist"));
            continue;
        };
        let Some(section) = rest.strip_prefix(" §") else { continue };
        let number: String = section.chars().take_while(|c| c.is_ascii_digit()).collect();
        let heading = |line: &str| {
            line.starts_with('#') && line.trim_start_matches('#').trim().trim_start_matches('§').starts_with(&number)
        };
        if !number.is_empty() && !spec.lines().any(heading) {
            found.push(format!("{name} cites docs/spec/{page}.md §{number}, which does not exist"));
        }
    }
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in ["crates", "lab", "xtask", "fuzz"] {
        files.extend(rust_files(&root.join(directory))?);
    }
    Ok(files)
}

fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(files) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_like_its_drawing() {
        assert_eq!(super::violations(&crate::root()).expect("the tree can be read"), Vec::<String>::new());
    }
}
