//! What nodes say first on a link; docs/spec/links.md §1.

use std::time::Duration;

use tidings_crypto::PeerKey;

use crate::wire::VERSION;

/// A link whose other end has not said hello by then is closed; spec §1.4.
pub(super) const HELLO_TIME: Duration = Duration::from_secs(10);

/// Names a link at both ends: who dialled it, and its number in that node's boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkNumber {
    pub(super) dialler: PeerKey,
    pub(super) link: u64,
}

/// The highest version that both ends speak; spec §1.3.
pub(super) fn common_version(theirs: &[u32]) -> Option<u32> {
    const OURS: [u32; 1] = [VERSION];
    OURS.into_iter().filter(|version| theirs.contains(version)).max()
}

/// Takes out of a neighbour's name what would disturb a terminal or a log.
pub(super) fn make_printable(name: &mut String) {
    name.retain(|character| !character.is_control());
}
