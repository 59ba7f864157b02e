//! Durations as people write them: `90`, `30s`, `5m`, `2h`, `7d`, `1d12h`.

use std::time::Duration;

/// Reads a duration; a number alone counts seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration like 30s, 5m, 2h or 7d, got {text:?}");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut number = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit_seconds: u64 = match character {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let count: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = count.checked_mul(unit_seconds).ok_or_else(wrong)?;
        let part = Duration::from_secs(seconds);
        total = total.checked_add(part).ok_or_else(wrong)?;
        number.clear();
    }
    if number.is_empty() && !text.is_empty() { Ok(total) } else { Err(wrong()) }
}

/// Writes a measured time: `0.4 s`, `12 s`, `3 min`.
pub(crate) fn measured(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.0} ms", seconds * 1_000.0)
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

/// Writes a long time roughly: `3 d 4 h`, `2 h 5 min`, `40 s`.
pub(crate) fn rough(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_units() {
        for (text, seconds) in [("90", 90), ("30s", 30), ("5m", 300), ("7d", 604_800), ("1d12h", 129_600)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "5x", "1.5h", "-1s", "99999999999999999999s", "h5"] {
            assert!(text == "5" || parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_with_the_precision_that_people_want() {
        let texts = [0.0421, 0.4, 12.3, 300.0].map(measured);
        assert_eq!(texts, ["42 ms", "0.4 s", "12 s", "5 min"]);
        let texts = [40, 125, 7_500, 273_600].map(rough);
        assert_eq!(texts, ["40 s", "2 min", "2 h 5 min", "3 d 4 h"]);
    }
}
