//! The handle that applications hold.

mod contacts;
mod error;
mod mesh;
mod messages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use tidings_core::ids::{At, MessageId};
use tidings_core::links::{Address, LinkKind};
use tidings_core::message::InboxMessage;
use tidings_core::view::{PeerView, View};
use tidings_core::{Command, Reply};
use tidings_crypto::PeerKey;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};

pub use error::{CallError, DialError, RequestError, WaitError};
pub use mesh::Network;

use crate::config::Profile;
use crate::driver::NodeEngine;
use crate::driver::call::{Call, ChangePage, Look, News, Read, States};
use crate::event::{self, EventStream, Source};
use crate::inbox::Inbox;
use crate::start::Builder;
use crate::status::{NodeInfo, NodeState, Status};

/// How long [`Node::dial`] waits for a link.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls to a node whose database was lost wait before they ask again.
const REOPEN_PAUSE: Duration = Duration::from_millis(200);

/// Follows the state of one message.
pub(crate) type StateWatch = States;

/// A running node. Cheap to clone; the node ends when [`Node::shutdown`] is called or the last handle, stream and
/// message handle is dropped.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

/// What all handles of a node share.
pub(crate) struct Shared {
    pub(crate) peer: PeerKey,
    pub(crate) name: String,
    pub(crate) profile: Profile,
    pub(crate) started: Instant,
    pub(crate) calls: mpsc::Sender<Call>,
    /// Beside the calls, which may wait for a disk.
    pub(crate) stop: Arc<Notify>,
    /// Questions to the database that are not answered.
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) status: watch::Receiver<Status>,
    /// Weak, so that streams end when the driver is gone.
    pub(crate) news: broadcast::WeakSender<News>,
    /// One computation of the network's figures at a time.
    pub(crate) measuring: Arc<Semaphore>,
    /// The node's own, whose timers work for callers on any executor.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// A link that a dial led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// Who is there.
    pub peer: PeerKey,
    /// Over what.
    pub kind: LinkKind,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("peer", &self.shared.peer).finish_non_exhaustive()
    }
}

impl Node {
    /// Begins to describe a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Returns who this node is.
    pub fn peer_id(&self) -> PeerKey {
        self.shared.peer
    }

    /// Returns which incarnation of the node runs: events of an earlier one have a lower [`At::boot`].
    pub fn boot(&self) -> u64 {
        self.shared.status.borrow().boot
    }

    /// Returns a picture of the node; works in every state.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn info(&self) -> NodeInfo {
        let counters = self.look(|engine| engine.counters()).await;
        let status = self.shared.status.borrow().clone();
        NodeInfo {
            peer_id: self.shared.peer,
            name: self.shared.name.clone(),
            state: status.state,
            reasons: status.reasons,
            listen_addresses: status.listen_addresses,
            profile: self.shared.profile,
            topology: status.topology,
            dht: status.dht,
            uptime: self.shared.started.elapsed(),
            counters: counters.unwrap_or_default(),
        }
    }

    /// Returns the inbox as a stream: all unacknowledged messages, oldest first, then what arrives. Several streams
    /// each give every message.
    pub fn inbox(&self) -> Inbox {
        Inbox::new(self.clone(), self.subscribe())
    }

    fn arriving(&self) -> Inbox {
        Inbox::arriving(self.clone(), self.subscribe())
    }

    /// Returns up to `limit` unacknowledged messages after a place, oldest first, of one kind or all. If there are
    /// none, it waits up to `wait` for one.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn inbox_page(
        &self,
        after: Option<At>,
        limit: usize,
        kind: Option<String>,
        wait: Duration,
    ) -> Result<Vec<InboxMessage>, CallError> {
        let mut news = self.subscribe();
        let after = after.unwrap_or_default();
        let mut timeout = Box::pin(self.sleep(wait));
        loop {
            let kind = kind.clone();
            let page = self.read_inbox(after, limit, kind).await?;
            if !page.is_empty() || limit == 0 {
                return Ok(page);
            }
            let arrival = async {
                loop {
                    match news.recv().await {
                        Ok(News::Received(_) | News::Released(_)) | Err(broadcast::error::RecvError::Lagged(_)) => {
                            return Ok(());
                        }
                        Err(broadcast::error::RecvError::Closed) => return Err(CallError::Stopped),
                        Ok(_) => {}
                    }
                }
            };
            tokio::select! {
                arrived = arrival => arrived?,
                () = &mut timeout => return Ok(Vec::new()),
            }
        }
    }

    async fn read_inbox(&self, after: At, limit: usize, kind: Option<String>) -> Result<Vec<InboxMessage>, CallError> {
        self.read(|answer| Read::Inbox { after, limit, max_bytes: u64::MAX, kind, answer }).await
    }

    /// Says that the application has consumed messages; they are never shown again once this returns. Returns those
    /// that were not in the inbox.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped: acknowledging twice does no harm.
    pub async fn acknowledge(&self, ids: Vec<MessageId>) -> Result<Vec<MessageId>, CallError> {
        let reply = self.command(Command::Consume(ids)).await?;
        let Reply::Consumed { unknown } = reply else {
            return Err(unexpected(reply));
        };
        Ok(unknown)
    }

    /// Returns the node's events: those after `since`, as far as they are kept, then what happens; without `since`
    /// only what happens from now on.
    pub fn events(&self, since: Option<At>) -> EventStream {
        let events = event::follow(self.clone(), self.subscribe(), since);
        EventStream::new(events.boxed())
    }

    /// Returns everybody with a link, an address or evidence.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn peers(&self) -> Result<Vec<PeerView>, CallError> {
        self.look(|engine| engine.view().peers).await
    }

    /// Opens a link to an address, and waits up to [`DIAL_TIMEOUT`] for it.
    ///
    /// # Errors
    ///
    /// [`DialError`].
    ///
    /// # Cancel safety
    ///
    /// The dial goes on if the future is dropped.
    pub async fn dial(&self, address: &str) -> Result<Dialled, DialError> {
        let address = crate::config::check_dial(address)
            .map_err(|reason| DialError::Address { got: address.to_owned(), reason })?;
        let reply = tokio::select! {
            reply = self.command(Command::Dial(address)) => reply?,
            () = self.sleep(DIAL_TIMEOUT) => Reply::DialFailed {
                reason: format!("nobody answered within {} seconds", DIAL_TIMEOUT.as_secs()),
            },
        };
        if let Reply::Dialled { peer, kind } = reply {
            Ok(Dialled { peer, kind })
        } else if let Reply::DialFailed { reason } = reply {
            Err(DialError::Failed { reason })
        } else {
            Err(unexpected(reply).into())
        }
    }

    /// Closes the links to a peer and takes none from it for `pause`.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] where the peer has no link.
    ///
    /// # Cancel safety
    ///
    /// The peer may be closed or not if the future is dropped; repeat it.
    pub async fn close_peer(&self, peer: PeerKey, pause: Duration) -> Result<(), CallError> {
        done(self.command(Command::ClosePeer { peer, pause }).await?)
    }

    /// Says that the machine's network has changed: links are checked and made anew at once.
    ///
    /// # Errors
    ///
    /// [`CallError::Stopped`].
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn network_changed(&self) -> Result<(), CallError> {
        self.call(Call::NetworkChanged).await
    }

    /// Closes links and listeners; what is sent meanwhile waits on disk.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn pause(&self) -> Result<(), CallError> {
        done(self.ask(Call::Pause).await?)
    }

    /// Opens listeners and links again.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn resume(&self) -> Result<(), CallError> {
        done(self.ask(Call::Resume).await?)
    }

    /// Ends the node: says goodbye to neighbours and finishes what is being written, within two seconds.
    ///
    /// # Cancel safety
    ///
    /// The node ends even if the future is dropped after its first poll.
    pub async fn shutdown(&self) {
        self.shared.stop.notify_one();
        self.stopped().await;
    }

    /// Waits until the node has ended, by whatever cause.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn stopped(&self) {
        let mut status = self.shared.status.clone();
        // An error means that the driver is gone, which is the same.
        let _ = status.wait_for(|status| status.state == NodeState::Stopped).await;
    }

    /// Returns what the node is doing. After [`Node::stopped`] anything but [`NodeState::Stopped`] means that it ended
    /// by a fault of its own.
    pub fn state(&self) -> NodeState {
        self.shared.status.borrow().state
    }

    /// Returns where the node listens now: concrete addresses with `/p2p/…`, loopback included.
    pub fn listen_addresses(&self) -> Vec<Address> {
        self.shared.status.borrow().listen_addresses.clone()
    }

    /// Follows what the driver says about itself.
    #[cfg(test)]
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Returns what the node knows.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn view(&self) -> Result<View, CallError> {
        self.look(|engine| engine.view()).await
    }

    /// Reads something that the engine knows.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&NodeEngine) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        self.ask(|answer| Call::Look(Look::new(look, answer))).await
    }

    fn subscribe(&self) -> broadcast::Receiver<News> {
        match self.shared.news.upgrade() {
            Some(sender) => sender.subscribe(),
            // A channel whose sender is gone: the stream ends at once.
            None => broadcast::channel(1).1,
        }
    }

    /// A timer that works for callers on any executor.
    fn sleep(&self, duration: Duration) -> tokio::time::Sleep {
        let _entered = self.shared.runtime.enter();
        tokio::time::sleep(duration)
    }

    /// Asks the database.
    async fn read<T>(&self, read: impl FnOnce(oneshot::Sender<T>) -> Read) -> Result<T, CallError> {
        let reads = Arc::clone(&self.shared.reads);
        let permit = reads.acquire_owned().await.map_err(|_| CallError::Stopped)?;
        self.ask(|answer| Call::Read(read(answer), permit)).await
    }

    async fn command(&self, command: Command) -> Result<Reply, CallError> {
        self.ask(|answer| Call::Command(command, answer)).await
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, CallError> {
        let (answer, answered) = oneshot::channel();
        self.call(call(answer)).await?;
        answered.await.map_err(|_| self.lost())
    }

    async fn call(&self, call: Call) -> Result<(), CallError> {
        self.shared.calls.send(call).await.map_err(|_| CallError::Stopped)
    }

    /// Why an answer did not come.
    fn lost(&self) -> CallError {
        match self.shared.status.borrow().state {
            NodeState::Stopping | NodeState::Stopped => CallError::Stopped,
            NodeState::Starting | NodeState::Active | NodeState::Degraded | NodeState::Paused => CallError::Unavailable,
        }
    }

    /// Asks until the database answers; `None` when the node has stopped.
    async fn insist<T>(&self, read: impl Fn(oneshot::Sender<T>) -> Read + Send + Sync) -> Option<T> {
        loop {
            match self.read(&read).await {
                Ok(answer) => return Some(answer),
                Err(CallError::Stopped) => return None,
                Err(CallError::Unavailable | CallError::Refused(_)) => {
                    self.sleep(REOPEN_PAUSE).await;
                }
            }
        }
    }
}

impl Source for Node {
    async fn messages(&self, after: At) -> Option<Vec<InboxMessage>> {
        let max_bytes = event::PAGE_BYTES;
        self.insist(|answer| Read::Inbox { after, limit: event::PAGE, max_bytes, kind: None, answer }).await
    }

    async fn changes(&self, after: At) -> Option<ChangePage> {
        self.insist(|answer| Read::Changes { after, limit: event::PAGE, answer }).await
    }
}

fn done(reply: Reply) -> Result<(), CallError> {
    if reply == Reply::Done { Ok(()) } else { Err(unexpected(reply)) }
}

/// The error in a reply that is not the answer asked for.
fn unexpected(reply: Reply) -> CallError {
    if let Reply::Refused(refusal) = reply { CallError::Refused(refusal) } else { CallError::Unavailable }
}
