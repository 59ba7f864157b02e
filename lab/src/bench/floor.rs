//! What the machine and plain libp2p give.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm};

use super::{PAYLOAD_BYTES, Sample};

type Echo = request_response::cbor::Behaviour<Vec<u8>, ()>;

/// Appends of 320 bytes, each synced.
pub(super) fn fdatasync(dir: &Path, time: Duration) -> Result<Sample> {
    let mut file = std::fs::File::create(dir.join("floor"))?;
    let record = [7; 320];
    let mut sample = Sample::default();
    let start = Instant::now();
    while start.elapsed() < time {
        let before = Instant::now();
        file.write_all(&record)?;
        file.sync_data()?;
        sample.latencies.push(before.elapsed());
        sample.count += 1;
    }
    sample.elapsed = start.elapsed();
    sample.latencies.sort_unstable();
    Ok(sample)
}

/// A libp2p node with nothing but request-response.
pub(super) fn swarm() -> Result<Swarm<Echo>> {
    let protocol = (StreamProtocol::new("/tidings-lab/echo/1"), ProtocolSupport::Full);
    let config = request_response::Config::default().with_max_concurrent_streams(4096);
    let swarm = libp2p::SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(Default::default(), libp2p::tls::Config::new, libp2p::yamux::Config::default)?
        .with_quic_config(|mut quic| {
            quic.max_concurrent_stream_limit = 4096;
            quic
        })
        .with_behaviour(|_| Echo::new([protocol], config))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    Ok(swarm)
}

/// Answers every request, for ever.
pub(super) async fn answer(mut swarm: Swarm<Echo>) {
    loop {
        if let SwarmEvent::Behaviour(request_response::Event::Message {
            message: request_response::Message::Request { channel, .. },
            ..
        }) = swarm.select_next_some().await
        {
            // The asker may be gone.
            let _unanswered = swarm.behaviour_mut().send_response(channel, ());
        }
    }
}

/// Asks, with so many requests under way.
pub(super) struct Asker {
    swarm: Swarm<Echo>,
    peer: PeerId,
}

impl Asker {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other events mean nothing here")]
    pub(super) async fn connect(peer: PeerId, address: Multiaddr) -> Result<Self> {
        let mut swarm = swarm()?;
        swarm.dial(address)?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => return Ok(Self { swarm, peer }),
                SwarmEvent::OutgoingConnectionError { error, .. } => {
                    return Err(error).context("the echo peer cannot be dialled");
                }
                _ => {}
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "other events mean nothing here")]
    pub(super) async fn measure(&mut self, window: usize, time: Duration, payload: &[u8; PAYLOAD_BYTES]) -> Sample {
        let mut sample = Sample::default();
        let mut asked = std::collections::HashMap::new();
        let start = Instant::now();
        for _ in 0..window {
            let id = self.swarm.behaviour_mut().send_request(&self.peer, payload.to_vec());
            asked.insert(id, Instant::now());
        }
        while !asked.is_empty() {
            let SwarmEvent::Behaviour(event) = self.swarm.select_next_some().await else { continue };
            let id = match event {
                request_response::Event::Message {
                    message: request_response::Message::Response { request_id, .. },
                    ..
                } => request_id,
                request_response::Event::OutboundFailure { request_id, .. } => {
                    asked.remove(&request_id);
                    continue;
                }
                _ => continue,
            };
            if let Some(at) = asked.remove(&id) {
                sample.latencies.push(at.elapsed());
                sample.count += 1;
            }
            if start.elapsed() < time {
                let id = self.swarm.behaviour_mut().send_request(&self.peer, payload.to_vec());
                asked.insert(id, Instant::now());
            }
        }
        sample.elapsed = start.elapsed();
        sample.latencies.sort_unstable();
        sample
    }
}
