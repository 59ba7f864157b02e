//! Inside core, modules that the engine composes do not know each other.

use super::Source;

const SIBLINGS: [&str; 8] = ["links", "routing", "relay", "topology", "gossip", "delivery", "sessions", "trust"];
/// What siblings may not name beside each other: what composes them.
const COMPOSER: &str = "engine";
/// The plain vocabulary in which every module reports what a peer did wrong.
const SHARED: [&str; 1] = ["trust::Evidence"];

pub(super) fn violations(core: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in core {
        let path = source.name.trim_start_matches("crates/core/src/").trim_end_matches(".rs");
        let parts: Vec<&str> = path.split('/').collect();
        let Some(own) = parts.first().filter(|name| SIBLINGS.contains(name)) else { continue };
        for path in crate_paths(&source.code(), parts.len()) {
            let head = path.split("::").next().unwrap_or_default();
            let other = head == COMPOSER || (SIBLINGS.contains(&head) && head != *own);
            if other && !SHARED.iter().any(|shared| path.starts_with(shared)) {
                found.push(format!("{}: {own} must not know {path}: only the engine composes modules", source.name));
            }
        }
    }
    found
}

/// Every path from the crate's root that code names: after `crate::`, or after enough `super::`. Groups are taken
/// apart.
fn crate_paths(code: &str, depth: usize) -> Vec<String> {
    let mut paths = Vec::new();
    let supers = "super::".repeat(depth);
    for prefix in ["crate::", supers.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let after = code[at + prefix.len()..].trim_start_matches("super::");
            expand("", after, &mut paths);
        }
    }
    paths
}

/// Reads one path or group at the start of `code`, and returns what follows it.
fn expand<'a>(prefix: &str, code: &'a str, paths: &mut Vec<String>) -> &'a str {
    let mut code = code.trim_start();
    if let Some(group) = code.strip_prefix('{') {
        code = group.trim_start();
        while !code.is_empty() && !code.starts_with('}') {
            let rest = expand(prefix, code, paths).trim_start();
            let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if rest.len() == code.len() {
                break;
            }
            code = rest;
        }
        return code.strip_prefix('}').unwrap_or(code);
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => expand(&path, rest, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::source;

    #[test]
    fn siblings_are_found_in_every_form_of_import() {
        for text in [
            "use crate::links::State;",
            "use crate::{class::Class, links::{Address, State}};",
            "use super::super::links;",
            "fn f() { let x = crate::engine::Config::default(); }",
        ] {
            let found = violations(&[source("crates/core/src/delivery/parcels.rs", text)]);
            assert!(!found.is_empty(), "{text}");
        }
    }

    #[test]
    fn own_parts_shared_words_and_other_modules_are_free() {
        let text =
            "use crate::{delivery::State, ids::Seq, trust::Evidence};\nuse super::links;\n// crate::links::State";
        assert_eq!(violations(&[source("crates/core/src/delivery/parcels.rs", text)]), Vec::<String>::new());
        assert_eq!(violations(&[source("crates/core/src/engine/gate.rs", "use crate::links;")]), Vec::<String>::new());
    }
}
