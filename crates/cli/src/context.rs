//! What every command has: the directory, how to print, and a way to the node.

use std::future::Future;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tidings_api::client::Client;
use tidings_api::types::Exit;

use crate::directory;
use crate::failure::Failure;
use crate::output::{self, Style};

/// The options that all commands share.
#[derive(Debug)]
pub(crate) struct Context {
    directory: PathBuf,
    json: bool,
    style: Style,
}

impl Context {
    pub(crate) fn new(directory: Option<PathBuf>, json: bool) -> Result<Self, Failure> {
        let directory = directory.or_else(directory::default_directory);
        let directory = directory.ok_or_else(|| {
            Failure::new(Exit::Usage, "HOME is not set, so there is no default directory; name one with --dir")
        })?;
        Ok(Self { directory, json, style: Style::detect() })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Runs the calls of a command.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::new(Exit::Other, format!("the system gives no event queue: {error}; close some programs"))
        })?;
        let result = runtime.block_on(work);
        // A thread that reads stdin or waits for a child must not keep the program.
        runtime.shutdown_background();
        result
    }

    /// Connects to the node of the directory.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.directory).await?)
    }

    /// Prints an object as JSON if that was asked for, else what `human` writes.
    pub(crate) fn print(&self, object: &impl Serialize, human: impl FnOnce(&mut String)) -> Result<(), Failure> {
        if self.json {
            return self.print_json(object);
        }
        let mut text = String::new();
        human(&mut text);
        output::write(&text)
    }

    /// Prints one line of JSON.
    pub(crate) fn print_json(&self, object: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_string(object).map_err(|error| {
            Failure::new(Exit::Other, format!("the answer cannot be printed: {error}; report this as a bug"))
        })?;
        line.push('\n');
        output::write(&line)
    }
}
