//! `tidings contacts`.

use std::io::{BufRead, IsTerminal};

use clap::{Args, Subcommand};
use tidings_api::client::Client;
use tidings_api::types::{Code, Contact, ContactChange, Exit};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, harmless_line};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List contacts
    List,
    /// Compare safety numbers with a contact, and mark it as verified
    Verify {
        /// The contact's name
        name: String,
        /// The numbers were compared and are the same
        #[arg(long)]
        yes: bool,
    },
    /// Give a contact another name
    Rename {
        /// The contact's name
        name: String,
        /// Its new name
        new_name: String,
    },
    /// Remove a contact
    Remove {
        /// The contact's name
        name: String,
    },
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        match arguments.action.unwrap_or(Action::List) {
            Action::List => list(context, &client).await?,
            Action::Verify { name, yes } => return verify(context, &client, &name, yes).await,
            Action::Rename { name, new_name } => {
                let change = ContactChange { name: Some(new_name), verified: None };
                let contact = client.change_contact(&name, &change).await?;
                let (old, new) = (harmless_line(&name), harmless_line(&contact.name));
                context.print(&contact, |out| {
                    out.push_str(&format!("{old} is now called {new}\n"));
                })?;
            }
            Action::Remove { name } => {
                client.remove_contact(&name).await?;
                let object = serde_json::json!({ "removed": name });
                let name = harmless_line(&name);
                context.print(&object, |out| out.push_str(&format!("removed {name}\n")))?;
            }
        }
        Ok(Exit::Done)
    })
}

async fn list(context: &Context, client: &Client) -> Result<(), Failure> {
    let list = client.contacts().await?;
    context.print(&list, |out| {
        if list.contacts.is_empty() {
            out.push_str("no contacts yet; add one with `tidings invite` here and `tidings join` there\n");
            return;
        }
        let rows: Vec<Vec<String>> = list.contacts.iter().map(row).collect();
        let headings = ["NAME", "VERIFIED", "PEER ID"];
        output::table(out, context.style(), &headings, &rows);
    })
}

fn row(contact: &Contact) -> Vec<String> {
    let verified = if contact.verified { "yes" } else { "no" };
    vec![harmless_line(&contact.name), verified.to_owned(), contact.peer_id.clone()]
}

async fn verify(context: &Context, client: &Client, name: &str, yes: bool) -> Result<Exit, Failure> {
    let list = client.contacts().await?.contacts;
    let found = list.into_iter().find(|contact| contact.name == name);
    let shown = harmless_line(name);
    let contact = found.ok_or_else(|| Failure::of(Code::UnknownContact, format!("no contact is called {shown:?}")))?;
    if !yes && !confirmed(&contact)? {
        return Err(Failure::new(
            Exit::Unsuccessful,
            format!(
                "{shown} is not verified; if the numbers differ, somebody may stand between you: exchange a new \
                 invite in person"
            ),
        ));
    }
    let change = ContactChange { name: None, verified: Some(true) };
    let contact = client.change_contact(name, &change).await?;
    context.print(&contact, |out| out.push_str(&format!("{shown} is verified\n")))?;
    Ok(Exit::Done)
}

/// Shows the safety number and asks.
fn confirmed(contact: &Contact) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "nobody is there to compare the safety numbers; compare them, then add --yes",
        ));
    }
    let name = harmless_line(&contact.name);
    output::write(&format!(
        "Your safety number with {name}:\n\n  {}\n\nAsk {name} to run `tidings contacts verify` too, in person or by \
         phone. The same number? [y/N] ",
        contact.safety_number
    ))?;
    let mut answer = String::new();
    // An answer that cannot be read is a no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
