//! What scenario files measure in: durations, rates, shares, sizes.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};

/// A duration such as `"50ms"`: a whole number and `us`, `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A duration that may be negative, such as `"-3h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) by: Duration,
    pub(crate) back: bool,
}

/// Bytes per second, such as `"100kB/s"`: a whole number and `B/s`, `kB/s` or `MB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// A share of 0 to 100, kept in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Percent(pub(crate) u32);

/// One size in bytes, or the smallest and the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl Span {
    pub(crate) const ZERO: Self = Self(Duration::ZERO);

    pub(crate) const fn micros(self) -> u64 {
        // A span is read from 64 bits of at most days, and limited to a century.
        self.0.as_micros() as u64
    }
}

/// Splits `"50ms"` into 50 and `ms`.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number(text)?;
    let micros = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    let century = 36_525 * 86_400_000_000_u64;
    number.checked_mul(micros).filter(|micros| *micros <= century).map(Duration::from_micros)
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let expected =
            || D::Error::custom(format!("expected a duration like \"50ms\", \"2s\" or \"7d\", got {text:?}"));
        duration(&text).map(Self).ok_or_else(expected)
    }
}

impl<'de> Deserialize<'de> for Shift {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let expected = || D::Error::custom(format!("expected a shift like \"-3h\" or \"10m\", got {text:?}"));
        let (back, rest) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        duration(rest).map(|by| Self { by, back }).ok_or_else(expected)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = text(from)?;
        let expected = || D::Error::custom(format!("expected a rate like \"100kB/s\", got {text:?}"));
        let read = || {
            let (number, unit) = number(&text)?;
            let factor = match unit {
                "B/s" => 1,
                "kB/s" => 1_000,
                "MB/s" => 1_000_000,
                _ => return None,
            };
            number.checked_mul(factor).filter(|rate| (1..=100_000_000_000).contains(rate)).map(Self)
        };
        read().ok_or_else(expected)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(from)?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(D::Error::custom(format!("expected a share of 0 to 100 percent, got {percent}")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
        Ok(Self((percent * 10_000.0).round() as u32))
    }
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Raw {
            One(u64),
            Two([u64; 2]),
        }
        let expected = || D::Error::custom("expected a number of bytes, or the least and the most such as [100, 5000]");
        match Raw::deserialize(from).map_err(|_| expected())? {
            Raw::One(size) => Ok(Self { least: size, most: size }),
            Raw::Two([least, most]) if least <= most => Ok(Self { least, most }),
            Raw::Two(_) => Err(expected()),
        }
    }
}
