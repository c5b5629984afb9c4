//! What this replica signed and has not ended, as rules of revocation ask about it.
//!
//! A certificate takes 47 octets, so a million of them 47 MB. The names of entry, identity and node are kept as keyed hashes of 48 bits: of a million certificates
//! one falls under a foreign rule once in 280 million rules, and would be replaced at once. The key is this process's, so nobody can aim. Rows lie in the order
//! of the journal; a look, which only an order asks for, goes over all of them.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use trust_domains::revocation::{RevocationBound, RevocationRule, RevocationTarget};
use trust_domains::{Serial, Timestamp};

/// Rows of one chunk: a chunk grows to about 380 KB, and goes when all in it have ended.
const CHUNK: usize = 8_192;

/// The octets of a serial that Troth makes.
type OwnSerial = [u8; Serial::OWN_LEN];

/// A name, hashed.
type Name = [u8; 6];

/// A record of the journal that announces a certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced<'a> {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) serial: Serial,
    pub(super) not_after: Timestamp,
    pub(super) spiffe_id: &'a str,
    pub(super) entry: Option<&'a str>,
    pub(super) node: Option<&'a str>,
}

/// A certificate that a rule concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concerned {
    /// Its serial.
    pub serial: Serial,
    /// Its end.
    pub not_after: Timestamp,
    /// The position of the rule among those asked about; the first of several.
    pub rule: usize,
}

/// One certificate: octets only, so that nothing is lost to alignment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    serial: OwnSerial,
    seq: [u8; 5],
    at: [u8; 4],
    not_after: [u8; 4],
    spiffe_id: Name,
    entry: Name,
    node: Name,
}

/// The certificates that have not ended.
#[derive(Debug, Default)]
pub(super) struct Serials {
    rows: RwLock<VecDeque<Vec<Row>>>,
    names: RandomState,
}

impl Serials {
    /// Adds what records announce.
    pub(super) fn add<'a>(&self, added: impl IntoIterator<Item = Announced<'a>>) {
        self.push(added.into_iter().filter_map(|announced| self.row(&announced)));
    }

    /// Adds rows that were made before.
    pub(super) fn push(&self, added: impl IntoIterator<Item = Row>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for row in added {
            match rows.back_mut() {
                Some(chunk) if chunk.len() < CHUNK => chunk.push(row),
                _ => rows.push_back(vec![row]),
            }
        }
    }

    /// Returns the end of the certificate with this serial.
    pub(super) fn not_after(&self, serial: &Serial) -> Option<Timestamp> {
        let serial = own(serial)?;
        self.read().iter().flatten().find(|row| row.serial == serial).map(Row::not_after)
    }

    /// Returns whether the certificate with this serial is one of this identity.
    pub(super) fn is_of(&self, serial: &Serial, spiffe_id: &str) -> bool {
        let (serial, name) = (own(serial), self.name(spiffe_id));
        self.read().iter().flatten().any(|row| Some(row.serial) == serial && row.spiffe_id == name)
    }

    /// Returns what the rules concern of the certificates recorded after a number, in the order of the journal.
    pub(super) fn concerned<'a>(&self, rules: impl Iterator<Item = &'a RevocationRule>, epoch: u64, after: u64) -> Vec<Concerned> {
        let wanted = Wanted::of(self, rules);
        let rows = self.read();
        let later = rows.iter().filter(|chunk| chunk.last().is_some_and(|row| row.seq() > after)).flatten();
        let concerned = later.filter(|row| row.seq() > after).filter_map(|row| {
            let rule = wanted.rule(row, epoch)?;
            Some(Concerned {
                serial: row.serial()?,
                not_after: row.not_after(),
                rule,
            })
        });
        concerned.collect()
    }

    /// Forgets those that have ended: `NotAfter` itself is still valid (RFC 5280, 4.1.2.5).
    pub(super) fn forget_expired(&self, now: Timestamp) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        for chunk in rows.iter_mut() {
            chunk.retain(|row| row.not_after() >= now);
            if chunk.capacity() > 4 * chunk.len() {
                chunk.shrink_to_fit();
            }
        }
        rows.retain(|chunk| !chunk.is_empty());
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.read().iter().map(Vec::len).sum()
    }

    /// Returns what is kept of a certificate; nothing of one with a longer serial, which is none that this replica makes.
    pub(super) fn row(&self, announced: &Announced<'_>) -> Option<Row> {
        Some(Row {
            serial: own(&announced.serial)?,
            seq: low_octets(announced.seq),
            at: seconds(announced.at),
            not_after: seconds(announced.not_after),
            spiffe_id: self.name(announced.spiffe_id),
            entry: announced.entry.map_or([0; 6], |entry| self.name(entry)),
            node: announced.node.map_or([0; 6], |node| self.name(node)),
        })
    }

    fn name(&self, text: &str) -> Name {
        low_octets(self.names.hash_one(text))
    }

    fn read(&self) -> RwLockReadGuard<'_, VecDeque<Vec<Row>>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn serial(&self) -> Option<Serial> {
        Serial::from_der_bytes(&self.serial).ok()
    }

    fn seq(&self) -> u64 {
        self.seq.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet))
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_unix(i64::from(u32::from_be_bytes(self.at)))
    }

    fn not_after(&self) -> Timestamp {
        Timestamp::from_unix(i64::from(u32::from_be_bytes(self.not_after)))
    }
}

/// Rules, arranged so that a row is looked up and not compared with each.
#[derive(Default)]
struct Wanted {
    serials: HashMap<OwnSerial, usize>,
    entries: HashMap<Name, Vec<(RevocationBound, usize)>>,
    identities: HashMap<Name, Vec<(RevocationBound, usize)>>,
    nodes: HashMap<Name, Vec<(RevocationBound, usize)>>,
}

impl Wanted {
    fn of<'a>(serials: &Serials, rules: impl Iterator<Item = &'a RevocationRule>) -> Self {
        let mut wanted = Self::default();
        for (place, rule) in rules.enumerate() {
            let bound = (rule.bound, place);
            match &rule.target {
                RevocationTarget::Serial { serial } => {
                    wanted.serials.extend(own(serial).map(|serial| (serial, place)));
                }
                RevocationTarget::Listed { serials, .. } => {
                    wanted.serials.extend(serials.iter().filter_map(own).map(|serial| (serial, place)));
                }
                RevocationTarget::Entry { entry } => wanted.entries.entry(serials.name(entry.as_str())).or_default().push(bound),
                RevocationTarget::SpiffeId { spiffe_id } => wanted.identities.entry(serials.name(spiffe_id.as_str())).or_default().push(bound),
                RevocationTarget::Node { spiffe_id } => {
                    let name = serials.name(spiffe_id.as_str());
                    wanted.identities.entry(name).or_default().push(bound);
                    wanted.nodes.entry(name).or_default().push(bound);
                }
            }
        }
        wanted
    }

    fn rule(&self, row: &Row, epoch: u64) -> Option<usize> {
        let by_name = |rules: &HashMap<Name, Vec<(RevocationBound, usize)>>, name: &Name| {
            let rules = rules.get(name)?;
            rules
                .iter()
                .find(|(bound, _)| bound.covers(epoch, row.seq(), row.at()))
                .map(|(_, place)| *place)
        };
        let by_serial = || {
            if self.serials.is_empty() {
                None
            } else {
                self.serials.get(&row.serial).copied()
            }
        };
        by_serial()
            .or_else(|| by_name(&self.identities, &row.spiffe_id))
            .or_else(|| by_name(&self.entries, &row.entry))
            .or_else(|| by_name(&self.nodes, &row.node))
    }
}

/// Returns a serial of up to 16 octets, right-aligned: leading zeros are none of its octets.
fn own(serial: &Serial) -> Option<OwnSerial> {
    let octets = serial.as_bytes();
    let mut own = OwnSerial::default();
    let start = own.len().checked_sub(octets.len())?;
    own.get_mut(start..)?.copy_from_slice(octets);
    Some(own)
}

fn low_octets<const N: usize>(number: u64) -> [u8; N] {
    let mut low = [0; N];
    low.iter_mut()
        .rev()
        .zip(number.to_be_bytes().iter().rev())
        .for_each(|(place, octet)| *place = *octet);
    low
}

/// Whole seconds since 1970, to the year 2106: what would end later is kept until then.
fn seconds(moment: Timestamp) -> [u8; 4] {
    u32::try_from(moment.unix().max(0)).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests;
