//! Moves the bytes of one link: a reader and a writer task around a libp2p stream, both with bounded buffers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tidings_core::ids::LinkId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

/// The least and the most that one read takes; it grows while reads fill it, so that an idle link costs the least.
const READ_BYTES: (usize, usize) = (4 * 1024, 64 * 1024);
/// Reads of one link that wait for the driver. A peer that floods is slowed by its transport beyond that: the next
/// read begins when the driver has taken one.
const READS_WAITING: usize = 4;
/// Bytes that the writer gathers into one write.
const WRITE_BYTES: usize = 64 * 1024;
/// Lists of chunks that wait for the writer; what does not fit waits with the driver, within the link's grant.
const WRITES_WAITING: usize = 4;
/// A peer that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a link that we closed waits for the other end to close it too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a new link may be given before it reports progress. Small beside core's own window, so that what waits is
/// ordered by core; large enough for one driver wake at full speed.
pub(crate) const WRITE_GRANT_BYTES: u64 = 256 * 1024;

/// What a link's tasks tell the driver.
#[derive(Debug)]
pub(crate) enum LinkIo {
    /// Bytes came; the permit lets the reader go on once they are handled.
    Read { link: LinkId, bytes: Bytes, permit: OwnedSemaphorePermit },
    /// So many bytes are written.
    Written { link: LinkId, bytes: u64 },
    /// The link is over.
    Ended { link: LinkId },
}

/// The driver's end of a link. Dropping it ends both tasks at once.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` once it is closing.
    writer: Option<mpsc::Sender<Vec<Bytes>>>,
    /// What was transmitted and has not been given to the writer.
    waiting: Vec<Bytes>,
    /// Whether the writer is to close the stream behind what waits.
    closing: bool,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Link {
    /// Starts the tasks of a link; must run within a Tokio runtime.
    pub(crate) fn spawn<S>(link: LinkId, stream: S, io: mpsc::Sender<LinkIo>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, write) = stream.split();
        let (writer, queue) = mpsc::channel(WRITES_WAITING);
        let reader = tokio::spawn(read_all(link, read, io.clone()));
        let writing = tokio::spawn(write_all(link, write, queue, io));
        Self {
            writer: Some(writer),
            waiting: Vec::new(),
            closing: false,
            tasks: [reader.abort_handle(), writing.abort_handle()],
        }
    }

    /// Takes bytes to be written behind all before.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.waiting.push(bytes);
    }

    /// Closes the link behind what was pushed.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Gives the writer what waits, as far as it takes it.
    pub(crate) fn flush(&mut self) {
        let Some(writer) = &self.writer else {
            return;
        };
        if !self.waiting.is_empty()
            && let Err(refused) = writer.try_send(std::mem::take(&mut self.waiting))
        {
            // A closed queue means that the writer has failed; it says so itself.
            self.waiting = refused.into_inner();
        }
        if self.closing && self.waiting.is_empty() {
            self.writer = None;
        }
    }
}

async fn read_all<S: AsyncRead>(link: LinkId, mut stream: ReadHalf<S>, io: mpsc::Sender<LinkIo>) {
    let credit = Arc::new(Semaphore::new(READS_WAITING));
    let (least, most) = READ_BYTES;
    let mut size = least;
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&credit).acquire_owned().await {
        let mut buffer = BytesMut::zeroed(size);
        let Ok(count @ 1..) = stream.read(&mut buffer).await else {
            break;
        };
        let bytes = if count < size / 2 {
            Bytes::copy_from_slice(&buffer[..count])
        } else {
            buffer.truncate(count);
            buffer.freeze()
        };
        if count == size {
            size = most.min(size * 2);
        } else if count < size / 4 {
            size = least.max(size / 2);
        }
        let read = LinkIo::Read { link, bytes, permit };
        if io.send(read).await.is_err() {
            return;
        }
    }
    // An error means that the driver is gone.
    let _ = io.send(LinkIo::Ended { link }).await;
}

async fn write_all<S: AsyncWrite>(
    link: LinkId,
    mut stream: WriteHalf<S>,
    mut queue: mpsc::Receiver<Vec<Bytes>>,
    io: mpsc::Sender<LinkIo>,
) {
    while let Some(mut chunks) = queue.recv().await {
        while let Ok(more) = queue.try_recv() {
            chunks.extend(more);
        }
        for gathered in gather(chunks) {
            if write(&mut stream, &gathered).await.is_none() {
                let _ = io.send(LinkIo::Ended { link }).await;
                return;
            }
            let bytes = gathered.len() as u64;
            if io.send(LinkIo::Written { link, bytes }).await.is_err() {
                return;
            }
        }
    }
    // Both may fail or take too long where the peer is gone, and then the link is over all the same.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, stream.close()).await;
    tokio::time::sleep(CLOSE_TIMEOUT).await;
    let _ = io.send(LinkIo::Ended { link }).await;
}

/// Joins chunks to pieces of about [`WRITE_BYTES`], so that many small frames cost one write.
fn gather(chunks: Vec<Bytes>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = BytesMut::new();
    for chunk in chunks {
        if chunk.len() >= WRITE_BYTES / 2 && piece.is_empty() {
            pieces.push(chunk);
            continue;
        }
        piece.extend_from_slice(&chunk);
        if piece.len() >= WRITE_BYTES {
            pieces.push(piece.split().freeze());
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.freeze());
    }
    pieces
}

/// Writes all of it and pushes it out; `None` where the peer takes nothing for [`WRITE_TIMEOUT`] or is gone.
async fn write<S: AsyncWrite>(stream: &mut WriteHalf<S>, mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        let written = tokio::time::timeout(WRITE_TIMEOUT, stream.write(bytes)).await;
        let count @ 1.. = written.ok()?.ok()? else {
            return None;
        };
        bytes = bytes.get(count..)?;
    }
    let flushed = tokio::time::timeout(WRITE_TIMEOUT, stream.flush()).await;
    flushed.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    #[test]
    fn small_chunks_are_joined_and_keep_their_order() {
        let chunks: Vec<Bytes> = (0..3000u32).map(|n| Bytes::copy_from_slice(&n.to_be_bytes().repeat(10))).collect();
        let whole: Vec<u8> = chunks.concat();
        let pieces = gather(chunks);
        assert_eq!(pieces.concat(), whole);
        assert_eq!(pieces.len(), 2);
    }

    /// Gives zeros without end and takes nothing.
    struct Flood;

    impl AsyncRead for Flood {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Ok(buffer.len()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
            Poll::Pending
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_flood_waits_for_the_driver() {
        let (io, mut events) = mpsc::channel(64);
        let _link = Link::spawn(LinkId(1), Flood, io);
        let mut held = Vec::new();
        let mut bytes = 0;
        for _ in 0..READS_WAITING {
            let Some(LinkIo::Read { bytes: read, permit, .. }) = events.recv().await else {
                panic!("the reader stopped");
            };
            bytes += read.len();
            held.push(permit);
        }
        assert!(bytes <= READS_WAITING * READ_BYTES.1);
        // The reader has no permit left: it is asleep, whatever the peer sends.
        tokio::task::yield_now().await;
        assert!(events.try_recv().is_err());
        held.pop();
        assert!(matches!(events.recv().await, Some(LinkIo::Read { .. })));
    }

    /// Gives nothing and breaks when it is written to.
    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<std::io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_ends_the_link() {
        let (io, mut events) = mpsc::channel(64);
        let mut link = Link::spawn(LinkId(1), Broken, io);
        link.push(Bytes::from_static(b"hello"));
        link.flush();
        let ended = events.recv().await;
        assert!(matches!(ended, Some(LinkIo::Ended { link: LinkId(1) })), "{ended:?}");
    }
}
