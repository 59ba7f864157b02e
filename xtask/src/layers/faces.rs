//! No type of the network library in the public face of `tidings`.

use std::collections::BTreeSet;

use super::Source;

const LIBRARY: &str = "libp2p";

pub(super) fn violations(tidings: &[Source]) -> Vec<String> {
    let codes: Vec<_> = tidings.iter().map(|source| (source, source.code())).collect();
    let public: BTreeSet<&str> = codes.iter().flat_map(|(_, code)| public_types(code)).collect();
    let mut found = Vec::new();
    for (source, code) in &codes {
        let foreign = foreign_names(code);
        for item in items(code) {
            let header = item.starts_with("impl");
            if header && !implements_for(item, &public) {
                continue;
            }
            if words(item).any(|word| word == LIBRARY || foreign.contains(word)) {
                let line = item.lines().next().unwrap_or_default().trim();
                found.push(format!("{}: no type of {LIBRARY} in the public API: {line}", source.name));
            }
        }
    }
    found
}

/// The names that a file imports from the library.
fn foreign_names(code: &str) -> BTreeSet<&str> {
    code.split("use ")
        .skip(1)
        .filter_map(|import| import.split_once(';'))
        .map(|(import, _)| import)
        .filter(|import| import.split("::").next() == Some(LIBRARY))
        .flat_map(words)
        .filter(|word| word.starts_with(char::is_uppercase))
        .collect()
}

fn public_types(code: &str) -> Vec<&str> {
    ["pub struct ", "pub enum ", "pub trait "]
        .iter()
        .flat_map(|keyword| code.split(keyword).skip(1))
        .filter_map(|rest| words(rest).next())
        .collect()
}

/// The public items of a file up to where their privacy begins, and the headers of its implementations.
fn items(code: &str) -> impl Iterator<Item = &str> {
    let starts = code.lines().scan(0, |at, line| {
        let start = *at;
        *at += line.len() + 1;
        Some((start, line.trim_start()))
    });
    starts.filter_map(move |(start, line)| {
        let rest = &code[start..];
        let end = match line.strip_prefix("pub ").and_then(|item| item.split(' ').next()) {
            // Variants and methods are as public as the item itself.
            Some("enum" | "trait") => rest.find("\n}"),
            Some("struct" | "fn" | "async" | "const" | "static" | "type" | "use") => rest.find(['{', ';', '=']),
            Some(_) => rest.find(",\n"),
            None if line.starts_with("impl") => rest.find('{'),
            None => return None,
        };
        Some(rest[..end.unwrap_or(rest.len())].trim_start())
    })
}

fn implements_for(header: &str, public: &BTreeSet<&str>) -> bool {
    header.split_once(" for ").and_then(|(_, name)| words(name).next()).is_some_and(|name| public.contains(name))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::source;

    fn found(text: &str) -> usize {
        violations(&[source("crates/tidings/src/node.rs", text)]).len()
    }

    #[test]
    fn foreign_types_are_found_wherever_they_are_public() {
        assert_eq!(found("pub fn f() -> libp2p::PeerId {\n}"), 1);
        assert_eq!(found("use libp2p::{Multiaddr, PeerId};\npub struct A {\n    pub at: Multiaddr,\n}"), 1);
        assert_eq!(found("use libp2p::PeerId;\npub enum A {\n    B(PeerId),\n}\n"), 1);
        assert_eq!(found("use libp2p::PeerId;\npub struct A(u8);\nimpl From<PeerId> for A {\n}"), 1);
    }

    #[test]
    fn private_uses_are_free() {
        assert_eq!(found("use libp2p::PeerId;\npub(crate) fn f(p: PeerId) {}\nfn g(p: PeerId) {}"), 0);
        assert_eq!(found("use libp2p::PeerId;\nstruct A;\nimpl From<PeerId> for A {\n}\npub fn h() { f(PeerId) }"), 0);
    }
}
