//! How a command fails: an exit code, and one sentence that says what to do next.

use std::fmt::Display;
use std::io::{self, Write};

use tidings_api::client::ClientError;
use tidings_api::types::{Code, Exit, Problem};

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// `None` where nobody is left to read it.
    sentence: Option<String>,
}

impl Failure {
    /// A failure with a sentence that says what happened and what to do.
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: Some(sentence.into()) }
    }

    /// A failure of a kind that the API knows, too.
    pub(crate) fn of(code: Code, happened: impl Display) -> Self {
        Self::new(code.exit(), format!("{happened}; {}", code.remedy()))
    }

    /// Output that cannot be written: silent where the reader has gone.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Other, sentence: None };
        }
        Self::new(Exit::Other, format!("the output cannot be written: {error}; give it somewhere else to go"))
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened and what to do.
    pub(crate) fn sentence(&self) -> &str {
        self.sentence.as_deref().unwrap_or_default()
    }

    pub(crate) fn print(&self) {
        if let Some(sentence) = &self.sentence {
            // Nothing can be said about a stderr that is closed.
            let _ = writeln!(io::stderr(), "tidings: {sentence}");
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.exit(), format!("{error}; {}", error.remedy()))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::of(problem.code, problem.detail)
    }
}
