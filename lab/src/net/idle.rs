//! What real nodes cost while nothing happens: bytes on the wire, memory, processor time.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::faults::Scene;
use super::host::Usage;

/// What all nodes together have used at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    at: Instant,
    wire_bytes: u64,
    wire_frames: u64,
    link_bytes: u64,
    usage: Usage,
}

/// What they used between two moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) length: Duration,
    /// Frames of the wire and their bytes, with every header.
    pub(super) wire_frames: u64,
    pub(super) wire_bytes: u64,
    /// What the nodes wrote to their links; the rest is the transports'.
    pub(super) link_bytes: u64,
    pub(super) cpu: Duration,
    /// Memory of all nodes at the end, and the part that is not the program's file.
    pub(super) resident_kilobytes: u64,
    pub(super) anonymous_kilobytes: u64,
}

impl Mark {
    pub(super) async fn take(scene: &mut Scene) -> Result<Self> {
        let (mut link_bytes, mut usage) = (0, Usage::default());
        for host in &mut scene.hosts {
            let report = host.report().await?;
            link_bytes += report.bytes;
            usage += report.usage;
        }
        let traffic = scene.network.figures()?.traffic;
        let (wire_bytes, wire_frames) = (traffic.sent.bytes, traffic.sent.frames);
        Ok(Self { at: Instant::now(), wire_bytes, wire_frames, link_bytes, usage })
    }

    pub(super) fn until(self, later: Self) -> Idle {
        Idle {
            length: later.at - self.at,
            wire_frames: later.wire_frames - self.wire_frames,
            wire_bytes: later.wire_bytes - self.wire_bytes,
            link_bytes: later.link_bytes.saturating_sub(self.link_bytes),
            cpu: later.usage.cpu.saturating_sub(self.usage.cpu),
            resident_kilobytes: later.usage.resident_kilobytes,
            anonymous_kilobytes: later.usage.anonymous_kilobytes,
        }
    }
}
