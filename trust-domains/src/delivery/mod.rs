//! What is delivered as files: whole sets, each file under a name that cannot lead out of its directory.
//!
//! Pure: [`compose`] says what a set holds, from a [`FileSetSpec`] and [`Credentials`]. What puts a set in place is elsewhere, and may be another process.
//!
//! | format | files |
//! |---|---|
//! | `pem` | `svid.pem` (chain, leaf first), `svid_key.pem`, `bundle.pem`, `crl.pem`, and of each partner `federated/TD.pem` and `federated/TD.crl` |
//! | `pem-combined` | `svid_combined.pem` (key, then chain), and all of `pem` but `svid.pem` and `svid_key.pem` |
//! | `der` | `svid.der` (leaf), `svid_key.der`, `chain/N.der` (its issuers, the leaf's first), `bundle/N.der`, `crl/N.der` |
//! | `pkcs12` | `keystore.p12`, `truststore.p12` and, where it was generated, `keystore.password` |
//! | `jks` | `keystore.jks`, `truststore.jks` and, where it was generated, `keystore.password` |
//! | `jwks` | `jwks.json`: the keys of JWT-SVIDs, for programs that know nothing of SPIFFE |
//! | `spiffe` | `bundle.json`: a SPIFFE bundle |
//! | tokens | `jwt/NAME.token` |
//!
//! Every trust file holds one trust domain, with that domain's revocation lists and no others: the own one, or the one that the specification names.

mod changed;
mod compose;
mod credentials;
mod encode;
mod file_name;
mod format;
mod found;
mod keystore_password;
mod set_file;
mod spec;
mod token_name;

pub use changed::{Changed, Part};
pub use compose::{ComposeError, PASSWORD_FILE, compose};
pub use credentials::{Credentials, DomainTrust};
pub use file_name::{FileName, ParseFileNameError};
pub use format::{Format, ParseFormatError};
pub use found::{FoundSvid, GivesWay, HeldSvid, LaterSvid, Proof};
pub use keystore_password::KeystorePassword;
pub use set_file::SetFile;
pub use spec::{FileSetSpec, TokenSpec};
pub use token_name::{ParseTokenNameError, TokenName};

#[cfg(test)]
mod tests;
