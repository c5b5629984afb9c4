//! Rights that a process gives up for good.
//!
//! For a process with one thread, before it reads anything of others: ids and capabilities are a thread's to the kernel.

use std::io;

use nix::unistd::{Gid, Uid, getgroups, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs};

use crate::inherited::open_numbers;

/// The user and the group that a process becomes; both are numbers of the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group; there are no supplementary ones.
    pub gid: u32,
}

/// Returns whether this process may start others as any user: it has CAP_SETUID and CAP_SETGID, as root has.
#[must_use]
pub fn may_become_others() -> bool {
    const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);
    capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED))
}

/// Closes every descriptor but the three standard ones.
///
/// # Errors
/// The descriptors cannot be listed (no /proc), and may be open.
pub fn close_inherited() -> io::Result<()> {
    const FIRST_OF_OTHERS: i32 = 3;
    for fd in open_numbers()?.into_iter().filter(|fd| *fd >= FIRST_OF_OTHERS) {
        // Only the listing's own fails, which is closed already.
        let _closed_before = nix::unistd::close(fd);
    }
    Ok(())
}

/// Becomes a user with that user's rights and none beside: no supplementary groups, no capabilities, none to be gained by executing a file; no core dumps and
/// no tracing by the user's other processes, since memory holds keys; killed when the thread that started the process ends.
///
/// # Errors
/// The system refused a step, or what it says afterwards is not what was asked for. The process may have other rights then than it had, and must end.
pub fn become_for_good(identity: Identity) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_no_new_privs(true)?;
    // Before the ids: it needs CAP_SETPCAP, which only root has. Without it the set is of no use either, as nothing can be gained by executing a file.
    for capability in CapabilitySet::all().iter() {
        let _not_permitted = remove_capability_from_bounding_set(capability);
    }
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    set_capabilities(None, NONE)?;
    // A change of ids takes these back.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    check(uid, gid)
}

const NONE: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Checks what the kernel says this process is.
fn check(uid: Uid, gid: Gid) -> io::Result<()> {
    let (uids, gids) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
    let same_user = [uids.real, uids.effective, uids.saved].iter().all(|is| *is == uid);
    let same_group = [gids.real, gids.effective, gids.saved].iter().all(|is| *is == gid);
    let bare = getgroups()?.is_empty() && capabilities(None)? == NONE;
    if same_user && same_group && bare {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "rights remain that were given up"))
}
