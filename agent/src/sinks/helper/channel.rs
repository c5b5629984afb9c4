//! Messages over the socket between the agent and a helper: a bounded header, and the contents that it announces.
//!
//! ```text
//! 4 octets, big-endian: length of the header | header, JSON | contents, one after the other
//! ```
//!
//! Secrets are in contents only: they go from the set to the kernel and from it into memory that is wiped, and never through a serialiser's buffer.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The longest header: the names of a set with the bundles and lists of 1,000 partners, each name as long as one may be, are half of it.
const LONGEST_HEADER: usize = 1 << 20;

/// The longest content of one file: revocation lists are the largest, and the server refuses a partner's list over 16 MiB.
const LONGEST_CONTENT: u32 = 32 << 20;

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// When an exchange must be over, since boot; without one it may take for ever.
    deadline: Option<Duration>,
}

impl Channel {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self { stream, deadline: None }
    }

    /// Bounds all that follows until this is called again.
    pub(super) fn end_within(&mut self, bound: Duration) {
        self.deadline = Some(since_boot() + bound);
    }

    /// Sends a header, and the contents that it announces.
    pub(super) fn send<'a>(&mut self, header: &impl Serialize, contents: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
        let header = serde_json::to_vec(header)?;
        let length = u32::try_from(header.len()).map_err(|_| too_long())?;
        if header.len() > LONGEST_HEADER {
            return Err(too_long());
        }
        self.write(&length.to_be_bytes())?;
        self.write(&header)?;
        contents.into_iter().try_for_each(|content| self.write(content))
    }

    /// Receives a header; `None` when the other side has ended before it began one.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut length = [0; 4];
        match self.read(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| too_long())?;
        if length > LONGEST_HEADER {
            return Err(too_long());
        }
        let mut header = vec![0; length];
        self.read(&mut header)?;
        Ok(Some(serde_json::from_slice(&header)?))
    }

    /// Receives a content of an announced length, into memory of just that size.
    pub(super) fn content(&mut self, length: u32) -> io::Result<Zeroizing<Vec<u8>>> {
        if length > LONGEST_CONTENT {
            return Err(too_long());
        }
        let mut content = Zeroizing::new(vec![0; usize::try_from(length).map_err(|_| too_long())?]);
        self.read(&mut content)?;
        Ok(content)
    }

    /// Ends both directions: the other side sees the end.
    pub(super) fn end(&self) {
        // An end that is gone has seen it.
        let _gone = self.stream.shutdown(Shutdown::Both);
    }

    fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let left = self.left()?;
            self.stream.set_write_timeout(left)?;
            match self.stream.write(octets) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => octets = octets.get(written..).unwrap_or_default(),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            let left = self.left()?;
            self.stream.set_read_timeout(left)?;
            match self.stream.read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => into = into.get_mut(read..).unwrap_or_default(),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns what is left of the bound: more than nothing, since nothing means no bound to the system.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_sub(since_boot()).filter(|left| !left.is_zero()) {
            Some(left) => Ok(Some(left)),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A wait that ended early is looked at again: only the bound ends it.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message is longer than one may be")
}

fn since_boot() -> Duration {
    // The clock's contract: neither part is negative, and it never goes back.
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    #[test]
    fn a_header_and_its_contents_cross_whole_and_an_end_is_seen() {
        let (mut one, mut other) = pair();
        let large = vec![7; 1 << 20];
        let sender = std::thread::spawn(move || one.send(&("head", 1 << 20), [large.as_slice(), b"tail"]).unwrap());
        assert_eq!(other.receive::<(String, u32)>().unwrap(), Some(("head".to_owned(), 1 << 20)));
        assert_eq!(*other.content(1 << 20).unwrap(), vec![7; 1 << 20]);
        assert_eq!(&**other.content(4).unwrap(), b"tail");
        sender.join().unwrap();
        assert_eq!(other.receive::<String>().unwrap(), None);
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused_before_there_is_memory_for_them() {
        let (one, mut other) = pair();
        (&one.stream).write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(other.receive::<String>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(other.content(u32::MAX).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn one_that_says_nothing_and_one_that_takes_nothing_are_waited_for_within_the_bound() {
        let (mut one, _silent) = pair();
        one.end_within(Duration::from_millis(50));
        assert_eq!(one.receive::<String>().unwrap_err().kind(), io::ErrorKind::TimedOut);
        one.end_within(Duration::from_millis(50));
        let more_than_a_socket_holds = vec![0; 8 << 20];
        let sent = one.send(&(), [more_than_a_socket_holds.as_slice()]);
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
