//! Moments in whole seconds, UTC.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::problem::{Code, Coded};
use crate::text::serde_as_text;

/// A moment: whole seconds since 1970 UTC, always within the years 0 to 9999, so that it has an RFC 3339 text. Arithmetic saturates there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first moment: `0000-01-01T00:00:00Z`.
    pub const MIN: Self = Self(-62_167_219_200);

    /// The last moment: `9999-12-31T23:59:59Z`.
    pub const MAX: Self = Self(253_402_300_799);

    /// Returns the moment so many seconds after 1970 UTC, or the nearest that there is.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < Self::MIN.0 {
            Self::MIN
        } else if seconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(seconds)
        }
    }

    /// Returns the seconds since 1970 UTC.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Returns the seconds from this moment to the other; negative when that is earlier.
    #[must_use]
    pub const fn seconds_until(self, other: Self) -> i64 {
        // Both are within the range above: their difference fits.
        other.0 - self.0
    }

    /// Returns the time from this moment to the other; nothing when that is earlier.
    #[must_use]
    pub fn duration_until(self, other: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.seconds_until(other)).unwrap_or(0))
    }

    /// Returns the moment for the `time` crate, which certificates are made with.
    #[must_use]
    pub fn to_offset_date_time(self) -> OffsetDateTime {
        // The range above is within that of `time`, so the fallback is never taken.
        OffsetDateTime::from_unix_timestamp(self.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Adds the whole seconds of a duration.
    fn add(self, duration: Duration) -> Self {
        Self::from_unix(self.0.saturating_add(whole_seconds(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Subtracts the whole seconds of a duration.
    fn sub(self, duration: Duration) -> Self {
        Self::from_unix(self.0.saturating_sub(whole_seconds(duration)))
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl From<OffsetDateTime> for Timestamp {
    /// Drops the fraction of the second.
    fn from(moment: OffsetDateTime) -> Self {
        Self::from_unix(moment.unix_timestamp())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = self.to_offset_date_time();
        let (year, month, day) = (moment.year(), u8::from(moment.month()), moment.day());
        let (hour, minute, second) = moment.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339 with any offset; a fraction of a second is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from).map_err(|_| ParseTimestampError)
    }
}

serde_as_text!(Timestamp, "a time, like \"2026-11-22T09:00:00Z\"");

/// The text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time has the form of RFC 3339, like 2026-11-22T09:00:00Z")]
pub struct ParseTimestampError;

impl Coded for ParseTimestampError {
    fn code(&self) -> Code {
        Code::InvalidRequest
    }

    fn hint(&self) -> String {
        "write it as 2026-11-22T09:00:00Z".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_written_in_utc_with_whole_seconds() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_338_000, "2026-11-22T09:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_unix(seconds)));
        }
    }

    #[test]
    fn other_offsets_and_fractions_are_read() {
        let expected = Timestamp::from_unix(1_795_338_000);
        for text in [
            "2026-11-22T10:00:00+01:00",
            "2026-11-22T03:30:00-05:30",
            "2026-11-22T09:00:00.999Z",
            "2026-11-22t09:00:00z",
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "now",
            "2026-11-22",
            "2026-11-22 09:00",
            "2026-11-22T09:00:00",
            "2026-02-30T09:00:00Z",
            "1795338000",
            "12026-11-22T09:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimestampError), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Duration::MAX, Timestamp::MIN);
        assert_eq!(Timestamp::MIN + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::from_unix(5) + Duration::from_millis(1_999), Timestamp::from_unix(6));
        assert_eq!(Timestamp::MAX.duration_until(Timestamp::MIN), Duration::ZERO);
        assert_eq!(Timestamp::from_unix(10).seconds_until(Timestamp::from_unix(4)), -6);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in prop_oneof![any::<i64>(), -70_000_000_000..260_000_000_000i64]) {
            let moment = Timestamp::from_unix(seconds);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
            prop_assert_eq!(Timestamp::from(moment.to_offset_date_time()), moment);
            let json = serde_json::to_string(&moment).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), moment);
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>().prop_union("[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,12})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])")) {
            if let Ok(moment) = text.parse::<Timestamp>() {
                prop_assert_eq!(moment.to_string().parse(), Ok(moment));
            }
        }
    }
}
