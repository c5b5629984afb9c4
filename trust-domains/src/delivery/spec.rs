//! What a set shall hold.

use crate::TrustDomain;
use crate::jwt_svid::Audience;

use super::format::Format;
use super::keystore_password::KeystorePassword;
use super::token_name::TokenName;

/// What a set shall hold. One trust domain at most is named: no trust file ever holds two.
#[derive(Debug, Clone, Default)]
pub struct FileSetSpec {
    /// In which formats; a file that two of them have is written once.
    pub formats: Vec<Format>,
    /// Whose roots, lists and keys the trust files hold; those of the identity's own trust domain when absent.
    pub trust_domain: Option<TrustDomain>,
    /// The tokens.
    pub tokens: Vec<TokenSpec>,
    /// The password of key stores; a set without any needs none.
    pub keystore_password: Option<KeystorePassword>,
}

/// A token that a set shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// What it is called.
    pub name: TokenName,
    /// Whom it is for.
    pub audience: Audience,
}
