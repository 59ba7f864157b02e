//! Writes for people: colours where a terminal shows them, tables, and nothing that steers the terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Whether output may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// No control sequences.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Style {
    /// Colours go to terminals that know them, unless <https://no-color.org> says otherwise.
    pub(crate) fn detect() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stdout().is_terminal() && !refused { Self::Colour } else { Self::Plain }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Writes to stdout and flushes.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}

/// Writes a passing remark to stderr, if somebody watches.
pub(crate) fn remark(text: &str) {
    if io::stderr().is_terminal() {
        // A remark that cannot be written is not missed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Makes a text from elsewhere harmless: control characters, which could steer the terminal, are spelled out.
pub(crate) fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            _ if character.is_control() => safe.extend(character.escape_default()),
            // Overrides of the writing direction can make a text read as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.extend(character.escape_unicode());
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// The same on one line.
pub(crate) fn harmless_line(text: &str) -> String {
    harmless(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Lines up rows under headings.
pub(crate) fn table(out: &mut String, style: Style, headings: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).chain([heading.len()]).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        line.trim_end().to_owned()
    };
    let heading = line(&mut headings.iter().copied());
    out.push_str(&style.bold(&heading));
    out.push('\n');
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2J\u{9b}b\r\n\tc"), "a\\u{1b}[2J\\u{9b}b\\r\n\tc");
        assert_eq!(harmless_line("a\nb"), "a\\nb");
        assert_eq!(harmless("abc\u{202e}def"), "abc\\u{202e}def");
        assert_eq!(harmless("grüße 🎉"), "grüße 🎉");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = String::new();
        let rows = [vec!["ä".to_owned(), "1".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        table(&mut out, Style::Plain, &["A", "N"], &rows);
        assert_eq!(out, "A     N\nä     1\nlong  2\n");
    }
}
