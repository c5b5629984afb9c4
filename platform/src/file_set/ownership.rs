//! Whose the delivered files are, and who may read the key.

use std::fmt;
use std::os::fd::AsFd;
use std::str::FromStr;

use nix::unistd::{Group, User};
use rustix::fs::{Mode, fchmod, fchown, fstat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::FileSetError;
use crate::privilege::Identity;

/// The mode of the key file: always readable by its owner, never by others than owner and group, never executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyMode(u32);

/// The text is not a mode that a key file may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} is no mode for a private key: 0400, 0440, 0600, 0640 and 0660 are")]
pub struct ParseKeyModeError {
    /// What was given.
    pub presented: String,
}

impl Default for KeyMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for KeyMode {
    type Err = ParseKeyModeError;

    /// Parses octal text, with or without leading zeros.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match u32::from_str_radix(text, 8) {
            Ok(mode @ (0o400 | 0o440 | 0o600 | 0o640 | 0o660)) if text.bytes().all(|digit| digit.is_ascii_digit()) => Ok(Self(mode)),
            _ => Err(ParseKeyModeError { presented: text.to_owned() }),
        }
    }
}

impl fmt::Display for KeyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Owner, group and mode of the key, as numbers; what is not said is the process's own.
#[derive(Debug, Clone, Copy)]
pub struct Ownership {
    uid: Option<u32>,
    gid: Option<u32>,
    key_mode: KeyMode,
}

impl Ownership {
    /// Looks up the names; a number is taken as it is. It may wait for the name service.
    ///
    /// # Errors
    /// When there is no such user or group on this machine.
    pub fn resolve(owner: Option<&str>, group: Option<&str>, key_mode: KeyMode) -> Result<Self, FileSetError> {
        let uid = owner
            .map(|name| number_or("user", name, |name| Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))))
            .transpose()?;
        let gid = group
            .map(|name| number_or("group", name, |name| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))))
            .transpose()?;
        Ok(Self { uid, gid, key_mode })
    }

    /// Returns the ownership of files that are a process's own: of its user and its group.
    #[must_use]
    pub const fn of(identity: Identity, key_mode: KeyMode) -> Self {
        Self {
            uid: Some(identity.uid),
            gid: Some(identity.gid),
            key_mode,
        }
    }

    /// Sets them on an open file that holds a key, or nothing secret.
    ///
    /// Who is it already is not made it: a helper has the owner's rights, and no leave to change owners under the system-call filter of the agent's unit.
    pub(super) fn apply(&self, file: impl AsFd, secret: bool) -> Result<(), Errno> {
        let stat = fstat(&file)?;
        let uid = self.uid.filter(|uid| *uid != stat.st_uid).map(rustix::fs::Uid::from_raw);
        let gid = self.gid.filter(|gid| *gid != stat.st_gid).map(rustix::fs::Gid::from_raw);
        if uid.is_some() || gid.is_some() {
            fchown(&file, uid, gid)?;
        }
        // After the owner, whose change takes bits away.
        fchmod(&file, Mode::from_raw_mode(self.mode(secret)))
    }

    /// Sets them again if somebody changed them.
    pub(super) fn apply_if_changed(&self, file: impl AsFd, secret: bool) -> Result<Applied, Errno> {
        let stat = fstat(&file)?;
        let uid = self.uid.unwrap_or_else(|| geteuid().as_raw());
        // Without a configured group it is the process's, or that of a directory that hands its own on.
        let same_group = self.gid.is_none_or(|gid| stat.st_gid == gid);
        if stat.st_uid == uid && same_group && stat.st_mode & PERMISSIONS == self.mode(secret) {
            return Ok(Applied::Before);
        }
        let ownership = Self { uid: Some(uid), ..*self };
        ownership.apply(file, secret).map(|()| Applied::Again)
    }

    fn mode(&self, secret: bool) -> u32 {
        const PUBLIC: u32 = 0o644;
        if secret { self.key_mode.0 } else { PUBLIC }
    }
}

/// Whether owner and mode were as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// They were not, and were set.
    Again,
    /// They were.
    Before,
}

/// The bits of a mode that say who may do what.
const PERMISSIONS: u32 = 0o7777;

/// Lets everybody into a folder of files, as into any directory: each file has its own mode.
pub(super) fn open_to_readers(folder: impl AsFd) -> Result<Applied, Errno> {
    const MODE: u32 = 0o755;
    if fstat(&folder)?.st_mode & PERMISSIONS == MODE {
        return Ok(Applied::Before);
    }
    fchmod(&folder, Mode::from_raw_mode(MODE)).map(|()| Applied::Again)
}

/// Looks up who the owner of a set is: its user, and its group or else the user's own. A number is taken as it is; one that no account has needs a group.
/// It may wait for the name service.
///
/// # Errors
/// When there is no such user or group on this machine, or nothing says which group it is.
pub fn identity_of(owner: &str, group: Option<&str>) -> Result<Identity, FileSetError> {
    let named = Ownership::resolve(Some(owner), group, KeyMode::default())?;
    let unknown = |kind| FileSetError::UnknownName { kind, name: owner.to_owned() };
    let uid = named.uid.ok_or_else(|| unknown("user"))?;
    let own_group = || User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten().map(|user| user.gid.as_raw());
    let gid = named.gid.or_else(own_group).ok_or_else(|| unknown("group of the user"))?;
    Ok(Identity { uid, gid })
}

fn number_or(kind: &'static str, name: &str, look_up: impl FnOnce(&str) -> Result<Option<u32>, nix::Error>) -> Result<u32, FileSetError> {
    // The largest number means "leave as it is" to the kernel.
    if let Some(number) = name.parse().ok().filter(|number| *number != u32::MAX) {
        return Ok(number);
    }
    match look_up(name) {
        Ok(Some(number)) => Ok(number),
        Ok(None) | Err(_) => Err(FileSetError::UnknownName { kind, name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_readable_by_everybody() {
        for (text, accepted) in [
            ("0600", true),
            ("640", true),
            ("0400", true),
            ("0644", false),
            ("0700", false),
            ("600x", false),
            ("", false),
            ("+600", false),
            ("0000", false),
        ] {
            assert_eq!(text.parse::<KeyMode>().is_ok(), accepted, "{text:?}");
        }
        assert_eq!("0640".parse::<KeyMode>().unwrap().to_string(), "0640");
        assert_eq!(KeyMode::default().to_string(), "0600");
    }

    #[test]
    fn names_and_numbers_are_resolved_and_unknown_names_are_told() {
        let resolved = Ownership::resolve(Some("root"), Some("12345"), KeyMode::default()).unwrap();
        assert_eq!((resolved.uid, resolved.gid), (Some(0), Some(12345)));
        let error = Ownership::resolve(Some("no-such-user-here"), None, KeyMode::default()).unwrap_err();
        assert_eq!(error.to_string(), "there is no user no-such-user-here on this machine");
    }

    #[test]
    fn an_owner_has_the_group_that_is_said_or_else_its_own() {
        let root = identity_of("root", None).unwrap();
        assert_eq!(root, Identity { uid: 0, gid: 0 });
        assert_eq!(identity_of("12345", Some("54321")).unwrap(), Identity { uid: 12345, gid: 54321 });
        assert!(identity_of("3999999999", None).is_err());
    }
}
