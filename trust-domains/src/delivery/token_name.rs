//! What a delivered token is called.

use std::fmt;
use std::str::FromStr;

use super::file_name::FileName;

/// The name of a token among those of its set. Always valid: `jwt/NAME.token` is a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName {
    name: String,
    file: FileName,
}

/// The text cannot be the name of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is no name for a token: letters, digits, . - and _ only, as in vault")]
pub struct ParseTokenNameError {
    /// What was given.
    pub presented: String,
}

impl TokenName {
    /// Returns the name of the token's file.
    #[must_use]
    pub fn file(&self) -> &FileName {
        &self.file
    }
}

impl FromStr for TokenName {
    type Err = ParseTokenNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseTokenNameError { presented: text.to_owned() };
        if text.is_empty() {
            return Err(refused());
        }
        let file = format!("jwt/{text}.token").parse().map_err(|_| refused())?;
        Ok(Self { name: text.to_owned(), file })
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_file_in_one_folder() {
        let name: TokenName = "vault-1".parse().unwrap();
        assert_eq!((name.to_string().as_str(), name.file().as_str()), ("vault-1", "jwt/vault-1.token"));
        let too_long = "a".repeat(FileName::LONGEST_PART);
        for wrong in ["", "a/b", "../x", "a b", too_long.as_str()] {
            assert!(wrong.parse::<TokenName>().is_err(), "{wrong:?}");
        }
    }
}
