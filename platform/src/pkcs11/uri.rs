//! How a token, and a key in it, are named (RFC 7512).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What every such URI begins with.
const SCHEME: &str = "pkcs11:";

/// The longest URI: some names of 32 octets and two paths.
const LONGEST: usize = 4_096;

/// Names a token by its label, serial number, manufacturer or model, and says which module reaches it.
///
/// `token` or `serial` is there, and `module-path`, an absolute path. `object` names a key by its label. `pin-source` is a file with the user PIN; without one
/// the token must let itself be used without, or have a keypad of its own. Always valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Uri {
    text: String,
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    object: Option<String>,
    module_path: PathBuf,
    pin_source: Option<PathBuf>,
}

/// A text is no usable PKCS#11 URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePkcs11UriError {
    /// It does not begin with the scheme.
    #[error("a PKCS#11 URI begins with pkcs11:")]
    Scheme,
    /// It is too long.
    #[error("a PKCS#11 URI has at most {LONGEST} octets")]
    TooLong,
    /// An attribute has no value.
    #[error("the attribute {name:?} of the PKCS#11 URI has no value")]
    NoValue {
        /// Which.
        name: String,
    },
    /// An attribute is there twice.
    #[error("the attribute {name:?} is in the PKCS#11 URI twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// An attribute is not known here.
    #[error("the attribute {name:?} of a PKCS#11 URI is not known here; there are token, serial, manufacturer, model, object; module-path, pin-source")]
    Unknown {
        /// Which.
        name: String,
    },
    /// A percent sign starts no octet, or the octets are no text.
    #[error("the attribute {name:?} of the PKCS#11 URI is not well encoded")]
    Encoding {
        /// Which.
        name: String,
    },
    /// A PIN is in the URI.
    #[error("a PIN does not belong in a PKCS#11 URI, where everybody can read it: write it to a private file and name that, pin-source=FILE")]
    PinValue,
    /// A path is not absolute.
    #[error("{name} of the PKCS#11 URI is not an absolute path")]
    NotAbsolute {
        /// Which.
        name: &'static str,
    },
    /// Nothing names the token.
    #[error("the PKCS#11 URI names no token: token=LABEL or serial=NUMBER")]
    NoToken,
    /// Nothing names the module.
    #[error("the PKCS#11 URI names no module: ?module-path=/usr/lib/.../MODULE.so")]
    NoModule,
}

impl Pkcs11Uri {
    /// Returns the module that reaches the token.
    #[must_use]
    pub fn module_path(&self) -> &Path {
        &self.module_path
    }

    /// Returns the file with the PIN.
    #[must_use]
    pub fn pin_source(&self) -> Option<&Path> {
        self.pin_source.as_deref()
    }

    /// Returns the label of the key that is meant.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Returns how people call the token.
    #[must_use]
    pub fn token_name(&self) -> &str {
        self.token.as_deref().or(self.serial.as_deref()).unwrap_or_default()
    }

    /// Returns whether a token with these facts is meant. What the URI does not say, it does not ask.
    #[must_use]
    pub(super) fn means(&self, facts: &TokenFacts<'_>) -> bool {
        let asked = [
            (&self.token, facts.label),
            (&self.serial, facts.serial),
            (&self.manufacturer, facts.manufacturer),
            (&self.model, facts.model),
        ];
        // Tokens pad their names with spaces.
        asked
            .into_iter()
            .all(|(wanted, found)| wanted.as_deref().is_none_or(|wanted| wanted == found.trim_end()))
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), ParsePkcs11UriError> {
        let place = match name {
            "manufacturer" => &mut self.manufacturer,
            "model" => &mut self.model,
            "object" => &mut self.object,
            "serial" => &mut self.serial,
            "token" => &mut self.token,
            "pin-value" => return Err(ParsePkcs11UriError::PinValue),
            "module-path" => return path("module-path", value).map(|path| self.module_path = path),
            "pin-source" => {
                let value = value
                    .strip_prefix("file://")
                    .or_else(|| value.strip_prefix("file:"))
                    .unwrap_or(&value)
                    .to_owned();
                return path("pin-source", value).map(|path| self.pin_source = Some(path));
            }
            other => return Err(ParsePkcs11UriError::Unknown { name: other.to_owned() }),
        };
        *place = Some(value);
        Ok(())
    }
}

/// What a token says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenFacts<'a> {
    pub(super) label: &'a str,
    pub(super) serial: &'a str,
    pub(super) manufacturer: &'a str,
    pub(super) model: &'a str,
}

impl FromStr for Pkcs11Uri {
    type Err = ParsePkcs11UriError;

    fn from_str(text: &str) -> Result<Self, ParsePkcs11UriError> {
        if text.len() > LONGEST {
            return Err(ParsePkcs11UriError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(ParsePkcs11UriError::Scheme)?;
        let mut uri = Self {
            text: text.to_owned(),
            token: None,
            serial: None,
            manufacturer: None,
            model: None,
            object: None,
            module_path: PathBuf::new(),
            pin_source: None,
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut seen = Vec::new();
        for attribute in path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty()) {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let named = || name.to_owned();
            if seen.contains(&name) {
                return Err(ParsePkcs11UriError::Twice { name: named() });
            }
            seen.push(name);
            if value.is_empty() {
                return Err(ParsePkcs11UriError::NoValue { name: named() });
            }
            let value = decode(value).ok_or_else(|| ParsePkcs11UriError::Encoding { name: named() })?;
            uri.take(name, value)?;
        }
        if uri.token.is_none() && uri.serial.is_none() {
            return Err(ParsePkcs11UriError::NoToken);
        }
        match uri.module_path.as_os_str().is_empty() {
            true => Err(ParsePkcs11UriError::NoModule),
            false => Ok(uri),
        }
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn path(name: &'static str, value: String) -> Result<PathBuf, ParsePkcs11UriError> {
    let path = PathBuf::from(value);
    match path.is_absolute() {
        true => Ok(path),
        false => Err(ParsePkcs11UriError::NotAbsolute { name }),
    }
}

/// Takes percent signs back (RFC 3986 section 2.1).
fn decode(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        octets.push(hex::decode(digits).ok()?.first().copied()?);
        rest = after;
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &str = "pkcs11:token=Our%20HSM;object=seal;manufacturer=M?module-path=/usr/lib/m.so&pin-source=file:/etc/troth/pin";

    #[test]
    fn a_whole_uri_is_read_and_written_back() {
        let uri: Pkcs11Uri = WHOLE.parse().unwrap();
        assert_eq!((uri.token_name(), uri.object()), ("Our HSM", Some("seal")));
        assert_eq!(uri.module_path(), Path::new("/usr/lib/m.so"));
        assert_eq!(uri.pin_source(), Some(Path::new("/etc/troth/pin")));
        assert_eq!(uri.to_string(), WHOLE);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("hsm:token=x", ParsePkcs11UriError::Scheme),
            ("pkcs11:object=x?module-path=/m", ParsePkcs11UriError::NoToken),
            ("pkcs11:token=x", ParsePkcs11UriError::NoModule),
            ("pkcs11:token=x?module-path=m.so", ParsePkcs11UriError::NotAbsolute { name: "module-path" }),
            (
                "pkcs11:token=x?module-path=/m&pin-source=pin",
                ParsePkcs11UriError::NotAbsolute { name: "pin-source" },
            ),
            ("pkcs11:token=x?module-path=/m&pin-value=1234", ParsePkcs11UriError::PinValue),
            ("pkcs11:token=x;token=y?module-path=/m", ParsePkcs11UriError::Twice { name: "token".to_owned() }),
            ("pkcs11:token=?module-path=/m", ParsePkcs11UriError::NoValue { name: "token".to_owned() }),
            ("pkcs11:token=%zz?module-path=/m", ParsePkcs11UriError::Encoding { name: "token".to_owned() }),
            ("pkcs11:tokn=x?module-path=/m", ParsePkcs11UriError::Unknown { name: "tokn".to_owned() }),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Pkcs11Uri>(), Err(expected), "{text}");
        }
        assert_eq!(
            format!("pkcs11:token={}", "x".repeat(LONGEST)).parse::<Pkcs11Uri>(),
            Err(ParsePkcs11UriError::TooLong)
        );
    }

    #[test]
    fn a_token_is_meant_by_all_that_is_said_of_it() {
        let uri: Pkcs11Uri = WHOLE.parse().unwrap();
        let facts = TokenFacts {
            label: "Our HSM                         ",
            serial: "1",
            manufacturer: "M",
            model: "any",
        };
        assert!(uri.means(&facts));
        assert!(!uri.means(&TokenFacts { manufacturer: "N", ..facts }));
        assert!(!uri.means(&TokenFacts { label: "Our HSM 2", ..facts }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text: String) {
            if let Ok(uri) = format!("pkcs11:{text}").parse::<Pkcs11Uri>() {
                prop_assert_eq!(uri.to_string().parse::<Pkcs11Uri>(), Ok(uri));
            }
        }
    }
}
