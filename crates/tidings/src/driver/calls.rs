//! Takes calls, and gives their answers back.

use tidings_core::ids::CommandId;
use tidings_core::message::{Accepted, Refusal, Submission};
use tidings_core::{Command, Input, Reply};
use tokio::sync::oneshot;

use super::Driver;
use super::call::{Call, Submitted, Track};

/// Messages that one command to the engine carries at most; more make several.
const MAX_JOINED: usize = 4096;

/// Who waits for the answer to a command.
pub(super) enum Pending {
    /// Submissions that were joined.
    Submit(Vec<Submitter>),
    /// One call.
    Call(oneshot::Sender<Reply>),
    /// The driver itself, to stop.
    Stop,
}

/// One call among joined submissions.
pub(super) struct Submitter {
    count: usize,
    track: Track,
    answer: oneshot::Sender<Vec<Result<Submitted, Refusal>>>,
}

/// Submissions of this wake.
#[derive(Default)]
pub(super) struct Joined {
    submissions: Vec<Submission>,
    submitters: Vec<Submitter>,
}

impl Driver {
    pub(super) fn on_call(&mut self, call: Call) {
        match call {
            Call::Submit { submissions, track, answer } => self.on_submit(submissions, Submitter::new(track, answer)),
            Call::Command(command, answer) => self.command(command, Pending::Call(answer)),
            Call::Track(id, answer) => {
                // An error means that the caller is gone, here and below.
                let _ = answer.send(self.tracked.follow(id));
            }
            Call::Read(read, permit) => {
                if let Some(database) = &self.database {
                    database.read(read, permit);
                }
            }
            Call::Look(look) => {
                if let Some(engine) = &self.engine {
                    look.at(engine);
                }
            }
            // Both are kept for an engine that is built anew.
            Call::SetTopology(kind, answer) => {
                self.config.topology = kind;
                self.status.send_modify(|status| status.topology = kind);
                self.command(Command::SetTopology(kind), Pending::Call(answer));
            }
            Call::SetLabels(labels, answer) => {
                let texts = labels.texts();
                self.config.labels = labels;
                self.command(Command::SetLabels(texts), Pending::Call(answer));
            }
            Call::NetworkChanged => self.on_network_changed(),
            Call::Pause(answer) => {
                self.pause();
                self.command(Command::Pause, Pending::Call(answer));
            }
            Call::Resume(answer) => {
                self.command(Command::Resume, Pending::Call(answer));
                self.resume();
            }
        }
    }

    fn on_submit(&mut self, submissions: Vec<Submission>, mut submitter: Submitter) {
        if self.joined.submissions.len() + submissions.len() > MAX_JOINED {
            self.submit_joined();
        }
        submitter.count = submissions.len();
        self.joined.submissions.extend(submissions);
        self.joined.submitters.push(submitter);
    }

    /// Hands the submissions of this wake to the engine as one command.
    pub(super) fn submit_joined(&mut self) {
        let joined = std::mem::take(&mut self.joined);
        if !joined.submissions.is_empty() {
            let pending = Pending::Submit(joined.submitters);
            self.command(Command::Submit(joined.submissions), pending);
        }
    }

    /// Hands a command to the engine. While there is none, the caller is told by its answer being dropped.
    pub(super) fn command(&mut self, command: Command, pending: Pending) {
        if self.engine.is_some() {
            let id = CommandId(self.next_command);
            self.next_command += 1;
            self.pending.insert(id, pending);
            self.handle(Input::Command(id, command));
        }
    }

    pub(super) fn on_reply(&mut self, id: CommandId, reply: Reply) {
        match self.pending.remove(&id) {
            Some(Pending::Submit(submitters)) => self.answer_submitters(submitters, reply),
            Some(Pending::Call(answer)) => {
                let _ = answer.send(reply);
            }
            Some(Pending::Stop) => self.on_stop_taken(),
            None => {}
        }
    }

    /// Splits the answer of joined submissions.
    fn answer_submitters(&mut self, submitters: Vec<Submitter>, reply: Reply) {
        let mut results = match reply {
            Reply::Submitted(results) => results,
            Reply::Refused(refusal) => {
                let count = submitters.iter().map(|submitter| submitter.count).sum();
                vec![Err(refusal); count]
            }
            Reply::Consumed { .. }
            | Reply::Done
            | Reply::Dialled { .. }
            | Reply::DialFailed { .. }
            | Reply::Contact(_)
            | Reply::Invite(_) => Vec::new(),
        }
        .into_iter();
        for submitter in submitters {
            let answers = results
                .by_ref()
                .take(submitter.count)
                .map(|result| result.map(|accepted| self.submitted(accepted, submitter.track)))
                .collect();
            let _ = submitter.answer.send(answers);
        }
    }

    fn submitted(&mut self, accepted: Accepted, track: Track) -> Submitted {
        // A repeated message may have changed long ago: its handle asks the database.
        let states = match track {
            Track::Yes if !accepted.repeated => self.tracked.follow(accepted.id),
            Track::Yes | Track::No => None,
        };
        Submitted { accepted, states }
    }
}

impl Submitter {
    fn new(track: Track, answer: oneshot::Sender<Vec<Result<Submitted, Refusal>>>) -> Self {
        Self { count: 0, track, answer }
    }
}
