//! Every section of the spec that is cited exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Source;

const PLACE: &str = "docs/spec/";

pub(super) fn violations(root: &Path, all: &[Source]) -> Vec<String> {
    let pages: BTreeMap<&str, BTreeSet<&str>> = all
        .iter()
        .filter_map(|source| Some((source.name.strip_prefix(PLACE)?, source)))
        .map(|(page, source)| (page, sections(&source.text)))
        .collect();
    let mut found = Vec::new();
    for source in all {
        for (page, numbers) in citations(&source.text) {
            let Some(known) = pages.get(page) else {
                if !root.join(PLACE).join(page).exists() {
                    found.push(format!("{} cites {PLACE}{page}, which does not exist", source.name));
                }
                continue;
            };
            for number in numbers.iter().filter(|number| !known.contains(*number)) {
                found.push(format!("{} cites {PLACE}{page} §{number}, which does not exist", source.name));
            }
        }
    }
    found
}

/// The numbers of a page's sections and paragraphs: `## 3 Title`, `**3.2** text`.
fn sections(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| {
            let start =
                line.strip_prefix("**").or_else(|| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()))?;
            let number = start.split(['*', ' ']).next()?.trim_end_matches('.');
            is_number(number).then_some(number)
        })
        .collect()
}

/// The pages that a text cites, each with the numbers that follow: `docs/spec/PAGE.md §2, §3–§5`.
fn citations(text: &str) -> Vec<(&str, Vec<&str>)> {
    text.split(PLACE)
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(".md").map(|end| end + 3)?;
            let (page, mut rest) = rest.split_at(end);
            if !page[..end - 3].chars().all(|c| c.is_ascii_lowercase() || c == '-') || page.len() == 3 {
                return None;
            }
            let mut numbers = Vec::new();
            while let Some(cited) = rest.trim_start_matches([' ', ',', '–']).strip_prefix('§') {
                let end = cited.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(cited.len());
                numbers.push(cited[..end].trim_end_matches('.'));
                rest = &cited[end..];
            }
            Some((page, numbers))
        })
        .collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::source;

    #[test]
    fn sections_that_do_not_exist_are_found() {
        let page = source("docs/spec/wire.md", "# Wire\n\n## 1 Frames\n\n**1.2** text\n\n## 10 Limits\n");
        let cites =
            |text| violations(Path::new("/nowhere"), &[source("a.rs", text), source(&page.name, &page.text)]).len();
        assert_eq!(cites(concat!("// docs/", "spec/wire.md §1, §1.2 and §9")), 0);
        assert_eq!(cites(concat!("// docs/", "spec/wire.md §1–§10.")), 0);
        assert_eq!(cites(concat!("// docs/", "spec/wire.md §1, §2.")), 1);
        assert_eq!(cites(concat!("// docs/", "spec/wire.md §0.")), 1);
        assert_eq!(cites(concat!("// docs/", "spec/none.md")), 1);
    }
}
