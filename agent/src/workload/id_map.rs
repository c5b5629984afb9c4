//! Which ids the agent can tell apart: in a user namespace that maps only some, all others look like one.

use std::io;

/// The id that stands for every one that the agent's user namespace does not map; absent where it maps all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StandIn(Option<u32>);

/// The uid and the gid that stand for others.
#[derive(Debug, Clone, Copy)]
pub(super) struct StandIns {
    pub(super) uid: StandIn,
    pub(super) gid: StandIn,
}

impl StandIns {
    /// Reads those of the agent.
    pub(super) fn of_agent() -> io::Result<Self> {
        let read = |map: &str, overflow: &str| Ok::<_, io::Error>(StandIn::parse(&std::fs::read_to_string(map)?, &std::fs::read_to_string(overflow)?));
        Ok(Self {
            uid: read("/proc/self/uid_map", "/proc/sys/kernel/overflowuid")?,
            gid: read("/proc/self/gid_map", "/proc/sys/kernel/overflowgid")?,
        })
    }
}

impl StandIn {
    /// Returns whether the id may be any of those that the agent cannot tell apart.
    pub(super) fn is(self, id: u32) -> bool {
        self.0 == Some(id)
    }

    fn parse(map: &str, overflow: &str) -> Self {
        const ALL_IDS: u64 = u32::MAX as u64;
        let mapped: u64 = map.lines().filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok()).sum();
        Self(if mapped >= ALL_IDS {
            None
        } else {
            Some(overflow.trim().parse().unwrap_or(65_534))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stands_for_others_only_where_some_ids_are_not_mapped() {
        for (name, map, stands_in) in [
            ("the first namespace", "         0          0 4294967295\n", false),
            ("one user", "         0       1000          1\n", true),
            ("a rootless container", "0 1000 1\n1 100000 65536\n", true),
        ] {
            assert_eq!(StandIn::parse(map, "65534\n").is(65_534), stands_in, "{name}");
        }
        assert!(!StandIn::parse("0 1000 1", "65534").is(0));
    }
}
