//! Reads a scenario file strictly: whatever is wrong is told in one sentence with file, line and key.

use std::fs;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _};
use toml::de::{DeTable, DeValue};

use super::{Amount, Nodes, Recipients, Scenario};

/// The largest scenario file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScenarioError {
    /// The file is not there, or not to be read.
    #[error("{file}: expected a readable scenario of at most 1 MiB, got {cause}")]
    Unreadable { file: String, cause: String },
    /// Something in it is wrong.
    #[error("{file}, line {line}, {key}: {problem}")]
    Wrong { file: String, line: usize, key: String, problem: String },
}

/// A contradiction between keys, found after reading: where, and what.
pub(super) struct Contradiction {
    /// Table, number within an array of tables, key.
    pub(super) path: Vec<Step>,
    pub(super) problem: String,
}

pub(super) enum Step {
    Key(&'static str),
    Number(usize),
}

/// Reads and checks a scenario file.
///
/// # Errors
///
/// [`ScenarioError`] names the first thing that is wrong.
pub(crate) fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let file = path.display().to_string();
    let unreadable = |cause: String| ScenarioError::Unreadable { file: file.clone(), cause };
    let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > MAX_FILE_BYTES {
        return Err(unreadable(format!("{length} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&file, &name, &text)
}

/// Reads a scenario from its text.
pub(super) fn parse(file: &str, name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let mut scenario: Scenario = toml::from_str(text).map_err(|error| from_toml(file, text, &error))?;
    name.clone_into(&mut scenario.name);
    scenario.check().map_err(|Contradiction { path, problem }| {
        let line = locate(text, &path).map_or(1, |at| line_of(text, at));
        let keys: Vec<_> = path.iter().filter_map(Step::key).collect();
        ScenarioError::Wrong { file: file.to_owned(), line, key: keys.join("."), problem }
    })?;
    Ok(scenario)
}

fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    let at = error.span().map_or(0, |span| span.start);
    let line = line_of(text, at);
    let problem = error.message().replace('\n', ", ");
    // What is missing or unknown is named by the message itself; anything else by the line it stands in.
    let quoted = problem.split('`').nth(1).filter(|_| problem.contains("field"));
    let key = quoted.map_or_else(|| key_of(text, line), str::to_owned);
    ScenarioError::Wrong { file: file.to_owned(), line, key, problem }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// What stands before the `=` of a line, or the table that it opens.
fn key_of(text: &str, line: usize) -> String {
    let line = text.lines().nth(line - 1).unwrap_or_default();
    let key = line.split(['=', '#']).next().unwrap_or_default();
    key.trim_matches(|c: char| c.is_whitespace() || c == '[' || c == ']').to_owned()
}

impl Step {
    fn key(&self) -> Option<&'static str> {
        match self {
            Self::Key(key) => Some(key),
            Self::Number(_) => None,
        }
    }
}

/// Finds where a path stands; the longest part of it that there is.
fn locate(text: &str, path: &[Step]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (mut at, mut value) = (0, DeValue::Table(table.into_inner()));
    for step in path {
        let next = match (step, &value) {
            (Step::Key(key), DeValue::Table(table)) => table
                .iter()
                .find(|(name, _)| name.get_ref().as_ref() == *key)
                .map(|(name, value)| (name.span().start, value.get_ref().clone())),
            (Step::Number(number), DeValue::Array(array)) => {
                array.get(*number).map(|value| (value.span().start, value.get_ref().clone()))
            }
            _ => None,
        };
        let Some((start, inner)) = next else { break };
        (at, value) = (start, inner);
    }
    Some(at)
}

/// A word or a list of node numbers.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum WordOrNumbers {
    Word(String),
    Numbers(Vec<usize>),
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match WordOrNumbers::deserialize(from) {
            Ok(WordOrNumbers::Word(word)) if word == "all" => Ok(Self::All),
            Ok(WordOrNumbers::Numbers(nodes)) if !nodes.is_empty() => Ok(Self::These(nodes)),
            Ok(_) | Err(_) => Err(D::Error::custom("expected \"all\" or a list of nodes such as [0, 2]")),
        }
    }
}

impl<'de> Deserialize<'de> for Recipients {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match WordOrNumbers::deserialize(from) {
            Ok(WordOrNumbers::Word(word)) if word == "all" => Ok(Self::All),
            Ok(WordOrNumbers::Word(word)) if word == "anybody" => Ok(Self::Anybody),
            Ok(WordOrNumbers::Word(word)) if word == "neighbours" => Ok(Self::Neighbours),
            Ok(WordOrNumbers::Numbers(nodes)) if !nodes.is_empty() => Ok(Self::These(nodes)),
            Ok(_) | Err(_) => {
                let expected = "expected \"neighbours\", \"all\", \"anybody\" or a list of nodes such as [0, 2]";
                Err(D::Error::custom(expected))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Word(String),
            Number(u64),
        }
        match Raw::deserialize(from) {
            Ok(Raw::Word(word)) if word == "all" => Ok(Self::All),
            Ok(Raw::Number(number)) => Ok(Self::AtLeast(number)),
            Ok(Raw::Word(_)) | Err(_) => Err(D::Error::custom("expected \"all\" or a number")),
        }
    }
}
