//! Descriptors that this process was started with: they are for it, and not for what it starts.
//!
//! Whatever Troth opens itself is closed when another program is executed. What a shell, a container runtime or an older service manager left open is not: it would
//! reach every reload command, with whatever it opens.

use std::fs;
use std::io;
use std::os::fd::{IntoRawFd as _, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The first number that is not of standard input, output and error.
const FIRST_OF_OTHERS: i32 = 3;

/// The flag "closed by exec" in the octal `flags:` of proc_pid_fdinfo(5), as open(2) has it on every Linux that Troth runs on.
const CLOSED_BY_EXEC: u32 = 0o2_000_000;

/// Has the system close every descriptor but the three standard ones when another program is executed. They stay usable here, also as `/dev/fd/N`.
///
/// Call it before the process has threads: a number is free for a moment. Where the system does not let a process copy a descriptor by its number (Linux before
/// 5.6, a filter of system calls without `pidfd_getfd`) the inherited ones are closed at once.
///
/// # Errors
/// The descriptors cannot be listed (no /proc): they may reach others.
pub fn keep_from_children() -> io::Result<()> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).ok();
    for number in open_numbers()?.into_iter().filter(|number| *number >= FIRST_OF_OTHERS) {
        if is_closed_by_exec(number) {
            continue;
        }
        let copy = this.as_ref().and_then(|this| pidfd_getfd(this, number, PidfdGetfdFlags::empty()).ok());
        // Closed by its number: nothing in this process owns it.
        nix::unistd::close(number)?;
        if let Some(copy) = copy {
            put_back(&copy, number)?;
        }
    }
    Ok(())
}

/// Returns the numbers of the open descriptors.
///
/// # Errors
/// There is no /proc.
pub(crate) fn open_numbers() -> io::Result<Vec<i32>> {
    // Collected first: the listing has a descriptor itself, which is gone by then.
    let numbers = fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.collect())
}

/// Returns whether a descriptor is closed by exec; also if there is none, as that of the listing.
fn is_closed_by_exec(number: i32) -> bool {
    let Ok(facts) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
        return true;
    };
    let flags = facts.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & CLOSED_BY_EXEC != 0)
}

/// Makes a copy of a descriptor the one of this number, which is free, for as long as the process lives.
fn put_back(copy: &OwnedFd, number: i32) -> io::Result<()> {
    let placed = fcntl_dupfd_cloexec(copy, number)?;
    // Nobody here owns it; whoever was told its number opens it by that.
    let _number = placed.into_raw_fd();
    Ok(())
}
