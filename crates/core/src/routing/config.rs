//! How routing behaves, what is counted about it, and every bound of its tables.

use std::time::Duration;

use super::bucket::Rate;

/// How routing behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Destinations that this node knows routes to, at most 4,096: contacts, destinations in use, and the nearest.
    /// Each takes some 1 KiB, most of it its announcement, and 150 bytes more for each neighbour that offers it.
    pub max_destinations: usize,
    /// How long this node's announcements live, in relayed seconds; refreshed after half of it. At most 24 h. A node
    /// that vanishes behind a partition is forgotten after it.
    pub lifetime: Duration,
    /// How often the two ends of a link compare what was said on it. Two frames of 30 bytes for each link.
    pub digest_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_destinations: MAX_DESTINATIONS,
            lifetime: Duration::from_hours(24),
            digest_interval: Duration::from_mins(10),
        }
    }
}

/// Counts since the start, with what is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Destinations that can be reached now.
    pub destinations: u64,
    /// Times a next hop was taken or changed.
    pub installed: u64,
    /// Times the last feasible route to a destination was lost.
    pub lost: u64,
    /// Updates sent, and how many of them retract.
    pub updates_sent: u64,
    /// Retractions among them.
    pub retractions_sent: u64,
    /// Updates read.
    pub updates_received: u64,
    /// Announcements asked for.
    pub announcements_wanted: u64,
    /// Announcements sent.
    pub announcements_sent: u64,
    /// Requests for a newer announcement that began here.
    pub requests: u64,
    /// Requests passed on.
    pub requests_forwarded: u64,
    /// Announcements that this node signed.
    pub signed: u64,
    /// Routes not taken up because they are not feasible.
    pub infeasible: u64,
    /// Destinations, announcements and updates not taken up because a table or a bucket was full.
    pub refused: u64,
    /// Digests that differed.
    pub digests_differed: u64,
    /// Times a flapping link's changes were held back.
    pub held_back: u64,
}

/// The most destinations: with their announcements some 4 MiB, and a dump of them on a new link some 400 KiB.
pub(super) const MAX_DESTINATIONS: usize = 4_096;
/// The most destinations whose feasibility distance is remembered. Twice the destinations, because who is pushed
/// out of their table may not be forgotten for [`SOURCE_HOLD`].
pub(super) const MAX_SOURCES: usize = 2 * MAX_DESTINATIONS;
/// The share of that for destinations that are neither contacts nor in use.
pub(super) const MAX_STRANGE_SOURCES: usize = MAX_SOURCES / 4 * 3;
/// How long a distance is remembered after its last announcement: what neighbours derived from it has been
/// retracted, or has fallen with its links, long before. RFC 8966 appendix B takes 3 minutes.
pub(super) const SOURCE_HOLD: Duration = Duration::from_mins(10);
/// How long after its end an announcement is remembered, if the table has room, so that it cannot be passed off as
/// young again.
pub(super) const REMEMBERED: Duration = Duration::from_hours(24);
/// The most announcements held of one destination: those of the routes through neighbours that differ.
pub(super) const MAX_HELD: usize = 4;
/// The most updates remembered over all links: a full table from each of 32 neighbours, some 16 MiB.
pub(super) const MAX_HEARD: usize = MAX_DESTINATIONS * 32;
/// The most links: twice what the links module opens.
pub(super) const MAX_LINKS: usize = 512;
/// The most announcements under way at once: a full table.
pub(super) const MAX_FETCHES: usize = MAX_DESTINATIONS;
/// The most links that wait for one announcement or one newer seq. More would be told later.
pub(super) const MAX_WAITING: usize = 32;
/// The most peers whose interest is remembered: contacts and destinations in use.
pub(super) const MAX_PREFERRED: usize = 16_384;
/// The most next hops avoided for one destination: as many as a node has neighbours by default.
pub(super) const MAX_AVOIDED: usize = 10;
/// The most peers whose flapping is remembered: as many as there may be links.
pub(super) const MAX_FLAPPING: usize = MAX_LINKS;

/// Links that a request for a newer announcement may cross.
pub(super) const REQUEST_TTL: u8 = 32;
/// How long a request waits for its answer, and how long a relay takes a second one to be the same.
pub(super) const REQUEST_LIFETIME: Duration = Duration::from_secs(30);
/// The pause before a request goes out again, doubled each time.
pub(super) const REQUEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a destination that did not answer is left alone, unless it is in use.
pub(super) const UNANSWERED_PAUSE: Duration = Duration::from_mins(5);
/// Requests for one destination, here and at each hop, and announcements that a node makes of itself: as many at once
/// as a network takes in which a third goes at once and comes back.
pub(super) const REQUESTS: Rate = Rate { burst: 12, interval: Duration::from_secs(5) };
/// New announcements taken of one destination: a few more than it makes.
pub(super) const RENEWALS: Rate = Rate { burst: 16, interval: Duration::from_secs(5) };
/// How long an announcement may be under way before another neighbour is asked.
pub(super) const FETCH_PAUSE: Duration = Duration::from_secs(2);
/// Announcements taken from one link: each costs a signature check, some 60 µs.
pub(super) const VERIFICATIONS: Rate = Rate { burst: 1_024, interval: Duration::from_millis(5) };
/// Updates sent on one link: a full table and twice its changes, then 100 a second.
pub(super) const UPDATES_SENT: Rate = Rate { burst: 12_288, interval: Duration::from_millis(10) };
/// Updates read from one link: more than an honest neighbour sends.
pub(super) const UPDATES_READ: Rate = Rate { burst: 16_384, interval: Duration::from_millis(8) };
/// Requests, and demands for everything again, read from one link: a request for each destination, then 20 a second.
pub(super) const DEMANDS: Rate = Rate { burst: 4_096, interval: Duration::from_millis(50) };
/// Times everything is said again on one link.
pub(super) const RESTARTS: Rate = Rate { burst: 2, interval: Duration::from_mins(5) };
/// Lists of news that cannot wait, on one link: at once while a network comes up or heals, then 50 a second.
pub(super) const URGENT: Rate = Rate { burst: 64, interval: Duration::from_millis(20) };
/// The least time between two lists of news that can: what is better, or only newer.
pub(super) const LAZY_PAUSE: Duration = Duration::from_millis(500);
/// Changes to a cheaper next hop: what oscillates may do so four times a minute, and a network that has just come
/// up settles at once.
pub(super) const SWITCHES: Rate = Rate { burst: 8, interval: Duration::from_secs(15) };
/// Times a neighbour may go before it counts as flapping.
pub(super) const DEPARTURES: Rate = Rate { burst: 2, interval: Duration::from_mins(1) };
/// How long changes through a flapping neighbour are held back: longer than a flap, short for who is gone.
pub(super) const HELD_BACK: Duration = Duration::from_secs(30);
