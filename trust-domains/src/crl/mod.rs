//! Certificate revocation lists (RFC 5280 section 5): reading, checking and comparing them.
//!
//! Lists go out as a complete set or not at all: nginx, Envoy, HAProxy and libpq refuse good peers when the list of one CA is missing. [`CrlSet`] is such a
//! set; every list in it was verified under its CA. A change of a long list is told as a [`CrlPatch`], some hundred octets however long the list is.
//!
//! Only whole lists of one CA are read: no delta CRLs, no indirect ones, none of a limited scope. The entries are in the order of their serials, so that
//! looking one up and comparing two lists cost little.

mod der;
mod error;
mod issuer;
mod lint;
mod list;
mod partner;
mod patch;
mod set;
mod signers;
#[cfg(test)]
pub(crate) mod testing;

pub use error::{CrlRefused, CrlSetRefused, ParseCrlError, PatchRefused};
pub use issuer::CrlIssuer;
pub use lint::{CrlFinding, lint};
pub use list::{Crl, RevokedSerial};
pub use partner::{FetchedCrls, MAX_PARTNER_CRLS, PartnerCrlsRefused};
pub use patch::{CrlPatch, PatchPart, apply, diff};
pub use set::CrlSet;
pub use signers::{DividedLists, Signers};

/// The longest list that is read: 470,000 serials of 35 octets. What is sent is bounded far below, by the server's `crl_max_bytes`.
pub const MAX_CRL_BYTES: usize = 16 * 1024 * 1024;

/// The most lists in one set: a root and its successor, and the issuing CAs of many replicas, each with its predecessors of a week.
pub const MAX_LISTS: usize = 256;
