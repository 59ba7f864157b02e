//! The rules that keep the tree like its drawing in ARCHITECTURE.md: imports point down, siblings in core do not
//! know each other, the network library stays behind its door, files stay readable, and every section of the spec
//! that code cites exists.

mod crates;
mod faces;
mod siblings;
mod spec;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A file longer than this is split at a noun of the spec.
const MAX_LINES: usize = 1000;

/// Every rule that is broken, one sentence each.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = crates::violations(root)?;
    found.extend(siblings::violations(&sources(root, "crates/core/src")?));
    found.extend(faces::violations(&sources(root, "crates/tidings/src")?));
    let mut all = Vec::new();
    for directory in ["crates", "lab", "fuzz", "xtask", "docs"] {
        all.extend(sources(root, directory)?);
    }
    for source in &all {
        if !source.generated() && source.text.lines().count() > MAX_LINES {
            found.push(format!("{} is longer than {MAX_LINES} lines: split it at a noun of the spec", source.name));
        }
    }
    found.extend(spec::violations(root, &all));
    Ok(found)
}

/// A file of the tree.
struct Source {
    /// Relative to the root.
    name: String,
    text: String,
}

impl Source {
    /// The text with comments and the contents of strings blanked, in lines as before.
    fn code(&self) -> String {
        code(&self.text)
    }

    fn generated(&self) -> bool {
        self.text.starts_with("// This file is @generated")
    }
}

/// The Rust, protobuf and prose files below a directory.
fn sources(root: &Path, directory: &str) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut directories = vec![root.join(directory)];
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "rs" || extension == "proto" || extension == "md")
            {
                sources.push(read(root, path)?);
            }
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

fn read(root: &Path, path: PathBuf) -> Result<Source> {
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Source { name: path.strip_prefix(root).unwrap_or(&path).display().to_string(), text })
}

/// Blanks comments and the contents of plain strings, so that what is left is code. Lines stay lines.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if character == '"' {
            end_of_string(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_like_its_drawing() {
        assert_eq!(violations(&crate::root()).expect("the tree can be read"), Vec::<String>::new());
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "let a = \"crate::x // \\\" \"; // crate::y\n/* crate::z */ b('\"') \"c\"";
        assert_eq!(code(text), "let a = ; \n b() ");
    }
}
