//! Asking a person for a passphrase at the terminal, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::key_source::KeySourceError;
use super::passphrase::{LONGEST_PASSPHRASE, Passphrase};

/// Keys that mean something else than themselves.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Asks once, for a passphrase that was chosen before.
pub(super) fn ask(question: &str) -> Result<Passphrase, KeySourceError> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| KeySourceError::NoTerminal)?;
    let typed = ask_at(&mut terminal, question)?;
    Passphrase::new(&typed)
}

/// Asks twice, for a new passphrase: a typing mistake would close the store for good.
pub(super) fn ask_new() -> Result<Passphrase, KeySourceError> {
    let first = ask("new passphrase: ")?;
    match ask("once more: ")? == first {
        true => Ok(first),
        false => Err(KeySourceError::PassphrasesDiffer),
    }
}

fn ask_at(terminal: &mut File, question: &str) -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
    let silent = Silence::begin(terminal.try_clone()?)?;
    terminal.write_all(question.as_bytes())?;
    let typed = read_line(terminal);
    drop(silent);
    terminal.write_all(b"\n")?;
    typed
}

/// Reads keys up to the end of the line. The terminal hands them over one by one and makes no signals of them, so that its state is always put back.
fn read_line(keys: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, KeySourceError> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_PASSPHRASE + 1));
    let mut key = [0];
    loop {
        if keys.read(&mut key)? == 0 {
            return Err(KeySourceError::PromptCancelled);
        }
        let [key] = key;
        match key {
            b'\r' | b'\n' => return Ok(line),
            CTRL_C | CTRL_D => return Err(KeySourceError::PromptCancelled),
            BACKSPACE | DELETE => {
                // A character of several octets goes as one.
                while line.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {}
            }
            CTRL_U => line.clear(),
            octet if line.len() <= LONGEST_PASSPHRASE => line.push(octet),
            _ => {}
        }
    }
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn begin(terminal: File) -> Result<Self, KeySourceError> {
        let before = tcgetattr(&terminal).map_err(|_| KeySourceError::NoTerminal)?;
        let mut silent = before.clone();
        silent.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|_| KeySourceError::NoTerminal)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing better is left to do when the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line_and_editing_works() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"secret\r", b"secret"),
            (b"secreT\x7ft\n", b"secret"),
            (b"wrong\x15secret\n", b"secret"),
            ("sé\u{7f}ecret\n".as_bytes(), b"secret"),
            (b"\x08\x08secret\n", b"secret"),
        ];
        for (mut keys, expected) in cases {
            assert_eq!(&**read_line(&mut keys).unwrap(), expected);
        }
    }

    #[test]
    fn an_interrupt_or_the_end_of_input_cancels() {
        for mut keys in [&b"sec\x03ret\n"[..], b"sec\x04", b"sec"] {
            assert!(matches!(read_line(&mut keys), Err(KeySourceError::PromptCancelled)));
        }
    }

    #[test]
    fn what_never_ends_takes_no_more_memory_than_a_passphrase() {
        let mut keys = vec![b'x'; 1 << 20];
        keys.push(b'\n');
        assert_eq!(read_line(&mut keys.as_slice()).unwrap().len(), LONGEST_PASSPHRASE + 1);
    }
}
