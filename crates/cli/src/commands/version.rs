//! `tidings version`.

use tidings_api::types::Exit;

use crate::context::Context;
use crate::failure::Failure;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let object = serde_json::json!({ "version": version });
    context.print(&object, |out| out.push_str(&format!("tidings {version}\n")))?;
    Ok(Exit::Done)
}
