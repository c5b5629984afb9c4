//! What of the fetches from a partner the journal has.
//!
//! Every fetch is accounted for, and not each by a record of its own: a thousand partners at 30 s would write 10 KB a second, a gigabyte a day. A record is
//! written when the outcome is another than the last one recorded, when an operator asked, and else once an hour with the number of fetches since. A bundle that
//! is taken is recorded before it is committed, each one.

use std::time::Duration;

use trust_domains::Timestamp;
use trust_domains::clock::Reading;
use trust_domains::problem::Code;

/// How often the same outcome is recorded again.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// What the last record said, and how many fetches ended so since.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    last: Option<Last>,
    unrecorded: u64,
}

#[derive(Debug)]
struct Last {
    outcome: Result<(), Code>,
    at: Reading,
}

/// How many fetches a record is about, and since when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The fetches since the last record, this one too.
    pub(super) fetches: u64,
    /// When that was.
    pub(super) since: Option<Timestamp>,
}

impl Recorded {
    /// Notes how a fetch ended; says what is to be recorded, if anything is. `asked`: an operator waits for it.
    pub(super) fn note(&mut self, now: Reading, outcome: Result<(), Code>, asked: bool) -> Option<Due> {
        self.unrecorded += 1;
        let last = self.last.as_ref();
        let is_same = last.is_some_and(|last| last.outcome == outcome && now.since_boot.saturating_sub(last.at.since_boot) < AGAIN_AFTER);
        if is_same && !asked {
            return None;
        }
        let since = last.map(|last| last.at.wall);
        self.last = Some(Last { outcome, at: now });
        Some(Due {
            fetches: std::mem::take(&mut self.unrecorded),
            since,
        })
    }

    /// Notes a success of which the journal has a record already: a bundle was taken.
    pub(super) fn note_taken(&mut self, now: Reading) {
        self.unrecorded = 0;
        self.last = Some(Last { outcome: Ok(()), at: now });
    }
}

impl Due {
    /// Returns the words of the record.
    pub(super) fn told(&self, outcome: &str) -> String {
        match (self.fetches, self.since) {
            (0 | 1, _) | (_, None) => outcome.to_owned(),
            (fetches, Some(since)) => format!("{outcome}; {fetches} fetches since {since}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        Reading {
            wall: Timestamp::from_unix(1_800_000_000) + Duration::from_secs(seconds),
            since_boot: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn every_change_of_the_outcome_is_recorded_and_the_same_once_an_hour_with_its_number() {
        let mut recorded = Recorded::default();
        let down = Err(Code::EndpointUnreachable);
        assert_eq!(recorded.note(at(0), Ok(()), false), Some(Due { fetches: 1, since: None }));
        for second in (30..3_600).step_by(30) {
            assert_eq!(recorded.note(at(second), Ok(()), false), None);
        }
        let due = recorded.note(at(3_600), Ok(()), false).unwrap();
        assert_eq!((due.fetches, due.since), (120, Some(at(0).wall)));
        assert!(due.told("unchanged").starts_with("unchanged; 120 fetches since 2027-"), "{due:?}");
        assert!(recorded.note(at(3_630), down, false).is_some(), "another outcome");
        assert_eq!(recorded.note(at(3_660), down, false), None);
        assert!(recorded.note(at(3_690), Err(Code::EndpointUntrusted), false).is_some(), "another failure");
        assert!(recorded.note(at(3_720), Err(Code::EndpointUntrusted), true).is_some(), "an operator asked");
        assert!(recorded.note(at(3_750), Ok(()), false).is_some());
        recorded.note_taken(at(3_780));
        assert_eq!(recorded.note(at(3_810), Ok(()), false), None);
    }
}
