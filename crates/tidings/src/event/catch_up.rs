//! Joins what the database keeps and what happens now into one stream without gap and without repetition.
//!
//! A stream subscribes first and reads the database second, so nothing falls between. What comes live below the
//! place already told is left out; a reader that was too slow for the live events reads the database again from the
//! place it had reached.

use std::collections::VecDeque;
use std::future::Future;

use tidings_core::ids::At;
use tidings_core::message::InboxMessage;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Event, owned};
use crate::driver::call::{ChangePage, News};
use crate::inbox::messages_of;

/// How many of each kind are read from the database at once.
pub(crate) const PAGE: usize = 256;
/// How much payload is read at once, but for a message that is larger by itself: every stream may hold as much.
pub(crate) const PAGE_BYTES: u64 = 1 << 20;

/// Where events that happened before are kept.
pub(crate) trait Source: Send + 'static {
    /// Unconsumed messages after a place, rising: at least the next, if there is one.
    fn messages(&self, after: At) -> impl Future<Output = Option<Vec<InboxMessage>>> + Send;
    /// Changes of sent messages after a place, rising.
    fn changes(&self, after: At) -> impl Future<Output = Option<ChangePage>> + Send;
}

/// Where a stream stands.
enum Stage {
    /// It reads the database from `reached` on.
    Reading,
    /// It follows what happens.
    Live,
}

struct Reader<S> {
    source: S,
    news: broadcast::Receiver<News>,
    reached: At,
    stage: Stage,
    ready: VecDeque<Event>,
}

/// The events after `since`, or from now on if that is `None`; ends when the node has stopped.
pub(crate) fn follow<S: Source>(
    source: S,
    news: broadcast::Receiver<News>,
    since: Option<At>,
) -> impl futures::Stream<Item = Event> + Send {
    let reader = Reader {
        source,
        news,
        reached: since.unwrap_or_default(),
        stage: if since.is_some() { Stage::Reading } else { Stage::Live },
        ready: VecDeque::new(),
    };
    futures::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((event, reader))
    })
}

impl<S: Source> Reader<S> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if let Some(at) = event.at() {
                    self.reached = self.reached.max(at);
                }
                return Some(event);
            }
            match self.stage {
                Stage::Reading => self.read().await?,
                Stage::Live => self.listen().await?,
            }
        }
    }

    /// Reads one page of both kinds, merged by place; ends the reading where there were no messages and less than a
    /// page of changes.
    async fn read(&mut self) -> Option<()> {
        let messages = self.source.messages(self.reached).await?;
        let page = self.source.changes(self.reached).await?;
        if page.lagged {
            self.ready.push_back(Event::Lagged { missed: missed(self.reached, &page) });
        }
        // A page of messages is as long as their size allows: only an empty one is the last.
        let (more_messages, more_changes) = (!messages.is_empty(), page.changes.len() >= PAGE);
        // Beyond the last of a full page the other kind may have more that was not read yet.
        let last_message = messages.last().map(|message| message.at);
        let last_change = page.changes.last().and_then(|change| change.at);
        let end = match (more_messages, more_changes) {
            (true, true) => last_message.min(last_change),
            (true, false) => last_message,
            (false, true) => last_change,
            (false, false) => None,
        };
        let mut events: Vec<Event> = messages.into_iter().map(Event::Message).collect();
        events.extend(page.changes.into_iter().map(Event::State));
        events.retain(|event| end.is_none() || event.at() <= end);
        events.sort_by_key(Event::at);
        self.ready.extend(events);
        if !more_messages && !more_changes {
            self.stage = Stage::Live;
        }
        Some(())
    }

    async fn listen(&mut self) -> Option<()> {
        match self.news.recv().await {
            Ok(news) => {
                self.on_news(news);
                Some(())
            }
            Err(RecvError::Lagged(missed)) => {
                // Without a place reached there is nothing to go on from in the database.
                if self.reached == At::default() {
                    self.ready.push_back(Event::Lagged { missed });
                } else {
                    self.stage = Stage::Reading;
                    self.ready.push_back(Event::Lagged { missed });
                }
                Some(())
            }
            Err(RecvError::Closed) => None,
        }
    }

    fn on_news(&mut self, news: News) {
        let reached = self.reached;
        match news {
            News::Received(batch) => {
                let new = messages_of(&batch).filter(|message| message.at > reached);
                self.ready.extend(new.map(Event::Message));
            }
            News::Released(at) => {
                if at > reached {
                    self.stage = Stage::Reading;
                }
            }
            News::State(change) => {
                if change.at.is_none_or(|at| at > reached) {
                    self.ready.push_back(owned(&change));
                }
            }
            News::NeighbourUp { peer, name, kind } => {
                self.ready.push_back(Event::NeighbourUp { peer, name: name.to_string(), kind })
            }
            News::NeighbourDown { peer } => self.ready.push_back(Event::NeighbourDown { peer }),
            News::Topology { kind, reason } => {
                self.ready.push_back(Event::Topology { kind, reason: reason.to_string() });
            }
            News::Routes(changes) => self.ready.push_back(Event::Routes(changes.to_vec())),
            News::Contact(contact) => {
                self.ready.push_back(Event::Contact((*contact).clone()));
            }
            News::Misconduct { peer, evidence } => {
                self.ready.push_back(Event::Security { peer, evidence });
            }
            News::Degraded { reason } => self.ready.push_back(Event::Degraded { reason: reason.to_string() }),
        }
    }
}

/// How many places lie between the one reached and the first that is kept, as far as one boot counts them.
fn missed(reached: At, page: &ChangePage) -> u64 {
    match page.changes.first().and_then(|change| change.at) {
        Some(first) if first.boot == reached.boot => first.n.saturating_sub(reached.n + 1).max(1),
        Some(_) | None => 1,
    }
}

#[cfg(test)]
mod tests;
