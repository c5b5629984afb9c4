//! The signals that are passed on.

use std::io;
use std::str::FromStr;

use nix::sys::signal::Signal;
use rustix::process::Signal as RtSignal;
use rustix_libc_wrappers::process::SignalExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many signals may wait to be passed on: the kernel itself keeps one of each kind.
const WAITING: usize = 64;

/// The last of the signals with a name (signal(7)). The two behind it are the C library's own; then come the real-time signals.
const LAST: i32 = 31;

/// Those that no process is sent to act on: what the kernel keeps for itself (KILL, STOP), what tells of this process's own faults (ILL, TRAP, BUS, FPE, SEGV,
/// SYS, ABRT), its own children (CHLD), its own output (PIPE), and the terminal (TTIN, TTOU).
const NOT_FORWARDED: [Signal; 13] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGABRT,
    Signal::SIGCHLD,
    Signal::SIGPIPE,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Those that a program never hears of: they only end or stop it.
const UNHEARD: [Signal; 2] = [Signal::SIGKILL, Signal::SIGSTOP];

/// A signal by its name, with SIG before it or without, by its number, or by its place among the real-time signals, as `RTMIN+1` or `RTMAX-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalName(i32);

/// The text names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} names no signal that a program can act on, as HUP, USR1, RTMIN+1 or a number do")]
pub struct ParseSignalError {
    presented: String,
}

impl SignalName {
    /// Returns its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for SignalName {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = match text.parse::<i32>() {
            Ok(number) => RtSignal::from_raw(number).map(RtSignal::as_raw),
            Err(_) => by_name(&text.to_uppercase()),
        };
        let heard = number.filter(|number| !is_among(&UNHEARD, *number));
        heard.map(Self).ok_or_else(|| ParseSignalError { presented: text.to_owned() })
    }
}

fn by_name(name: &str) -> Option<i32> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let (min, max) = (RtSignal::rt_min().as_raw(), RtSignal::rt_max().as_raw());
    let real_time = if let Some(above) = short.strip_prefix("RTMIN") {
        min.checked_add(distance(above, '+')?)
    } else if let Some(below) = short.strip_prefix("RTMAX") {
        max.checked_sub(distance(below, '-')?)
    } else {
        return format!("SIG{short}").parse::<Signal>().ok().map(|signal| signal as i32);
    };
    real_time.filter(|number| (min..=max).contains(number))
}

/// Reads `+2`, or nothing, which is 0.
fn distance(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Begins to take every signal that can be passed on, but for those that this process was told to ignore, as `nohup` does: the program inherits that.
pub(super) fn listen() -> io::Result<mpsc::Receiver<i32>> {
    let ignored = ignored();
    let (sender, receiver) = mpsc::channel(WAITING);
    let real_time = RtSignal::rt_min().as_raw()..=RtSignal::rt_max().as_raw();
    let forwarded = (1..=LAST).filter(|number| !is_among(&NOT_FORWARDED, *number)).chain(real_time);
    for number in forwarded.filter(|number| ignored & (1 << (number - 1)) == 0) {
        let mut arriving = signal(SignalKind::from_raw(number))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

fn is_among(signals: &[Signal], number: i32) -> bool {
    signals.iter().any(|signal| *signal as i32 == number)
}

/// Returns the mask of ignored signals of this process, from /proc; without it none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Returns whether it asks a program to end.
pub(super) fn ends(number: i32) -> bool {
    is_among(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT], number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_shells_name_them() {
        let (min, max) = (RtSignal::rt_min().as_raw(), RtSignal::rt_max().as_raw());
        let real_time = [
            ("RTMIN", min),
            ("SIGRTMIN+1", min + 1),
            ("rtmin+07", min + 7),
            ("RTMAX", max),
            ("SIGRTMAX-2", max - 2),
            ("64", 64),
        ];
        for (text, number) in [("HUP", 1), ("SIGHUP", 1), ("usr1", 10), ("15", 15), ("31", 31)].into_iter().chain(real_time) {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), number, "{text}");
        }
        let not_real_time = [
            "32",
            "65",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN+-1",
            "RTMIN+99",
            "RTMAX+1",
            "RTMAX-99",
            "RTMIN+99999999999",
            "RT",
            "RTMIN1",
        ];
        for text in ["", "HUPP", "0", "-1", "KILL", "9", "SIGSTOP", "SIGSIGHUP"].into_iter().chain(not_real_time) {
            assert!(text.parse::<SignalName>().is_err(), "{text:?}");
        }
    }
}
