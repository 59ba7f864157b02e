//! `tidings labels`.

use clap::{Args, Subcommand};
use tidings_api::types::{Code, Exit, Labels};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::harmless_line;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell these and no others from now on, until the node ends; none at all without an argument
    Set {
        /// At most 8, like room=kitchen
        #[arg(value_name = "KEY=VALUE")]
        labels: Vec<String>,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let wanted = match arguments.action {
        Some(Action::Set { labels }) => Some(read(&labels)?),
        None => None,
    };
    context.block_on(async {
        let client = context.client().await?;
        let labels = match wanted {
            Some(labels) => client.set_labels(&labels).await?,
            None => client.labels().await?,
        };
        context.print(&labels, |out| human(out, &labels))?;
        Ok(Exit::Done)
    })
}

fn read(texts: &[String]) -> Result<Labels, Failure> {
    let labels = tidings::Labels::from_texts(texts)
        .map_err(|error| Failure::new(Exit::Usage, format!("{error}; {}", Code::InvalidLabel.remedy())))?;
    Ok(Labels { labels: labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect() })
}

fn human(out: &mut String, labels: &Labels) {
    if labels.labels.is_empty() {
        out.push_str("this node tells nothing about itself; set something with `tidings labels set room=kitchen`\n");
    }
    for (key, value) in &labels.labels {
        out.push_str(&format!("{}={}\n", harmless_line(key), harmless_line(value)));
    }
}
