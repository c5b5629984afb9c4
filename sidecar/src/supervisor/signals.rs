//! The signals that are passed on.

use std::io;
use std::str::FromStr;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How many signals may wait to be passed on: the kernel itself keeps one of each kind.
const WAITING: usize = 64;

/// The last of the signals with a name (signal(7)). Those behind it, the real-time signals, carry a meaning between programs that agreed on one, and queue:
/// one that stands between cannot pass them on as they came.
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

/// A signal by its name, with SIG before it or without, or by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalName(Signal);

/// The text names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{presented:?} names no signal that a program can act on, as HUP, USR1 or a number do")]
pub struct ParseSignalError {
    presented: String,
}

impl SignalName {
    /// Returns its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0 as i32
    }
}

impl FromStr for SignalName {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseSignalError { presented: text.to_owned() };
        let signal = if let Ok(number) = text.parse::<i32>() {
            Signal::try_from(number)
        } else {
            let name = text.to_uppercase();
            let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
            name.parse::<Signal>()
        };
        match signal {
            Ok(signal) if !UNHEARD.contains(&signal) => Ok(Self(signal)),
            _ => Err(refused()),
        }
    }
}

/// Begins to take every signal that can be passed on, but for those that this process was told to ignore, as `nohup` does: the program inherits that.
pub(super) fn listen() -> io::Result<mpsc::Receiver<i32>> {
    let ignored = ignored();
    let (sender, receiver) = mpsc::channel(WAITING);
    for number in (1..=LAST).filter(|number| is_forwarded(*number) && ignored & (1 << (number - 1)) == 0) {
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

fn is_forwarded(number: i32) -> bool {
    !NOT_FORWARDED.iter().any(|signal| *signal as i32 == number)
}

/// Returns the mask of ignored signals of this process, from /proc; without it none is.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Returns whether it asks a program to end.
pub(super) fn ends(number: i32) -> bool {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT].iter().any(|signal| *signal as i32 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_shells_name_them() {
        for (text, number) in [("HUP", 1), ("SIGHUP", 1), ("usr1", 10), ("15", 15), ("31", 31)] {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), number);
        }
        for text in ["", "HUPP", "0", "34", "-1", "KILL", "9", "SIGSTOP"] {
            assert!(text.parse::<SignalName>().is_err(), "{text:?}");
        }
    }
}
