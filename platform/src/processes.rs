//! The processes of this machine, by their numbers. What is read about a number counts only while its process is held.

use std::fs;
use std::io;

/// Returns the numbers of the processes that `/proc` shows.
///
/// # Errors
/// There is no `/proc`.
pub fn numbers() -> io::Result<impl Iterator<Item = i32>> {
    Ok(fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Returns the parent of a process: the second field after its name, which is in brackets and may hold some itself (proc_pid_stat(5)). Nothing when it has ended.
#[must_use]
pub fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|octet| *octet == b')')?.checked_add(1)?;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_read() {
        let this = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent(this), rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()));
        assert_eq!(parent(-1), None);
        assert!(numbers().unwrap().any(|pid| pid == this));
    }
}
