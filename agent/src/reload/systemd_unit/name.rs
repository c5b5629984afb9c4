//! Names of units.

use std::fmt;
use std::str::FromStr;

/// The longest name that systemd takes (`UNIT_NAME_MAX` of systemd, less the zero octet).
const LONGEST: usize = 255;

/// Only services have an `ExecReload=` and a main process.
const SUFFIX: &str = ".service";

/// The name of a service unit: always valid by systemd's rule (systemd.unit(5): letters, digits and `:-_.\` before the suffix, one `@` before the instance of a template).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitName(String);

impl UnitName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of a service unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnitNameError {
    /// A character that no name has.
    #[error("a unit's name has no {found:?}: letters, digits and :-_.\\@ only")]
    Character {
        /// Which.
        found: char,
    },
    /// Another kind of unit, or none.
    #[error("a unit's name ends in .service: nginx.service")]
    Kind,
    /// Nothing before the suffix, or a template without its instance.
    #[error("the unit's name is not complete: name the service, and of a template the instance, as in postgresql@15-main.service")]
    NotComplete,
    /// Longer than systemd takes.
    #[error("a unit's name has at most {LONGEST} octets, this one {actual}")]
    TooLong {
        /// How long it is.
        actual: usize,
    },
}

impl FromStr for UnitName {
    type Err = ParseUnitNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LONGEST {
            return Err(ParseUnitNameError::TooLong { actual: text.len() });
        }
        let stem = text.strip_suffix(SUFFIX).ok_or(ParseUnitNameError::Kind)?;
        if let Some(found) = stem.chars().find(|found| !is_allowed(*found)) {
            return Err(ParseUnitNameError::Character { found });
        }
        match stem.split_once('@') {
            None if !stem.is_empty() => Ok(Self(text.to_owned())),
            Some((template, instance)) if !template.is_empty() && !instance.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(ParseUnitNameError::NotComplete),
        }
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, ':' | '-' | '_' | '.' | '\\' | '@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_are_taken_and_shown_as_they_are() {
        for name in [
            "nginx.service",
            "postgresql@15-main.service",
            "a.service",
            "mount\\x2dpoint.service",
            "dbus-org.x.service",
            "x@a@b.service",
        ] {
            assert_eq!(name.parse::<UnitName>().unwrap().to_string(), name);
        }
        assert!(format!("{}.service", "n".repeat(247)).parse::<UnitName>().is_ok());
    }

    #[test]
    fn what_systemd_would_not_take_or_has_nothing_to_reload_is_refused() {
        let cases = [
            ("nginx", ParseUnitNameError::Kind),
            ("nginx.socket", ParseUnitNameError::Kind),
            ("", ParseUnitNameError::Kind),
            (".service", ParseUnitNameError::NotComplete),
            ("postgresql@.service", ParseUnitNameError::NotComplete),
            ("@main.service", ParseUnitNameError::NotComplete),
            ("../nginx.service", ParseUnitNameError::Character { found: '/' }),
            ("two words.service", ParseUnitNameError::Character { found: ' ' }),
            ("ngin\u{e9}.service", ParseUnitNameError::Character { found: '\u{e9}' }),
            ("nginx\n.service", ParseUnitNameError::Character { found: '\n' }),
        ];
        for (text, refused) in cases {
            assert_eq!(text.parse::<UnitName>().unwrap_err(), refused, "{text:?}");
        }
        let long = format!("{}.service", "n".repeat(248));
        assert_eq!(long.parse::<UnitName>().unwrap_err(), ParseUnitNameError::TooLong { actual: 256 });
    }
}
