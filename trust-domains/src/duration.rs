//! Durations as text: `90m`, `1h30m`, `7d`. Bare numbers are refused, so that nobody's minutes become seconds.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// The units, from the longest down, with their seconds.
const UNITS: [(u8, u64); 4] = [(b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];

/// The longest duration: a hundred years. Added to a time, it stays a time.
const LONGEST: Duration = Duration::from_secs(36_525 * 86_400);

/// Reads a duration: whole numbers with the units `d`, `h`, `m`, `s`, each unit once and the longest first.
///
/// # Errors
/// Names what is missing or wrong.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    if text.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut seconds: u64 = 0;
    let mut number: Option<u64> = None;
    let mut units = UNITS.iter();
    for octet in text.bytes() {
        if octet.is_ascii_digit() {
            let digit = u64::from(octet - b'0');
            let value = number.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(digit));
            number = Some(value.ok_or(ParseDurationError::TooLong { limit: LONGEST })?);
            continue;
        }
        let count = number.take().ok_or(ParseDurationError::Malformed)?;
        if !UNITS.iter().any(|(unit, _)| *unit == octet) {
            return Err(ParseDurationError::Malformed);
        }
        // Looking on from the last unit found refuses a unit that comes twice or out of order.
        let (_, length) = units.find(|(unit, _)| *unit == octet).ok_or(ParseDurationError::UnitOrder)?;
        seconds = count
            .checked_mul(*length)
            .and_then(|part| seconds.checked_add(part))
            .ok_or(ParseDurationError::TooLong { limit: LONGEST })?;
    }
    match number {
        Some(_) => Err(ParseDurationError::NoUnit),
        None if seconds > LONGEST.as_secs() => Err(ParseDurationError::TooLong { limit: LONGEST }),
        None => Ok(Duration::from_secs(seconds)),
    }
}

/// Writes a duration's whole seconds so that [`parse_duration`] reads them back: `1h30m`, `0s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        if rest >= length {
            let _ = write!(text, "{}{}", rest / length, char::from(unit));
            rest %= length;
        }
    }
    text
}

/// A duration that is text in flags, configuration files and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextDuration(pub Duration);

impl FromStr for TextDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(Self)
    }
}

impl fmt::Display for TextDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(self.0))
    }
}

impl From<Duration> for TextDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<TextDuration> for Duration {
    fn from(text: TextDuration) -> Self {
        text.0
    }
}

serde_as_text!(TextDuration, "a duration with its unit, like \"90m\"");

/// The text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDurationError {
    /// There is no text.
    #[error("the duration is empty")]
    Empty,
    /// Something other than whole numbers with units.
    #[error("a duration is whole numbers with the units d, h, m and s")]
    Malformed,
    /// A number without a unit.
    #[error("the duration has a number without a unit")]
    NoUnit,
    /// Longer than a hundred years.
    #[error("the duration is longer than {}", format_duration(*limit))]
    TooLong {
        /// The longest.
        limit: Duration,
    },
    /// A unit twice, or a longer one behind a shorter one.
    #[error("a duration has each unit once, the longest first")]
    UnitOrder,
}

impl Coded for ParseDurationError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "write it with its unit: 90s, 15m, 1h30m, 7d".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let table = [
            ("90m", 5_400),
            ("1h30m", 5_400),
            ("24h", 86_400),
            ("10s", 10),
            ("7d", 604_800),
            ("0s", 0),
            ("1d2h3m4s", 93_784),
            ("007s", 7),
        ];
        for (text, seconds) in table {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let too_long = ParseDurationError::TooLong { limit: LONGEST };
        let table = [
            ("", ParseDurationError::Empty),
            ("90", ParseDurationError::NoUnit),
            ("1h30", ParseDurationError::NoUnit),
            ("m", ParseDurationError::Malformed),
            ("-5m", ParseDurationError::Malformed),
            ("1.5h", ParseDurationError::Malformed),
            ("10 s", ParseDurationError::Malformed),
            ("10S", ParseDurationError::Malformed),
            ("100ms", ParseDurationError::Malformed),
            ("1w", ParseDurationError::Malformed),
            ("٣s", ParseDurationError::Malformed),
            ("30m1h", ParseDurationError::UnitOrder),
            ("5s5s", ParseDurationError::UnitOrder),
            ("36526d", too_long),
            ("99999999999999999999s", too_long),
            ("18446744073709551615d", too_long),
        ];
        for (text, expected) in table {
            assert_eq!(parse_duration(text), Err(expected), "{text}");
        }
        assert_eq!(parse_duration("36525d"), Ok(LONGEST));
    }

    #[test]
    fn the_shortest_text_is_written() {
        let table = [(0, "0s"), (59, "59s"), (5_400, "1h30m"), (86_400, "1d"), (90_061, "1d1h1m1s")];
        for (seconds, text) in table {
            assert_eq!(format_duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(format_duration(Duration::from_millis(1_999)), "1s");
    }

    #[test]
    fn a_bare_number_in_json_is_refused_as_well() {
        assert!(serde_json::from_str::<TextDuration>("90").is_err());
        assert_eq!(serde_json::from_str::<TextDuration>("\"90s\"").unwrap(), TextDuration(Duration::from_secs(90)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..=LONGEST.as_secs()) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>().prop_union("([0-9]{1,22}[dhms]?){0,5}")) {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(duration <= LONGEST);
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
        }
    }
}
