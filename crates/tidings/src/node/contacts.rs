//! Contacts, invites, and whom a text means.

use std::time::Duration;

use tidings_core::record::Contact;
use tidings_core::{Command, Reply};
use tidings_crypto::PeerKey;

use super::{CallError, Node, done, unexpected};
use crate::invite::{self, InviteError};
use crate::resolve::{self, ResolveError, Resolved};

impl Node {
    /// Returns the contacts.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn contacts(&self) -> Result<Vec<Contact>, CallError> {
        self.look(|engine| engine.contacts().cloned().collect()).await
    }

    /// Adds a contact, or changes its name or whether a person has compared the safety number; what is `None` stays.
    ///
    /// # Errors
    ///
    /// [`Refusal::NameTaken`].
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn set_contact(
        &self,
        peer: PeerKey,
        name: Option<String>,
        verified: Option<bool>,
    ) -> Result<Contact, CallError> {
        let command = Command::SetContact { peer, name, verified };
        let reply = self.command(command).await?;
        let Reply::Contact(contact) = reply else {
            return Err(unexpected(reply));
        };
        Ok(contact)
    }

    /// Removes a contact.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`].
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn remove_contact(&self, peer: PeerKey) -> Result<(), CallError> {
        done(self.command(Command::RemoveContact(peer)).await?)
    }

    /// Makes an invite: a text that lets its bearer become a contact, once, within `lifetime`.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Cancel safety
    ///
    /// An invite whose text was not read expires unused.
    pub async fn create_invite(&self, lifetime: Duration) -> Result<String, CallError> {
        let reply = self.command(Command::CreateInvite { lifetime }).await?;
        let Reply::Invite(invite) = reply else {
            return Err(unexpected(reply));
        };
        Ok(invite::to_text(&invite))
    }

    /// Uses an invite: its maker becomes a contact under `name` or the name it gives itself, is dialled, and takes
    /// this node as a contact.
    ///
    /// # Errors
    ///
    /// [`InviteError`].
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn accept_invite(&self, invite: &str, name: Option<String>) -> Result<Contact, InviteError> {
        let invite = invite::from_text(invite)?;
        let command = Command::AcceptInvite { invite, name };
        let reply = self.command(command).await?;
        let Reply::Contact(contact) = reply else {
            return Err(unexpected(reply).into());
        };
        Ok(contact)
    }

    /// Finds the peer that a person means: by a contact's name, a name seen on the network, a peer id, or a unique
    /// piece of at least six characters of one.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] where nobody or more than one fits.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn resolve(&self, text: &str) -> Result<Resolved, ResolveError> {
        let named = text.to_owned();
        let known = self.look(move |engine| resolve::by_contact_or_id(&named, engine.contacts())).await?;
        match known {
            Some(resolved) => Ok(resolved),
            None => resolve::resolve(text, &self.view().await?),
        }
    }
}
