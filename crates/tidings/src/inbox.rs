//! The inbox as a stream: first what waits, then what arrives, without gap and without repetition.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use tidings_core::ids::{At, MessageId};
use tidings_core::message::InboxMessage;
use tidings_core::record::InboxBatch;
use tidings_core::wire::decode_content;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::driver::call::News;
use crate::event::Source;

/// Messages for this node's application, from [`Node::inbox`](crate::Node::inbox). Ends when the node has stopped.
///
/// Every message stays in the inbox until [`Node::acknowledge`](crate::Node::acknowledge) names it; one stream gives
/// it once, another stream, or the same application after a restart, gives it again.
pub struct Inbox {
    inner: BoxStream<'static, InboxMessage>,
}

impl Inbox {
    /// What waits, then what arrives.
    pub(crate) fn new<S: Source>(source: S, news: broadcast::Receiver<News>) -> Self {
        Self::from(source, news, Stage::Reading)
    }

    /// What arrives from now on; after a lag also what waits.
    pub(crate) fn arriving<S: Source>(source: S, news: broadcast::Receiver<News>) -> Self {
        Self::from(source, news, Stage::Live)
    }

    fn from<S: Source>(source: S, news: broadcast::Receiver<News>, stage: Stage) -> Self {
        let reader = Reader { source, news, reached: At::default(), stage, ready: VecDeque::new() };
        Self {
            inner: Box::pin(futures::stream::unfold(reader, |mut reader| async move {
                let message = reader.next().await?;
                Some((message, reader))
            })),
        }
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Stream for Inbox {
    type Item = InboxMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

enum Stage {
    /// It reads the database from the place reached on.
    Reading,
    /// It takes what arrives.
    Live,
}

struct Reader<S> {
    source: S,
    news: broadcast::Receiver<News>,
    reached: At,
    stage: Stage,
    ready: VecDeque<InboxMessage>,
}

impl<S: Source> Reader<S> {
    async fn next(&mut self) -> Option<InboxMessage> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                self.reached = message.at;
                return Some(message);
            }
            match self.stage {
                Stage::Reading => {
                    self.ready = self.source.messages(self.reached).await?.into();
                    if self.ready.is_empty() {
                        self.stage = Stage::Live;
                    }
                }
                Stage::Live => self.listen().await?,
            }
        }
    }

    async fn listen(&mut self) -> Option<()> {
        match self.news.recv().await {
            Ok(News::Received(batch)) => {
                let reached = self.reached;
                let new = messages_of(&batch).filter(|message| message.at > reached);
                self.ready.extend(new);
            }
            Ok(News::Released(at)) => {
                if at > self.reached {
                    self.stage = Stage::Reading;
                }
            }
            Ok(
                News::State(_)
                | News::NeighbourUp { .. }
                | News::NeighbourDown { .. }
                | News::Topology { .. }
                | News::Routes(_)
                | News::Contact(_)
                | News::Misconduct { .. }
                | News::Degraded { .. },
            ) => {}
            Err(RecvError::Lagged(_)) => self.stage = Stage::Reading,
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}

/// The messages of a batch as applications see them, with rising places.
///
/// The engine has read every one of them before it stored the batch.
pub(crate) fn messages_of(batch: &InboxBatch) -> impl Iterator<Item = InboxMessage> + '_ {
    batch.messages.iter().zip(0u64..).filter_map(|((seq, encoded), offset)| {
        let content = decode_content(encoded.clone()).ok()?;
        Some(InboxMessage {
            at: At { boot: batch.at.boot, n: batch.at.n + offset },
            id: MessageId { flow: batch.flow, seq: *seq },
            from: batch.sender,
            kind: content.kind,
            payload: content.payload,
            stream: content.stream,
            headers: content.headers,
            class: batch.class,
            reply_to: content.reply_to,
            sent_at: content.sent_at,
            expires_at: content.expires_at,
            received_at: batch.received_at,
            hops: batch.hops,
            path: batch.path.clone().filter(|_| content.record_route),
        })
    })
}
