//! A key source in people's heads: a passphrase, stretched with Argon2id (RFC 9106).
//!
//! The parameters and the salt stand before the wrapped key, so that they can change with the machines of the day; they are bounded when read.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use super::data_key::DataKey;
use super::envelope;
use super::key_source::{KeySource, KeySourceError};
use super::kind::KeySourceKind;
use crate::random;

/// The version of what stands before a wrapped key.
const VERSION: u8 = 1;

/// The length of a salt: RFC 9106 section 3.1 recommends 16 octets.
const SALT_LEN: usize = 16;

/// The length of what stands before the wrapped key: version, memory, passes, lanes, salt.
const HEADER_LEN: usize = 1 + 4 + 4 + 4 + SALT_LEN;

/// The least memory that is believed, in KiB: below it the passphrase would be guessed on graphics cards.
const LEAST_MEMORY: u32 = 8 * 1_024;

/// The most memory that is taken, in KiB: a damaged record must not take a machine down.
const MOST_MEMORY: u32 = 1_024 * 1_024;

/// The most passes and lanes that are taken, for the same reason.
const MOST_PASSES: u32 = 16;

/// The shortest passphrase that wraps a key. Opening takes any: it was long enough once.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// The longest passphrase: a line of text, not a file that was named by mistake.
pub const LONGEST_PASSPHRASE: usize = 1_024;

/// A passphrase. Wiped on drop, and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a text without the end of its line.
    ///
    /// # Errors
    /// When it is empty, longer than [`LONGEST_PASSPHRASE`] octets, has several lines, or is not text.
    pub fn new(octets: &[u8]) -> Result<Self, KeySourceError> {
        let line = octets.strip_suffix(b"\n").unwrap_or(octets);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| KeySourceError::PassphraseForm)?;
        if text.is_empty() || text.len() > LONGEST_PASSPHRASE || text.contains(['\n', '\0']) {
            return Err(KeySourceError::PassphraseForm);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the text, for the one call that carries it to a running server.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= SHORTEST_PASSPHRASE
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A key source that wraps with a key made of a passphrase.
#[derive(Debug)]
pub struct PassphraseKeySource {
    passphrase: Passphrase,
    cost: Cost,
}

/// What one guess costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106 section 4, for machines without 2 GiB to spare.
    const DEFAULT: Self = Self {
        memory: 64 * 1_024,
        passes: 3,
        lanes: 4,
    };

    fn is_sane(self) -> bool {
        (LEAST_MEMORY..=MOST_MEMORY).contains(&self.memory) && (1..=MOST_PASSES).contains(&self.passes) && (1..=MOST_PASSES).contains(&self.lanes)
    }
}

impl PassphraseKeySource {
    /// Returns the source of a passphrase.
    #[must_use]
    pub fn new(passphrase: Passphrase) -> Self {
        Self {
            passphrase,
            cost: Cost::DEFAULT,
        }
    }

    fn key(&self, cost: Cost, salt: &[u8]) -> Option<DataKey> {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(DataKey::LEN)).ok()?;
        let mut blocks = vec![Block::default(); params.block_count()];
        let mut octets = Zeroizing::new([0; DataKey::LEN]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made = argon.hash_password_into_with_memory(self.passphrase.0.as_bytes(), salt, &mut *octets, &mut blocks);
        blocks.iter_mut().for_each(Zeroize::zeroize);
        made.ok()?;
        DataKey::from_slice(&*octets)
    }
}

impl KeySource for PassphraseKeySource {
    fn wrap(&self, context: &str, key: &DataKey) -> Result<Vec<u8>, KeySourceError> {
        if !self.passphrase.is_long_enough() {
            return Err(KeySourceError::PassphraseShort { least: SHORTEST_PASSPHRASE });
        }
        let salt: [u8; SALT_LEN] = random::array()?;
        let Cost { memory, passes, lanes } = self.cost;
        let header = [&[VERSION], &memory.to_be_bytes()[..], &passes.to_be_bytes(), &lanes.to_be_bytes(), &salt].concat();
        let wrapping = self.key(self.cost, &salt).ok_or(KeySourceError::Wrap)?;
        let sealed = envelope::seal(&wrapping, &associated(&header, context), key.expose()).map_err(|_| KeySourceError::Wrap)?;
        Ok([header, sealed].concat())
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<DataKey, KeySourceError> {
        let does_not_fit = || KeySourceError::DoesNotFit { source_name: self.describe() };
        let (header, sealed) = wrapped.split_at_checked(HEADER_LEN).ok_or_else(does_not_fit)?;
        let (cost, salt) = read_header(header).ok_or_else(does_not_fit)?;
        let wrapping = self.key(cost, salt).ok_or_else(does_not_fit)?;
        let octets = envelope::open(&wrapping, &associated(header, context), sealed).map_err(|_| does_not_fit())?;
        DataKey::from_slice(&octets).ok_or_else(does_not_fit)
    }

    fn kind(&self) -> KeySourceKind {
        KeySourceKind::Passphrase
    }

    fn describe(&self) -> String {
        "the passphrase".to_owned()
    }
}

fn associated<'a>(header: &'a [u8], context: &'a str) -> [&'a [u8]; 3] {
    [b"troth-data-key-passphrase", header, context.as_bytes()]
}

/// Reads the parameters; `None` for those of another version, and for such as would take the machine down or protect nothing.
fn read_header(header: &[u8]) -> Option<(Cost, &[u8])> {
    let rest = header.strip_prefix(&[VERSION])?;
    let (memory, rest) = rest.split_first_chunk::<4>()?;
    let (passes, rest) = rest.split_first_chunk::<4>()?;
    let (lanes, salt) = rest.split_first_chunk::<4>()?;
    let cost = Cost {
        memory: u32::from_be_bytes(*memory),
        passes: u32::from_be_bytes(*passes),
        lanes: u32::from_be_bytes(*lanes),
    };
    (cost.is_sane() && salt.len() == SALT_LEN).then_some((cost, salt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The least that is believed, so that a test takes milliseconds.
    const CHEAP: Cost = Cost {
        memory: LEAST_MEMORY,
        passes: 1,
        lanes: 1,
    };

    fn source(text: &str) -> PassphraseKeySource {
        PassphraseKeySource {
            passphrase: Passphrase::new(text.as_bytes()).unwrap(),
            cost: CHEAP,
        }
    }

    #[test]
    fn the_right_passphrase_opens_and_any_other_does_not() {
        let key = DataKey::generate().unwrap();
        let wrapped = source("correct horse battery").wrap("prod.example", &key).unwrap();
        let opened = source("correct horse battery").unwrap("prod.example", &wrapped).unwrap();
        assert_eq!(opened.expose(), key.expose());
        for (passphrase, context) in [("correct horse batterx", "prod.example"), ("correct horse battery", "test.example")] {
            let refused = source(passphrase).unwrap(context, &wrapped).unwrap_err();
            assert!(matches!(refused, KeySourceError::DoesNotFit { .. }), "{refused}");
        }
    }

    #[test]
    fn each_wrapping_has_its_own_salt() {
        let key = DataKey::generate().unwrap();
        let source = source("correct horse battery");
        let (one, two) = (source.wrap("x", &key).unwrap(), source.wrap("x", &key).unwrap());
        assert_ne!(one[..HEADER_LEN], two[..HEADER_LEN]);
    }

    #[test]
    fn the_default_cost_is_the_one_of_rfc_9106_and_within_the_bounds() {
        assert_eq!((Cost::DEFAULT.memory, Cost::DEFAULT.passes, Cost::DEFAULT.lanes), (65_536, 3, 4));
        assert!(Cost::DEFAULT.is_sane());
    }

    #[test]
    fn parameters_that_would_take_the_machine_down_are_refused_before_any_work() {
        let mut wrapped = source("correct horse battery").wrap("x", &DataKey::generate().unwrap()).unwrap();
        let cases: [(usize, u32); 6] = [(1, MOST_MEMORY + 1), (1, u32::MAX), (1, LEAST_MEMORY - 1), (5, 0), (5, MOST_PASSES + 1), (9, 0)];
        for (at, value) in cases {
            let before: [u8; 4] = wrapped[at..at + 4].try_into().unwrap();
            wrapped[at..at + 4].copy_from_slice(&value.to_be_bytes());
            assert!(read_header(&wrapped[..HEADER_LEN]).is_none(), "{at}: {value}");
            wrapped[at..at + 4].copy_from_slice(&before);
        }
        assert!(read_header(&wrapped[..HEADER_LEN]).is_some());
    }

    #[test]
    fn a_short_passphrase_wraps_nothing_and_one_of_several_lines_is_none() {
        let error = source("elevenchars").wrap("x", &DataKey::generate().unwrap()).unwrap_err();
        assert!(matches!(error, KeySourceError::PassphraseShort { least: 12 }), "{error}");
        for text in ["", "\n", "two\nlines of text", "nul\0"] {
            Passphrase::new(text.as_bytes()).unwrap_err();
        }
        assert_eq!(Passphrase::new(b"of a line\r\n").unwrap(), Passphrase::new(b"of a line").unwrap());
        assert!(!format!("{:?}", source("correct horse battery")).contains("horse"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn garbage_is_refused_without_a_panic(garbage: Vec<u8>) {
            prop_assert!(source("correct horse battery").unwrap("x", &garbage).is_err());
        }
    }
}
