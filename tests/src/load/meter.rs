//! Reading what processes cost from `/proc`, and the yardstick: one raw signature.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::process::Process;

/// The unit of times in `/proc/PID/stat`: Linux shows a hundredth of a second to programs, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);

/// The octets that the yardstick signs: about what a certificate's signature covers.
const MESSAGE: usize = 600;

/// Signatures of one reading: about a third of a second.
const SIGNATURES: u32 = 20_000;

/// Returns the CPU time, user and system, that a process has used.
///
/// # Panics
///
/// When it is gone.
pub(super) fn cpu_of(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).expect("a running process");
    // The name, in parentheses, may hold spaces: the fields are counted behind it. utime and stime are fields 14 and 15, the state is field 3.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u32>().expect("a number"))
        .sum();
    TICK * ticks
}

/// Memory of a process, in MB of a million bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resident {
    /// All that is in memory: what people see in `ps`.
    pub(super) all: f64,
    /// What is its own: without the pages of the program file and its libraries, which every process of the same program shares.
    pub(super) own: f64,
}

/// Returns the resident memory of a process.
///
/// # Panics
///
/// When it is gone.
pub(super) fn resident_mb(process: &Process) -> Resident {
    resident_of(process.pid())
}

/// Returns the resident memory of the process with this number.
///
/// # Panics
///
/// When it is gone.
pub(super) fn resident_of(pid: i32) -> Resident {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let mb = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line for it");
        let kib: u32 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number");
        f64::from(kib) * 1_024.0 / 1e6
    };
    Resident {
        all: mb("VmRSS:"),
        own: mb("RssAnon:"),
    }
}

/// Returns the CPU time of one aws-lc-rs ECDSA signature (P-256, SHA-256) over 600 octets on one thread, in microseconds.
///
/// # Panics
///
/// When the library fails.
pub(super) fn raw_signature_us() -> f64 {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let (random, message) = (SystemRandom::new(), [7_u8; MESSAGE]);
    let before = thread_cpu();
    for _ in 0..SIGNATURES {
        black_box(pair.sign(&random, black_box(&message)).expect("a signature"));
    }
    micros(thread_cpu() - before) / f64::from(SIGNATURES)
}

fn thread_cpu() -> Duration {
    let spec = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(spec.tv_sec).expect("not negative"),
        u32::try_from(spec.tv_nsec).expect("under a second"),
    )
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Times of the same thing, sorted.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// Returns the smallest time that this many of a hundred are not above.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0[rank - 1]
    }
}

/// What the figures were measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor.
    pub processor: String,
    /// Threads that run at once.
    pub cores: usize,
    /// Memory, in GB.
    pub memory_gb: f64,
    /// The Linux version.
    pub kernel: String,
    /// Processes that were running or waiting in the minute before.
    pub load_before: String,
}

impl Machine {
    /// Describes this machine.
    #[must_use]
    pub(super) fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: f64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: (kib * 1_024.0 / 1e9).round(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores of {}, {} GB, Linux {}, load average before {}",
            self.cores, self.processor, self.memory_gb, self.kernel, self.load_before
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times = Times::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!([50, 99, 100].map(|percent| times.percentile(percent).as_millis()), [100, 198, 200]);
        assert_eq!(Times::of(vec![TICK]).percentile(50), TICK);
    }
}
