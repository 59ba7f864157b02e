//! Priorities of messages, and lifetime buckets that keep unlike deadlines out of one parcel.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A message's priority: strict for [`Class::Critical`], weighted shares for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Goes before everything else; receipts and control items travel in it.
    Critical = 0,
    /// Eight shares.
    High = 1,
    /// Four shares.
    Normal = 2,
    /// Two shares.
    Low = 3,
    /// One share.
    Bulk = 4,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Normal, Self::Low, Self::Bulk];

    /// Reads the number that travels.
    pub fn from_wire(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The number that travels.
    pub const fn to_wire(self) -> u32 {
        self as u32
    }

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its share of what [`Class::Critical`] leaves; zero for that one, which does not share.
    pub const fn weight(self) -> u64 {
        match self {
            Self::Critical => 0,
            Self::High => 8,
            Self::Normal => 4,
            Self::Low => 2,
            Self::Bulk => 1,
        }
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected critical, high, normal, low or bulk, got {got:?}")]
pub struct ClassError {
    got: String,
}

impl FromStr for Class {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| ClassError { got: text.chars().take(64).collect() })
    }
}

/// The upper ends of the lifetime buckets; what lives longer forms a fifth.
const BUCKETS: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(24)];

/// The bucket of a lifetime: messages of one parcel share it, so that a short life never shortens a long one.
pub fn lifetime_bucket(lifetime: Duration) -> usize {
    BUCKETS.iter().position(|end| lifetime <= *end).unwrap_or(BUCKETS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_back() {
        for class in Class::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
            assert_eq!(Class::from_wire(class.to_wire()), Some(class));
        }
        assert_eq!(Class::from_wire(5), None);
        assert!("urgent".parse::<Class>().is_err());
    }
}
