//! `tidings stop`.

use std::time::{Duration, Instant};

use tidings_api::client::{Client, ClientError};
use tidings_api::types::Exit;

use crate::context::Context;
use crate::failure::Failure;

/// How long a node may take to stop; it promises two seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often to look.
const POLL: Duration = Duration::from_millis(50);

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let start = Instant::now();
        context.client().await?.shutdown().await?;
        while start.elapsed() < PATIENCE {
            if let Err(ClientError::NoNode { .. }) = Client::connect(context.directory()).await {
                let object = serde_json::json!({
                    "stopped": true,
                    "seconds": start.elapsed().as_secs_f64(),
                });
                context.print(&object, |out| out.push_str("stopped\n"))?;
                return Ok(Exit::Done);
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Failure::new(
            Exit::TimedOut,
            "the node has been told to stop and is still busy; look again with `tidings status`",
        ))
    })
}
