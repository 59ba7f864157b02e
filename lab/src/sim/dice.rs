//! Random numbers from one seed: a stream for each purpose, so that adding a node does not shift the others'.

/// A stream of random numbers: xoshiro256++ (Blackman and Vigna), seeded by splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    state: [u64; 4],
}

/// What a stream of a seed is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Topology,
    /// Whom a node of an open topology knows at its start.
    Acquaintances(usize),
    Faults,
    Swarm,
    #[cfg(all(feature = "seeded", getrandom_backend = "custom"))]
    System,
    Links,
    Node(usize),
    Client(usize),
    Hostile(usize),
}

impl Dice {
    /// The stream of a seed for one purpose.
    pub(crate) fn split(seed: u64, purpose: Purpose) -> Self {
        let (kind, number) = match purpose {
            Purpose::Topology => (1, 0),
            Purpose::Acquaintances(number) => (9, number),
            Purpose::Faults => (2, 0),
            Purpose::Links => (3, 0),
            Purpose::Swarm => (7, 0),
            #[cfg(all(feature = "seeded", getrandom_backend = "custom"))]
            Purpose::System => (8, 0),
            Purpose::Node(number) => (4, number),
            Purpose::Client(number) => (5, number),
            Purpose::Hostile(number) => (6, number),
        };
        let mut mix = seed ^ (kind << 56) ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { state: std::array::from_fn(|_| splitmix(&mut mix)) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below a limit, 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(limit);
        // The high half of a product of two 64-bit numbers.
        (wide >> 64) as u64
    }

    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or_default()
    }

    /// A number between two, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True in so many of a million cases.
    pub(crate) fn chance(&mut self, millionths: u32) -> bool {
        self.below(1_000_000) < u64::from(millionths)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
        bytes
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
