//! Which selectors the agent can never prove with the rights it has: said once, at its start.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use trust_domains::wire::agent::UnknownSelector;

use super::proc_status::parse_effective_capabilities;

/// `CAP_SYS_PTRACE` of `linux/capability.h`: lets a process look into those of other users.
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// `CAP_SETGID` and `CAP_SETUID` of `linux/capability.h`: let a process become another user, with nothing of its own groups.
const CAP_SETGID_AND_SETUID: u64 = 1 << 6 | 1 << 7;

/// Returns whether the agent may start processes as other users; where that cannot be read it may not.
pub(crate) fn may_become_others() -> bool {
    let status = std::fs::read("/proc/self/status").unwrap_or_default();
    let capabilities = parse_effective_capabilities(&status).unwrap_or_default();
    capabilities & CAP_SETGID_AND_SETUID == CAP_SETGID_AND_SETUID
}

/// What the agent may see of other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Whether it may look into the processes of other users.
    pub looks_into_other_users: bool,
    /// Whether `/proc` shows it the processes of other users at all (no hidepid).
    pub sees_other_users: bool,
    /// Whether its mounts are those of process 1, as far as it may see.
    pub shares_mounts: bool,
}

impl Rights {
    /// Returns the rights of this process.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn of_agent() -> io::Result<Self> {
        let capabilities = parse_effective_capabilities(&std::fs::read("/proc/self/status")?).unwrap_or_default();
        Ok(Self {
            looks_into_other_users: capabilities & CAP_SYS_PTRACE != 0,
            // Process 1 is always there, and with hidepid only its owner and the privileged may read it.
            sees_other_users: std::fs::read("/proc/1/status").is_ok(),
            shares_mounts: shares_mounts()?,
        })
    }
}

/// A service manager gives a service mounts of its own for many of its sandbox options.
fn shares_mounts() -> io::Result<bool> {
    let namespace = |process: &str| std::fs::metadata(format!("/proc/{process}/ns/mnt")).map(|found| (found.dev(), found.ino()));
    let own = namespace("self")?;
    Ok(namespace("1").map_or(true, |first| first == own))
}

/// Returns the selectors that stay unknown for processes of other users, and why.
#[must_use]
pub fn unprovable(rights: Rights) -> Vec<UnknownSelector> {
    let unknown = |kind: &str, reason: &str| UnknownSelector {
        kind: kind.to_owned(),
        reason: reason.to_owned(),
    };
    let mut kinds = Vec::new();
    if !rights.sees_other_users {
        kinds.push(unknown("unix:supplementary_gid", "/proc hides other users' processes from the agent (hidepid)"));
    }
    if !rights.looks_into_other_users {
        let reason = "the agent lacks CAP_SYS_PTRACE: it sees the executable of processes of its own user only";
        kinds.extend([unknown("unix:path", reason), unknown("unix:sha256", reason)]);
    }
    if rights.looks_into_other_users && !rights.shares_mounts {
        let reason =
            "the agent has mounts of its own (a sandbox of the service manager, or a container): what path a process outside of them runs is not proved";
        kinds.push(unknown("unix:path", reason));
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_right_names_the_selectors_that_it_costs() {
        let kinds = |looks_into_other_users, sees_other_users, shares_mounts| -> Vec<String> {
            unprovable(Rights {
                looks_into_other_users,
                sees_other_users,
                shares_mounts,
            })
            .into_iter()
            .map(|unknown| unknown.kind)
            .collect()
        };
        assert!(kinds(true, true, true).is_empty());
        assert_eq!(kinds(false, true, true), ["unix:path", "unix:sha256"]);
        assert_eq!(kinds(true, true, false), ["unix:path"]);
        assert_eq!(kinds(false, false, false), ["unix:supplementary_gid", "unix:path", "unix:sha256"]);
    }

    #[test]
    fn the_own_rights_can_be_read() {
        Rights::of_agent().unwrap();
    }
}
