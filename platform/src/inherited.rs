//! Descriptors that this process was started with: they are for it, and not for what it starts.
//!
//! Whatever Troth opens itself is closed when another program is executed. What a shell, a container runtime or an older service manager left open is not: it would
//! reach every reload command, with whatever it opens.

use std::fs;
use std::io;
use std::os::fd::{IntoRawFd as _, OwnedFd};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
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
    for (number, copy) in copies()? {
        // Closed by its number: nothing in this process owns it.
        nix::unistd::close(number)?;
        if let Some(copy) = copy {
            // Nobody here owns it; whoever was told its number opens it by that.
            let _number = fcntl_dupfd_cloexec(copy, number)?.into_raw_fd();
        }
    }
    Ok(())
}

/// The descriptors that this process was started with, under their numbers. Whoever is started has them only where they are lent.
#[derive(Debug, Default)]
pub struct Inherited(Vec<OwnedFd>);

impl Inherited {
    /// Takes them. Call it before the process has threads: a number is free for a moment. Where the system does not let a process copy a descriptor by its
    /// number, the others stay as they are, and reach whoever is started.
    ///
    /// # Errors
    /// The descriptors cannot be listed (no /proc), or there are too many.
    pub fn take() -> io::Result<Self> {
        let mut taken = Vec::new();
        for (number, copy) in copies()? {
            if let Some(copy) = copy {
                nix::unistd::close(number)?;
                taken.push(fcntl_dupfd_cloexec(copy, number)?);
            }
        }
        Ok(Self(taken))
    }

    /// Lets the process have them that `start` starts, and everybody whom another thread starts meanwhile.
    pub fn lend<T>(&self, start: impl FnOnce() -> T) -> T {
        self.set(FdFlags::empty());
        let started = start();
        self.set(FdFlags::CLOEXEC);
        started
    }

    fn set(&self, flags: FdFlags) {
        for descriptor in &self.0 {
            // It is open, so the system has no reason to refuse.
            let _set = fcntl_setfd(descriptor, flags);
        }
    }
}

/// Returns the numbers of the inherited descriptors that exec does not close, each with a copy, if the system makes one.
fn copies() -> io::Result<Vec<(i32, Option<OwnedFd>)>> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).ok();
    let inherited = open_numbers()?
        .into_iter()
        .filter(|number| *number >= FIRST_OF_OTHERS && !is_closed_by_exec(*number));
    let copy = |number| this.as_ref().and_then(|this| pidfd_getfd(this, number, PidfdGetfdFlags::empty()).ok());
    Ok(inherited.map(|number| (number, copy(number))).collect())
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
