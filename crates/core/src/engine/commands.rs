//! What applications ask for.

use tidings_crypto::Sealer;

use super::Engine;
use crate::delivery::{self, Moment};
use crate::ids::CommandId;
use crate::input::Command;
use crate::links;
use crate::message::Refusal;
use crate::output::Reply;

impl<S: Sealer> Engine<S> {
    pub(super) fn on_command(&mut self, now: Moment, command: CommandId, what: Command) {
        match what {
            Command::Submit(submissions) if self.stopping => {
                let refused = submissions.iter().map(|_| Err(Refusal::Stopping)).collect();
                self.reply(command, Reply::Submitted(refused));
            }
            Command::Submit(submissions) => {
                self.delivery.handle(now, delivery::Event::Submit(command, submissions));
            }
            Command::Consume(ids) => self.delivery.handle(now, delivery::Event::Consume(command, ids)),
            Command::Cancel(id) => self.delivery.handle(now, delivery::Event::Cancel(command, id)),
            Command::Dial(address) => self.links.handle(now.mono, links::Event::Dial { command, address }),
            Command::ClosePeer { peer, pause } => {
                self.links.handle(now.mono, links::Event::ClosePeer { peer, pause });
                self.reply(command, Reply::Done);
            }
            Command::SetContact { peer, name, verified } => self.set_contact(now, command, peer, name, verified),
            Command::RemoveContact(peer) => self.remove_contact(now, command, peer),
            Command::CreateInvite { lifetime } => self.create_invite(now, command, lifetime),
            Command::AcceptInvite { invite, name } => self.accept_invite(now, command, &invite, name),
            Command::SetTopology(kind) => {
                self.set_topology(now, kind);
                self.reply(command, Reply::Done);
            }
            Command::SetLabels(labels) => {
                let reply = match self.set_labels(now, labels) {
                    Ok(()) => Reply::Done,
                    Err(refusal) => Reply::Refused(refusal),
                };
                self.reply(command, reply);
            }
            Command::Pause => self.links_command(now, command, links::Event::Pause),
            Command::Resume => self.links_command(now, command, links::Event::Resume),
            Command::Stop => {
                self.stopping = true;
                self.links_command(now, command, links::Event::Stop);
            }
        }
    }

    fn links_command(&mut self, now: Moment, command: CommandId, event: links::Event) {
        self.links.handle(now.mono, event);
        self.reply(command, Reply::Done);
    }
}
