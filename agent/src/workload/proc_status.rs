//! Reads the two text files of `/proc/PID` that say what a process is: `stat` and `status`.

use std::str::FromStr;

/// When a process started, in clock ticks since boot: tells it from another with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StartTime(u64);

/// The user and group ids of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Real, effective, saved and file system uid.
    pub(super) uids: [u32; 4],
    /// Real, effective, saved and file system gid.
    pub(super) gids: [u32; 4],
    /// Supplementary gids.
    pub(super) groups: Vec<u32>,
}

impl Credentials {
    /// Returns the uid that the process acts with.
    pub(super) fn effective_uid(&self) -> u32 {
        let [_real, effective, _saved, _file_system] = self.uids;
        effective
    }

    /// Returns the gid that the process acts with.
    pub(super) fn effective_gid(&self) -> u32 {
        let [_real, effective, _saved, _file_system] = self.gids;
        effective
    }
}

/// Returns the start time in the text of `/proc/PID/stat`.
///
/// It is the 22nd field. The second one, the name of the program, is chosen by the process: it may hold spaces and parentheses, so
/// fields are counted from the last `)`.
pub(super) fn parse_start_time(stat: &[u8]) -> Option<StartTime> {
    const FIELDS_BETWEEN_NAME_AND_START_TIME: usize = 19;
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    fields
        .split_ascii_whitespace()
        .nth(FIELDS_BETWEEN_NAME_AND_START_TIME)?
        .parse()
        .ok()
        .map(StartTime)
}

/// Returns the ids in the text of `/proc/PID/status`.
///
/// The program's name is in its first line; the kernel escapes line ends in it, so no name can pose as another line.
pub(super) fn parse_credentials(status: &[u8]) -> Option<Credentials> {
    let (mut uids, mut gids, mut groups) = (None, None, None);
    for line in status.split(|&byte| byte == b'\n') {
        if let Some(ids) = line.strip_prefix(b"Uid:") {
            uids = Some(four(ids)?);
        } else if let Some(ids) = line.strip_prefix(b"Gid:") {
            gids = Some(four(ids)?);
        } else if let Some(ids) = line.strip_prefix(b"Groups:") {
            groups = Some(numbers(ids)?);
        }
    }
    Some(Credentials {
        uids: uids?,
        gids: gids?,
        groups: groups?,
    })
}

/// Returns the effective capabilities in the text of `/proc/PID/status`.
pub(super) fn parse_effective_capabilities(status: &[u8]) -> Option<u64> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"CapEff:"))?;
    u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
}

fn four(text: &[u8]) -> Option<[u32; 4]> {
    numbers(text)?.try_into().ok()
}

fn numbers<N: FromStr>(text: &[u8]) -> Option<Vec<N>> {
    std::str::from_utf8(text)
        .ok()?
        .split_ascii_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &[u8] =
        b"Name:\tsleep\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nFDSize:\t64\nGroups:\t4 24 100 \nCapEff:\t000001ffffffffff\n";

    #[test]
    fn ids_are_read_in_the_order_of_the_kernel() {
        let ids = parse_credentials(STATUS).unwrap();
        assert_eq!((ids.effective_uid(), ids.effective_gid()), (1001, 101));
        assert_eq!(ids.groups, [4, 24, 100]);
        assert_eq!(parse_effective_capabilities(STATUS), Some(0x1ff_ffff_ffff));
    }

    #[test]
    fn a_status_without_all_of_its_lines_is_refused() {
        for (name, text) in [
            ("empty", &b""[..]),
            ("no groups", b"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"),
            ("three uids", b"Uid:\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n"),
            ("negative", b"Uid:\t0\t-1\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n"),
            ("not a number", b"Uid:\t0\tx\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n"),
        ] {
            assert_eq!(parse_credentials(text), None, "{name}");
        }
    }

    #[test]
    fn the_own_start_time_is_read_from_the_real_file() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        assert!(parse_start_time(&stat).is_some_and(|StartTime(ticks)| ticks > 0));
    }

    proptest! {
        #[test]
        fn no_program_name_moves_the_start_time(name in "[ -~]{0,15}", start: u64) {
            let stat = format!("42 ({name}) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {start} 5 6 7 8");
            prop_assert_eq!(parse_start_time(stat.as_bytes()), Some(StartTime(start)));
        }

        #[test]
        fn no_octets_make_the_parsers_panic(octets: Vec<u8>) {
            let _ = (parse_start_time(&octets), parse_credentials(&octets), parse_effective_capabilities(&octets));
        }
    }
}
