//! What a liar says about routes: that it is nearer than it is, that it knows newer announcements, that somebody's
//! announcement is another's, or one that nobody has signed.

use bytes::{Bytes, BytesMut};
use tidings_core::wire::{Frame, FrameDecoder, MAX_INDICES, Named, RouteUpdate, Routing, SeqRequest, Version};
use tidings_crypto::{AnnouncementHash, ChainValue};

use super::dice::Dice;
use super::heard::{Heard, altered};

/// What a liar has heard of routes.
#[derive(Debug, Default)]
pub(super) struct Rumours {
    /// Updates that name their announcement.
    routes: Heard<RouteUpdate>,
    announcements: Heard<Bytes>,
}

impl Rumours {
    /// Takes what is of use in what somebody has written.
    pub(super) fn hear(&mut self, bytes: &Bytes, dice: &mut Dice) {
        let mut decoder = FrameDecoder::default();
        decoder.push(bytes.clone());
        while let Ok(Some((frame, ..))) = decoder.next_frame() {
            if let Frame::Routing(Routing::Updates { updates, .. }) = frame {
                for update in updates.into_iter().filter(|update| update.named.is_some()) {
                    self.routes.keep(update, dice);
                }
            } else if let Frame::Routing(Routing::Announcement(bytes)) = frame {
                self.announcements.keep(bytes, dice);
            }
        }
    }

    /// Words a lie.
    pub(super) fn lie(&self, dice: &mut Dice) -> Option<Bytes> {
        let route = self.routes.any(dice)?;
        let named = route.named?;
        let frame = match dice.below(6) {
            0 => update(route.cost / 2, route.chain, named, dice),
            1 => update(route.cost, route.chain, named, dice),
            2 => {
                let version = Version { seq: named.version.seq + 1 + dice.below(3), ..named.version };
                update(1, ChainValue(dice.bytes()), Named { version, ..named }, dice)
            }
            3 => {
                let other = self.routes.any(dice)?.named?;
                update(route.cost, route.chain, Named { to: other.to, ..named }, dice)
            }
            4 => {
                let forged = altered(self.announcements.any(dice)?, dice);
                return Some(unsigned(forged, route, named, dice));
            }
            _ => {
                let version = Version { seq: named.version.seq + dice.below(1_000), ..named.version };
                Routing::SeqRequest(SeqRequest { to: named.to, version, ttl: 32 })
            }
        };
        Some(written(&[frame]))
    }
}

/// Offers an announcement that its owner has not signed, and sends it unasked.
fn unsigned(announcement: Bytes, route: &RouteUpdate, named: Named, dice: &mut Dice) -> Bytes {
    let version = Version { seq: named.version.seq + 1, ..named.version };
    let named = Named { version, hash: AnnouncementHash::of(&announcement), follows: true, ..named };
    let offer = update(1, route.chain, named, dice);
    written(&[offer, Routing::Announcement(announcement)])
}

/// An update under an index that the engine beside does not use.
fn update(cost: u8, chain: ChainValue, named: Named, dice: &mut Dice) -> Routing {
    let index = MAX_INDICES - 1 - dice.index(200);
    let index = u16::try_from(index).unwrap_or(0);
    let update = RouteUpdate { index, cost, hops: cost.min(30), chain, named: Some(named) };
    Routing::Updates { restart: false, updates: vec![update] }
}

fn written(frames: &[Routing]) -> Bytes {
    let mut written = BytesMut::new();
    for frame in frames {
        let frame = Frame::Routing(frame.clone());
        frame.encode(frame.is_counted(), &mut written);
    }
    written.freeze()
}
