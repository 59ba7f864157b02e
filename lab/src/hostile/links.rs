//! Attacks on the link protocol.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::core::muxing::SubstreamBox;
use libp2p::identity::Keypair;
use tidings_core::wire::Frame;
use tidings_crypto::PeerKey;

use super::connection::Connection;
use super::frames::hello;
use super::peer::{Attacker, TURNED_AWAY, lanes, over};

/// The link's protocol.
const PROTOCOL: &str = "/tidings/link/1";
/// Connections at once on which links are opened again and again.
const OPENERS: usize = 8;
/// Links at once that carry garbage, and that are not read.
const LINKS: usize = 16;
/// Questions in one write.
const QUESTIONS: u64 = 256;
/// Between two of them: a link that is flooded is closed, and this one is to live.
const QUESTION_INTERVAL: Duration = Duration::from_millis(20);

async fn open(connection: &Connection, lane: usize) -> Result<SubstreamBox> {
    let mut stream = connection.open_for(PROTOCOL).await?;
    stream.write_all(&hello(lane as u64 + 1)).await?;
    stream.flush().await?;
    Ok(stream)
}

/// Holds a link and reads what comes, until it is over.
pub(super) async fn hold(connection: &Connection, lane: usize) {
    let Ok(mut stream) = open(connection, lane).await else {
        return;
    };
    let mut buffer = [0; 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

/// Opens link after link on a connection, and keeps them all.
pub(super) async fn again_and_again(attacker: &Attacker) {
    lanes(OPENERS, async |lane| {
        let keypair = Keypair::generate_ed25519();
        loop {
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await {
                let mut kept = Vec::new();
                attacker.on_tried();
                while let Ok(stream) = open(&connection, lane).await {
                    attacker.on_taken();
                    kept.push(stream);
                    attacker.on_tried();
                }
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    })
    .await;
}

/// Writes what is no frame behind each hello, as much as is taken: half of the lanes always as the same peer, the
/// others each time as another one.
pub(super) async fn garbage(attacker: &Attacker, bytes: Vec<u8>) {
    lanes(LINKS, async |lane| {
        let mut keypair = Keypair::generate_ed25519();
        loop {
            if lane < LINKS / 2 {
                keypair = Keypair::generate_ed25519();
            }
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await
                && let Ok(mut stream) = open(&connection, lane).await
            {
                while stream.write_all(&bytes).await.is_ok() {}
            }
            tokio::time::sleep(TURNED_AWAY / 10).await;
        }
    })
    .await;
}

/// Asks for what must be answered, and reads nothing.
pub(super) async fn deaf(attacker: &Attacker) -> Result<()> {
    let victim: PeerKey = attacker.victim.peer.to_string().parse().context("the victim's peer id")?;
    lanes(LINKS, async |lane| {
        let keypair = Keypair::generate_ed25519();
        loop {
            if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await
                && let Ok(mut stream) = open(&connection, lane).await
            {
                let mut nonce = 0;
                while stream.write_all(&questions(victim, &mut nonce)).await.is_ok() {
                    tokio::time::sleep(QUESTION_INTERVAL).await;
                }
            }
            tokio::time::sleep(TURNED_AWAY).await;
        }
    })
    .await;
    Ok(())
}

/// Asks for the node's own card, which it has, and each time for `Got`.
fn questions(victim: PeerKey, nonce: &mut u64) -> BytesMut {
    let mut bytes = BytesMut::new();
    for _ in 0..QUESTIONS {
        *nonce += 1;
        Frame::FindCard { peer: victim, nonce: *nonce }.encode(true, &mut bytes);
    }
    bytes
}
