//! How a node that joins by a certificate is named: by a template over the certificate's facts, so that the same certificate is the same node.

use std::fmt;
use std::str::FromStr;

use super::NodeName;
use crate::problem::{Code, Coded};
use crate::x509::NodeCertificate;

/// A template of node names, as `edge-{cn}`: always with at least one fact of the certificate, so that two certificates are not one node by mistake.
///
/// | written | what comes there |
/// |---|---|
/// | `{cn}` | the one common name of the subject |
/// | `{dns}` | the one DNS name |
/// | `{fingerprint}` | the SHA-256 of the certificate, in hex |
/// | `{serial}` | its serial number, in hex |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNameTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Fact(Fact),
    Text(String),
}

/// A fact of a certificate that a template may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The common name.
    Cn,
    /// The DNS name.
    Dns,
    /// The SHA-256.
    Fingerprint,
    /// The serial number.
    Serial,
}

impl Fact {
    const ALL: [Self; 4] = [Self::Cn, Self::Dns, Self::Fingerprint, Self::Serial];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Cn => "cn",
            Self::Dns => "dns",
            Self::Fingerprint => "fingerprint",
            Self::Serial => "serial",
        }
    }

    /// Returns the value, where the certificate has exactly one: of two names, either could be somebody else's.
    fn of(self, certificate: &NodeCertificate) -> Result<String, NameRefused> {
        let only = |values: &[String]| match values {
            [only] => Ok(only.clone()),
            several => Err(NameRefused::NotOne {
                fact: self,
                actual: several.len(),
            }),
        };
        match self {
            Self::Cn => only(certificate.common_names()),
            Self::Dns => only(certificate.dns_names()),
            Self::Fingerprint => Ok(certificate.fingerprint().to_owned()),
            Self::Serial => Ok(certificate.serial().to_string()),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for NodeNameTemplate {
    /// `{fingerprint}`: every certificate has one of its own, and it is as long as a name may be.
    fn default() -> Self {
        Self(vec![Part::Fact(Fact::Fingerprint)])
    }
}

impl NodeNameTemplate {
    /// Returns the name of a node with this certificate.
    ///
    /// # Errors
    /// The certificate has none, or several, of a fact that the template names, or what comes out is no name.
    pub fn name(&self, certificate: &NodeCertificate) -> Result<NodeName, NameRefused> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Fact(fact) => text.push_str(&fact.of(certificate)?),
            }
        }
        text.parse().map_err(|_| NameRefused::NoName { limit: NodeName::MAX_LEN })
    }
}

impl FromStr for NodeNameTemplate {
    type Err = ParseNodeNameTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((fixed, after)) = rest.split_once('{') {
            let (word, behind) = after.split_once('}').ok_or(ParseNodeNameTemplateError::Unclosed)?;
            let fact = Fact::ALL.into_iter().find(|fact| fact.as_str() == word);
            parts.extend((!fixed.is_empty()).then(|| Part::Text(fixed.to_owned())));
            parts.push(Part::Fact(fact.ok_or_else(|| ParseNodeNameTemplateError::UnknownFact {
                word: word.chars().take(20).collect(),
            })?));
            rest = behind;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        let fixed = parts.iter().filter_map(|part| match part {
            Part::Text(fixed) => Some(fixed.as_str()),
            Part::Fact(_) => None,
        });
        if !fixed.collect::<String>().bytes().all(crate::spiffe_id::is_segment_octet) {
            return Err(ParseNodeNameTemplateError::BadText);
        }
        match parts.iter().any(|part| matches!(part, Part::Fact(_))) {
            true => Ok(Self(parts)),
            false => Err(ParseNodeNameTemplateError::NoFact),
        }
    }
}

impl fmt::Display for NodeNameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(fixed) => f.write_str(fixed),
            Part::Fact(fact) => write!(f, "{{{fact}}}"),
        })
    }
}

/// The text is not a template of node names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNodeNameTemplateError {
    /// The fixed text could not stand in a name.
    #[error("beside facts in braces a template has only a-z, A-Z, 0-9, '.', '-' and '_'")]
    BadText,
    /// Every certificate would be the same node.
    #[error("a template names a fact: one of {{cn}}, {{dns}}, {{fingerprint}}, {{serial}}")]
    NoFact,
    /// A brace is not closed.
    #[error("a brace is not closed")]
    Unclosed,
    /// What stands in braces is no fact.
    #[error("{{{word}}} is none of {{cn}}, {{dns}}, {{fingerprint}}, {{serial}}")]
    UnknownFact {
        /// The beginning of the word.
        word: String,
    },
}

/// A certificate does not name a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameRefused {
    /// What the template makes of it is no name.
    #[error("what the template makes of the certificate is no node's name: 1 to {limit} of a-z, A-Z, 0-9, '.', '-' and '_'")]
    NoName {
        /// The most bytes.
        limit: usize,
    },
    /// None or several where the name takes one.
    #[error("the certificate has {actual} values of {{{fact}}}, and the name takes exactly one")]
    NotOne {
        /// Of what.
        fact: Fact,
        /// How many.
        actual: usize,
    },
}

impl Coded for NameRefused {
    fn code(&self) -> Code {
        Code::AttestationRefused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_comes_back_as_it_was_written_and_others_say_what_is_wrong() {
        for text in ["{cn}", "edge-{cn}", "{dns}", "{serial}.{fingerprint}", "a{cn}b{cn}c"] {
            assert_eq!(text.parse::<NodeNameTemplate>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("", ParseNodeNameTemplateError::NoFact),
            ("edge", ParseNodeNameTemplateError::NoFact),
            ("{cn", ParseNodeNameTemplateError::Unclosed),
            ("a/{cn}", ParseNodeNameTemplateError::BadText),
            ("{ou}", ParseNodeNameTemplateError::UnknownFact { word: "ou".to_owned() }),
        ] {
            assert_eq!(text.parse::<NodeNameTemplate>(), Err(expected), "{text:?}");
        }
    }
}
