//! What stands between a commit that arrived and its acknowledgement.
//!
//! A commit is acknowledged when a Workload API call after it sees the result: every SVID that it asks for was published or refused, and every
//! sink concerned has its files in place. The acknowledgement is one mark that only rises, so the oldest open matter holds it back.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use trust_domains::{EntryId, Revision, SpiffeId};

/// How long a sink that does not deliver holds acknowledgements back: the default of `--wait`.
/// After it the wait that met the broken sink has named this node, and other changes are not held up by it.
pub(super) const SINK_PATIENCE: Duration = Duration::from_secs(30);

/// What a commit waits for before it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Matter {
    /// One kind of credentials of tainted authorities is being replaced.
    Replacer(u64),
    /// An entry needs another X509-SVID.
    Svid(EntryId),
}

/// The open matters of the commits that arrived.
#[derive(Default)]
pub(super) struct Settlement {
    newest: Option<Revision>,
    unsettled: BTreeSet<(u64, Matter)>,
    unsettled_since: HashMap<Matter, u64>,
    /// Whoever replaces credentials of tainted authorities, apart from the X509-SVIDs of entries.
    replacers: BTreeSet<u64>,
    sinks: HashMap<u64, Sink>,
    /// Numbers given out, to sinks and replacers.
    registered: u64,
    /// The commit last found settled: what a sink is given now shows nothing older than the next one.
    mark: u64,
}

/// One registered sink.
struct Sink {
    spiffe_id: SpiffeId,
    /// The first commit whose result it was given and has not delivered, and when it was given.
    owed: Option<(u64, Duration)>,
}

impl Settlement {
    /// Notes that everything up to this commit arrived. Open matters of another epoch are of another history, and fall.
    pub(super) fn arrived(&mut self, revision: Revision) {
        if self.newest.is_some_and(|newest| newest.epoch != revision.epoch) {
            self.forget();
        }
        self.newest = Some(revision);
    }

    /// Drops every open matter and what arrived; registered sinks stay.
    pub(super) fn forget(&mut self) {
        self.newest = None;
        self.mark = 0;
        self.unsettled.clear();
        self.unsettled_since.clear();
        for sink in self.sinks.values_mut() {
            sink.owed = None;
        }
    }

    /// Opens a matter of this commit. Where the same is open for an older one, that stays.
    pub(super) fn expect(&mut self, matter: Matter, counter: u64) {
        if !self.unsettled_since.contains_key(&matter) {
            self.unsettled_since.insert(matter.clone(), counter);
            self.unsettled.insert((counter, matter));
        }
    }

    /// Closes a matter: published, refused, or gone.
    pub(super) fn settle(&mut self, matter: &Matter) {
        if let Some(counter) = self.unsettled_since.remove(matter) {
            self.unsettled.remove(&(counter, matter.clone()));
        }
    }

    /// Registers a sink and returns its number.
    pub(super) fn register(&mut self, spiffe_id: SpiffeId) -> u64 {
        self.registered += 1;
        self.sinks.insert(self.registered, Sink { spiffe_id, owed: None });
        self.registered
    }

    /// Forgets a sink.
    pub(super) fn deregister(&mut self, number: u64) {
        self.sinks.remove(&number);
    }

    /// Registers one who replaces credentials of a kind when their authority is tainted, and returns its number.
    pub(super) fn register_replacer(&mut self) -> u64 {
        self.registered += 1;
        self.replacers.insert(self.registered);
        self.registered
    }

    /// Forgets a replacer, with what it owes.
    pub(super) fn deregister_replacer(&mut self, number: u64) {
        self.replacers.remove(&number);
        self.settle(&Matter::Replacer(number));
    }

    /// Opens a matter of every replacer, and returns the commit that waits for it: one that is not acknowledged yet, this or the next.
    pub(super) fn taint(&mut self, revision: Revision) -> u64 {
        let counter = revision.counter.max(self.mark + 1);
        for number in self.replacers.clone() {
            self.expect(Matter::Replacer(number), counter);
        }
        counter
    }

    /// Notes that the sinks of this identity were given something new to deliver.
    pub(super) fn handed_to_sinks(&mut self, spiffe_id: &SpiffeId, now: Duration) {
        let counter = self.mark + 1;
        if self.newest.is_none_or(|newest| newest.counter < counter) {
            return;
        }
        for sink in self.sinks.values_mut().filter(|sink| sink.spiffe_id == *spiffe_id) {
            sink.owed.get_or_insert((counter, now));
        }
    }

    /// Notes that a sink shows everything up to this commit.
    pub(super) fn delivered(&mut self, number: u64, revision: Revision) {
        let Some(sink) = self.sinks.get_mut(&number) else { return };
        let same_history = self.newest.is_some_and(|newest| newest.epoch == revision.epoch);
        if same_history && sink.owed.is_some_and(|(counter, _)| counter <= revision.counter) {
            sink.owed = None;
        }
    }

    /// Returns the newest commit up to which everything is settled.
    pub(super) fn acknowledgeable(&mut self, now: Duration) -> Option<Revision> {
        let newest = self.newest?;
        let owed = self
            .sinks
            .values()
            .filter_map(|sink| sink.owed)
            .filter(|(_, since)| now.saturating_sub(*since) < SINK_PATIENCE);
        let oldest_open = owed
            .map(|(counter, _)| counter)
            .chain(self.unsettled.first().map(|(counter, _)| *counter))
            .min();
        let counter = oldest_open.map_or(newest.counter, |open| newest.counter.min(open.saturating_sub(1)));
        self.mark = self.mark.max(counter);
        Some(Revision { epoch: newest.epoch, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn at(counter: u64) -> Revision {
        Revision { epoch: 7, counter }
    }

    fn svid(id: &str) -> Matter {
        Matter::Svid(id.parse().unwrap())
    }

    #[test]
    fn nothing_is_acknowledged_before_anything_arrived() {
        assert_eq!(Settlement::default().acknowledgeable(NOW), None);
    }

    #[test]
    fn the_oldest_open_matter_holds_the_mark_back() {
        let mut settlement = Settlement::default();
        settlement.arrived(at(5));
        settlement.expect(svid("a"), 5);
        settlement.arrived(at(9));
        settlement.expect(svid("b"), 9);
        settlement.expect(svid("a"), 9);
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(4)));
        settlement.settle(&svid("a"));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(8)));
        settlement.settle(&svid("b"));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(9)));
    }

    #[test]
    fn a_sink_holds_the_mark_back_until_it_delivers_or_patience_ends() {
        let web: SpiffeId = "spiffe://td/web".parse().unwrap();
        let mut settlement = Settlement::default();
        let sink = settlement.register(web.clone());
        settlement.arrived(at(4));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(4)));
        settlement.arrived(at(5));
        settlement.handed_to_sinks(&web, NOW);
        settlement.delivered(sink, at(4));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(4)));
        assert_eq!(settlement.acknowledgeable(NOW + SINK_PATIENCE), Some(at(5)));
        settlement.delivered(sink, at(5));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(5)));
    }

    #[test]
    fn a_sink_that_is_given_an_old_commit_late_holds_that_one_back() {
        let web: SpiffeId = "spiffe://td/web".parse().unwrap();
        let mut settlement = Settlement::default();
        let sink = settlement.register(web.clone());
        settlement.arrived(at(5));
        settlement.expect(svid("web"), 5);
        settlement.arrived(at(9));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(4)));
        settlement.settle(&svid("web"));
        settlement.handed_to_sinks(&web, NOW);
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(4)));
        settlement.delivered(sink, at(9));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(9)));
    }

    #[test]
    fn a_renewal_without_a_commit_holds_nothing_back() {
        let web: SpiffeId = "spiffe://td/web".parse().unwrap();
        let mut settlement = Settlement::default();
        settlement.register(web.clone());
        settlement.arrived(at(5));
        settlement.acknowledgeable(NOW);
        settlement.handed_to_sinks(&web, NOW);
        settlement.arrived(at(6));
        assert_eq!(settlement.acknowledgeable(NOW), Some(at(6)));
    }

    #[test]
    fn another_epoch_drops_what_was_open() {
        let mut settlement = Settlement::default();
        settlement.arrived(at(500));
        settlement.expect(svid("a"), 500);
        let other = Revision { epoch: 8, counter: 3 };
        settlement.arrived(other);
        assert_eq!(settlement.acknowledgeable(NOW), Some(other));
    }
}
