//! One rule of an allow-list.

use std::fmt;
use std::str::FromStr;

use crate::problem::{Code, Coded};
use crate::spiffe_id::{ParseSpiffeIdError, SpiffeId};
use crate::text::serde_as_text;
use crate::trust_domain::{ParseTrustDomainError, TrustDomain};

const SCHEME: &str = "spiffe://";

/// What stands for everything below a path.
const BELOW: &str = "/*";

/// Peers that are wanted. Always valid.
///
/// - `spiffe://td.example/web`: this identity and no other.
/// - `spiffe://td.example/web/*`: every identity below that path, by whole segments: `/web/a`, neither `/web` nor `/webshop`.
/// - `spiffe://td.example` or `spiffe://td.example/*`: every workload of that trust domain.
///
/// `/web`, `/web/*` and `/*` mean the trust domain of whoever asks. Servers and agents (paths under `/troth`) are no workloads: only a rule that names
/// `/troth` means them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerPattern {
    /// None: the own one.
    trust_domain: Option<TrustDomain>,
    rule: Rule,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Rule {
    /// Every workload.
    Any,
    /// What is below this path, which has no slash at its end.
    Below(String),
    /// This path.
    Exactly(String),
}

impl PeerPattern {
    /// Returns the rule that means every workload of the own trust domain.
    #[must_use]
    pub const fn any_of_own() -> Self {
        Self {
            trust_domain: None,
            rule: Rule::Any,
        }
    }

    /// Returns whether [`Self::any_of_own`] means all that this rule means, whatever the own trust domain is.
    #[must_use]
    pub fn is_part_of_any_of_own(&self) -> bool {
        let names_reserved = match &self.rule {
            Rule::Any => false,
            Rule::Below(path) | Rule::Exactly(path) => is_reserved(path),
        };
        self.trust_domain.is_none() && !names_reserved
    }

    /// Returns whether the rule means this identity, to an asker of the trust domain `own`.
    #[must_use]
    pub fn means(&self, spiffe_id: &SpiffeId, own: &TrustDomain) -> bool {
        spiffe_id.is_member_of(self.trust_domain(own)) && self.rule.means(spiffe_id)
    }

    /// Returns the trust domain that the rule is about, to an asker of `own`.
    #[must_use]
    pub fn trust_domain<'a>(&'a self, own: &'a TrustDomain) -> &'a TrustDomain {
        self.trust_domain.as_ref().unwrap_or(own)
    }
}

impl Rule {
    fn means(&self, spiffe_id: &SpiffeId) -> bool {
        let path = spiffe_id.path();
        match self {
            // The ID of the trust domain itself is nobody's.
            Self::Any => !path.is_empty() && !spiffe_id.is_reserved(),
            Self::Below(parent) => {
                let is_below = path.strip_prefix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'));
                is_below && (!spiffe_id.is_reserved() || is_reserved(parent))
            }
            Self::Exactly(exact) => path == exact,
        }
    }
}

fn is_reserved(path: &str) -> bool {
    path.strip_prefix(SpiffeId::RESERVED_PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for PeerPattern {
    type Err = ParsePeerPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (trust_domain, path) = match text.strip_prefix(SCHEME) {
            Some(rest) => {
                let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let name: TrustDomain = name.parse().map_err(|source| ParsePeerPatternError::TrustDomain { source })?;
                (Some(name), path)
            }
            None if text.starts_with('/') => (None, text),
            None => return Err(ParsePeerPatternError::Form { text: text.to_owned() }),
        };
        let rule = match path.strip_suffix(BELOW) {
            _ if path.is_empty() => Rule::Any,
            Some("") => Rule::Any,
            Some(parent) => Rule::Below(checked(parent)?),
            None => Rule::Exactly(checked(path)?),
        };
        Ok(Self { trust_domain, rule })
    }
}

/// Checks a path by the rules of SPIFFE IDs; a star anywhere else is none of their characters.
fn checked(path: &str) -> Result<String, ParsePeerPatternError> {
    let stand_in = "td.example".parse().map_err(|source| ParsePeerPatternError::TrustDomain { source })?;
    SpiffeId::from_path(&stand_in, path).map_err(|source| ParsePeerPatternError::Path { source })?;
    Ok(path.to_owned())
}

impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(trust_domain) = &self.trust_domain {
            write!(f, "{SCHEME}{trust_domain}")?;
        }
        match &self.rule {
            Rule::Any => f.write_str(BELOW),
            Rule::Below(parent) => write!(f, "{parent}{BELOW}"),
            Rule::Exactly(path) => f.write_str(path),
        }
    }
}

impl fmt::Debug for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerPattern({self})")
    }
}

serde_as_text!(PeerPattern, "a SPIFFE ID, a path prefix with /*, or a trust domain");

/// The text is not a rule of an allow-list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePeerPatternError {
    /// It is neither a SPIFFE ID nor a path.
    #[error("{text:?} is neither spiffe://TRUST-DOMAIN, with or without a path, nor a /path of the own trust domain")]
    Form {
        /// The text.
        text: String,
    },
    /// Its path is none.
    #[error("the path is none that a SPIFFE ID may have; only a last /* stands for anything")]
    Path {
        /// Why not.
        #[source]
        source: ParseSpiffeIdError,
    },
    /// Its trust domain is none.
    #[error("the trust domain is no name")]
    TrustDomain {
        /// Why not.
        #[source]
        source: ParseTrustDomainError,
    },
}

impl Coded for ParsePeerPatternError {
    fn code(&self) -> Code {
        Code::InvalidSpiffeId
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn means(pattern: &str, id: &str) -> bool {
        let own: TrustDomain = "td.example".parse().unwrap();
        pattern.parse::<PeerPattern>().unwrap().means(&id.parse().unwrap(), &own)
    }

    #[test]
    fn each_rule_means_what_it_says_and_nothing_beside_it() {
        let table = [
            ("spiffe://td.example/web", "spiffe://td.example/web", true),
            ("spiffe://td.example/web", "spiffe://td.example/web/a", false),
            ("spiffe://td.example/web", "spiffe://td.example/Web", false),
            ("spiffe://td.example/web", "spiffe://other.test/web", false),
            ("spiffe://td.example/web/*", "spiffe://td.example/web/a", true),
            ("spiffe://td.example/web/*", "spiffe://td.example/web/a/b", true),
            ("spiffe://td.example/web/*", "spiffe://td.example/web", false),
            ("spiffe://td.example/web/*", "spiffe://td.example/webshop", false),
            ("spiffe://td.example/web/*", "spiffe://td.example.evil.test/web/a", false),
            ("spiffe://td.example", "spiffe://td.example/any/thing", true),
            ("spiffe://td.example", "spiffe://td.example", false),
            ("spiffe://td.example/*", "spiffe://td.example/x", true),
            ("spiffe://td.example/*", "spiffe://td.examples/x", false),
            ("spiffe://td.example", "spiffe://td.example/troth/server", false),
            ("spiffe://td.example/troth/agent/*", "spiffe://td.example/troth/agent/join/x", true),
            ("spiffe://td.example/troth/server", "spiffe://td.example/troth/server", true),
            ("/web", "spiffe://td.example/web", true),
            ("/web", "spiffe://other.test/web", false),
            ("/*", "spiffe://td.example/x/y", true),
            ("/*", "spiffe://other.test/x", false),
        ];
        for (pattern, id, expected) in table {
            assert_eq!(means(pattern, id), expected, "{pattern} {id}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "*",
            "web",
            "td.example",
            "spiffe://",
            "spiffe:///web",
            "spiffe://*",
            "spiffe://*/web",
            "spiffe://TD.example/web",
            "spiffe://td.example/",
            "spiffe://td.example/web/",
            "spiffe://td.example/w*b",
            "spiffe://td.example/web*",
            "spiffe://td.example/*/web",
            "spiffe://td.example/../web",
            "spiffe://td.example/web/**",
            "https://td.example/web",
            "/",
            "//web",
        ] {
            assert!(text.parse::<PeerPattern>().is_err(), "{text}");
        }
    }

    fn segments() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-zA-Z0-9_-]{1,4}", 1..4).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    proptest! {
        #[test]
        fn a_rule_reads_as_it_is_shown(path in segments(), below: bool, absolute: bool) {
            let text = format!("{}{path}{}", if absolute { "spiffe://td.example" } else { "" }, if below { "/*" } else { "" });
            let pattern: PeerPattern = text.parse().unwrap();
            prop_assert_eq!(pattern.to_string(), text);
        }

        #[test]
        fn a_prefix_means_exactly_the_paths_that_go_on_after_it(prefix in segments(), path in segments()) {
            let id = format!("spiffe://td.example{path}");
            let below = path.split('/').collect::<Vec<_>>();
            let parent = prefix.split('/').collect::<Vec<_>>();
            let is_below = below.len() > parent.len() && below.starts_with(&parent);
            prop_assert_eq!(means(&format!("{prefix}/*"), &id), is_below);
        }

        #[test]
        fn whatever_text_is_read_is_shown_as_a_text_that_means_the_same(text in "(spiffe://)?[a-z./*-]{0,20}") {
            if let Ok(pattern) = text.parse::<PeerPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<PeerPattern>().unwrap(), pattern);
            }
        }
    }
}
