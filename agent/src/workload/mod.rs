//! Who is calling: what the kernel proves about the process at the other end of a Unix socket, or one that is named by its number.
//!
//! - The kernel's word first: uid and gid are those of `SO_PEERCRED`, the process is the one of `SO_PEERPIDFD`. Nothing is asked of the caller.
//! - The rest is read from `/proc`, between two looks that must agree: one when the connection is accepted, one after the last read. The
//!   process lives, its start time, its executable (device and inode) and its uids are the same. Any difference refuses the call as one to repeat;
//!   it never yields fewer selectors, which would look like an identity withdrawn.
//! - What could not be read is *unknown*, with the reason: no match for an entry that asks for it, no error for one that does not.
//! - What costs (opening and hashing a file, asking the name service) is read only for an entry that asks, away from the runtime, with a deadline.
//!
//! Not proved: that nobody else uses the process. Whoever may run a binary has its path and hash, whoever may debug a process is that process.
//! So an entry should name a uid, and a path or hash on top of it. For a script, path and hash are those of its interpreter.

mod attestor;
mod caller;
mod executable;
mod file_hash;
mod id_map;
mod names;
mod proc_status;
mod process;
mod rights;
mod shares;

pub use attestor::{AttestError, Attested, Attestor};
pub use caller::Caller;
pub use platform::exit::Exit;
pub(crate) use rights::may_become_others;
pub use rights::{Rights, unprovable};
pub use shares::{Share, Shares, UidShares};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
