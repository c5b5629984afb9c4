//! What a hook is told.

use std::path::PathBuf;
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};
use rustls::pki_types::CertificateDer;
use trust_domains::delivery::Changed;
use trust_domains::{Serial, SpiffeId};

use crate::workload::Attestor;

/// The set of files for which a hook runs, and whose they are.
#[derive(Debug, Clone)]
pub struct HookContext {
    /// The identity.
    pub spiffe_id: SpiffeId,
    /// Where the files are.
    pub directory: PathBuf,
    /// The serial in place.
    pub serial: Serial,
    /// What changed since the hook last succeeded; never empty.
    pub changed: Changed,
    /// The certificate in place.
    pub leaf: CertificateDer<'static>,
    /// Whose the files are: a hook acts as this user, or on processes of this user.
    pub owner: HookOwner,
    /// What proves which process is which.
    pub attestor: Arc<Attestor>,
}

/// The user and group for whom hooks act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookOwner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The owner of a sink cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// A user by number alone.
    #[error("uid {uid} is no user of this machine, so its group is not known; name one with group =")]
    NoGroup {
        /// The number.
        uid: u32,
    },
    /// There is none.
    #[error("there is no {kind} {name} on this machine")]
    Unknown {
        /// User or group.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

impl HookOwner {
    /// Looks up the owner and group of a sink, by name or number: the agent's own user when none is said, and the user's own group. It may wait for the name service.
    ///
    /// # Errors
    /// [`OwnerError`].
    pub fn resolve(owner: Option<&str>, group: Option<&str>) -> Result<Self, OwnerError> {
        let user = owner.map(find_user).transpose()?;
        let gid = group.map(find_group).transpose()?;
        match (user, gid) {
            (None, gid) => Ok(Self {
                uid: Uid::effective().as_raw(),
                gid: gid.unwrap_or_else(|| Gid::effective().as_raw()),
            }),
            (Some((uid, own_gid)), gid) => Ok(Self {
                uid,
                gid: gid.or(own_gid).ok_or(OwnerError::NoGroup { uid })?,
            }),
        }
    }

    /// Returns whether this is the user as which the agent runs.
    #[must_use]
    pub fn is_agent(self) -> bool {
        self.uid == Uid::effective().as_raw()
    }
}

fn find_user(name: &str) -> Result<(u32, Option<u32>), OwnerError> {
    // The largest number means "leave as it is" to the kernel.
    if let Some(uid) = name.parse().ok().filter(|uid| *uid != u32::MAX) {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        return Ok((uid, user.map(|user| user.gid.as_raw())));
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), Some(user.gid.as_raw()))),
        Ok(None) | Err(_) => Err(OwnerError::Unknown {
            kind: "user",
            name: name.to_owned(),
        }),
    }
}

fn find_group(name: &str) -> Result<u32, OwnerError> {
    if let Some(gid) = name.parse().ok().filter(|gid| *gid != u32::MAX) {
        return Ok(gid);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) | Err(_) => Err(OwnerError::Unknown {
            kind: "group",
            name: name.to_owned(),
        }),
    }
}
