//! A relay that paces TCP both ways, as a slow radio does.
//!
//! The delay queue is short, so that a sender feels the pace through its socket, as it does on a real slow link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, tcp};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What the relay asks the kernel to buffer towards either node; the kernel doubles it.
const SOCKET_BUFFER_BYTES: u32 = 2_048;
/// The most that is taken from a socket at once.
const PIECE_BYTES: usize = 200;
/// Pieces on the way: enough for a second at 10 kB/s.
const PIECES_UNDER_WAY: usize = 64;

/// A running relay.
pub(super) struct Relay {
    pub(super) port: u16,
    counts: [Arc<AtomicU64>; 2],
}

impl Relay {
    /// Bytes passed from the dialler.
    pub(super) fn towards(&self) -> u64 {
        self.counts[0].load(Ordering::Relaxed)
    }

    /// Bytes passed to the dialler.
    pub(super) fn back(&self) -> u64 {
        self.counts[1].load(Ordering::Relaxed)
    }
}

/// Relays everything that dials to a port of this machine.
pub(super) fn start(to: u16, bytes_per_second: u32, one_way: Duration) -> Result<Relay> {
    let socket = TcpSocket::new_v4()?;
    // Inherited by what is accepted.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(16)?;
    let port = listener.local_addr()?.port();
    let counts = [Arc::default(), Arc::default()];
    tokio::spawn(accept(listener, to, counts.clone(), bytes_per_second, one_way));
    Ok(Relay { port, counts })
}

async fn accept(listener: TcpListener, to: u16, counts: [Arc<AtomicU64>; 2], pace: u32, one_way: Duration) {
    while let Ok((dialler, _)) = listener.accept().await {
        let Ok(listening) = dial(to).await else { continue };
        let (from_dialler, to_dialler) = dialler.into_split();
        let (from_listening, to_listening) = listening.into_split();
        let [towards, back] = counts.clone();
        tokio::spawn(pass(from_dialler, to_listening, towards, pace, one_way));
        tokio::spawn(pass(from_listening, to_dialler, back, pace, one_way));
    }
}

async fn dial(to: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    let stream = socket.connect(([127, 0, 0, 1], to).into()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Passes one direction on, paced when taken and late when given.
async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    count: Arc<AtomicU64>,
    bytes_per_second: u32,
    one_way: Duration,
) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_UNDER_WAY);
    let take = async move {
        let mut piece = [0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let bytes = u32::try_from(length).expect("a piece is short");
            // What the radio needs to send it.
            tokio::time::sleep(Duration::from_secs(1) * bytes / bytes_per_second).await;
            count.fetch_add(u64::from(bytes), Ordering::Relaxed);
            if under_way.send((Instant::now() + one_way, piece[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let give = async move {
        while let Some((at, piece)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(take, give);
}
