//! What a command says, for the log.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{ChildStderr, ChildStdout};

/// The most octets of each stream that go to the log. The rest is read, so that the command is not held up, and dropped.
const MOST: usize = 16 * 1024;

/// The longest line in the log; a longer one goes on in the next.
const LONGEST_LINE: usize = 1_024;

/// The most lines of each stream.
const MOST_LINES: usize = 100;

/// Logs both streams until they end.
pub(super) async fn log(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, program: &str) {
    tokio::join!(log_stream(stdout, program), log_stream(stderr, program));
}

async fn log_stream(stream: Option<impl AsyncRead + Unpin>, program: &str) {
    let Some(stream) = stream else { return };
    read_lines(stream, |line| tracing::info!(program, line, "a reload command said")).await;
}

/// Reads a stream to its end, and tells the first of its lines, printable; then whether there was more.
async fn read_lines(mut stream: impl AsyncRead + Unpin, mut tell: impl FnMut(&str)) {
    let (mut buffer, mut line) = (vec![0_u8; 8 * 1024], Vec::new());
    let (mut octets, mut lines, mut more) = (0, 0, false);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        for &octet in buffer.iter().take(count) {
            if octets == MOST || lines == MOST_LINES {
                more = true;
                break;
            }
            octets += 1;
            if octet != b'\n' {
                line.push(octet);
            }
            if octet == b'\n' || line.len() == LONGEST_LINE {
                tell(&printable(&line));
                line.clear();
                lines += 1;
            }
        }
    }
    if !line.is_empty() {
        tell(&printable(&line));
    }
    if more {
        tell("(more was said than is logged)");
    }
}

/// Escapes what is no text of one line: no command writes lines of its own into the log, or colours a terminal.
fn printable(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for character in String::from_utf8_lossy(line).chars() {
        if character == '\t' || !needs_escape(character) {
            text.push(character);
        } else {
            text.extend(character.escape_unicode());
        }
    }
    text
}

/// Control characters, and those that turn the direction of what follows or break lines (Unicode Cf and Zl/Zp of that kind).
fn needs_escape(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(said: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        read_lines(said, |line| told.push(line.to_owned())).await;
        told
    }

    #[tokio::test]
    async fn lines_are_told_one_by_one_and_what_is_no_text_is_escaped() {
        assert_eq!(lines(b"one\n\ntwo\r\nthree").await, ["one", "", "two\\u{d}", "three"]);
        assert_eq!(
            lines("\u{1b}[31mred\u{2028}x\u{202e}\t\u{fc}".as_bytes()).await,
            ["\\u{1b}[31mred\\u{2028}x\\u{202e}\t\u{fc}"]
        );
        assert_eq!(lines(b"\xff\0").await, ["\u{fffd}\\u{0}"]);
    }

    #[tokio::test]
    async fn output_is_bounded_in_lines_and_in_octets_and_it_says_so() {
        let told = lines(&b"x\n".repeat(MOST)).await;
        assert_eq!(
            (told.len(), told.last().map(String::as_str)),
            (MOST_LINES + 1, Some("(more was said than is logged)"))
        );
        let told = lines(&b"x".repeat(100 * MOST)).await;
        assert_eq!(told.len(), MOST / LONGEST_LINE + 1);
        assert!(told.iter().all(|line| line.len() <= LONGEST_LINE));
    }
}
