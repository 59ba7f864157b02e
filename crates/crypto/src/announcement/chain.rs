//! The hash chain over cost: who knows the value at one cost can make those of higher costs, not of lower ones.

use std::fmt;

use crate::identity::{PeerKey, hex};

/// The cost at the end of a chain, beyond which nothing is announced.
pub const CHAIN_LENGTH: u8 = 255;

/// A place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainValue(pub [u8; 16]);

impl fmt::Debug for ChainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// The one-way step of one announcement's chain: BLAKE3 keyed by whose it is, boot and seq, cut to 16 bytes.
///
/// The key keeps values of one announcement from serving another; 16 bytes because a value is of use only while its
/// announcement lives.
#[derive(Clone)]
pub struct Chain {
    key: [u8; 32],
}

impl Chain {
    /// The chain of this announcement.
    pub fn new(peer: &PeerKey, boot: u64, seq: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tidings cost chain v1");
        hasher.update(peer.as_bytes());
        hasher.update(&boot.to_be_bytes());
        hasher.update(&seq.to_be_bytes());
        Self { key: hasher.finalize().into() }
    }

    /// Goes `steps` up from `value`.
    pub fn advance(&self, value: ChainValue, steps: u8) -> ChainValue {
        let mut value = value;
        for _ in 0..steps {
            let next = blake3::keyed_hash(&self.key, &value.0);
            for (to, from) in value.0.iter_mut().zip(next.as_bytes()) {
                *to = *from;
            }
        }
        value
    }

    /// The end of the chain that begins with `root`.
    pub fn top(&self, root: ChainValue) -> ChainValue {
        self.advance(root, CHAIN_LENGTH)
    }
}

/// A chain, with the values of the lowest and of the highest cost that are known to be right.
pub(super) struct Proven {
    chain: Chain,
    low: (u8, ChainValue),
    high: (u8, ChainValue),
}

impl Proven {
    pub(super) fn new(chain: Chain, top: ChainValue) -> Self {
        let top = (CHAIN_LENGTH, top);
        Self { chain, low: top, high: top }
    }

    /// Whether a value is right, which is known from then on.
    pub(super) fn proves(&mut self, cost: u8, value: ChainValue) -> bool {
        let ((low_cost, low), (high_cost, high)) = (self.low, self.high);
        if cost >= low_cost && cost <= high_cost && low_cost != high_cost {
            return self.chain.advance(low, cost - low_cost) == value;
        }
        if cost > high_cost {
            let right = self.chain.advance(high, cost - high_cost) == value;
            if right {
                self.high = (cost, value);
            }
            return right;
        }
        let right = self.chain.advance(value, low_cost - cost) == low;
        if right {
            self.low = (cost, value);
            if low_cost == high_cost {
                self.high = (cost, value);
            }
        }
        right
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").finish_non_exhaustive()
    }
}
