//! Clients built on gRPC's C core (Python, C++, Ruby) name a Unix socket in `:authority` as its percent-encoded path: `tmp%2Fworkload.sock`.
//! RFC 3986 allows no `%2F` there outside of a registered name, and the HTTP library refuses the whole call as malformed. Nobody here looks at the authority, so
//! its odd octets are replaced, one for one, before the library sees them.
//!
//! The length stays, so the sizes in the compression table (RFC 7541) stay right. A value in Huffman code is left alone: the C core sends none.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The length of what a client sends first (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// The length of a frame's header (RFC 9113 section 4.1).
const FRAME_HEADER: usize = 9;

/// The longest frame that is looked into: the largest that a server accepts unless it says otherwise.
const LONGEST_FRAME: usize = 16 * 1024;

/// The type of a frame that opens a call (RFC 9113 section 6.2), and its flags.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

/// The octets read from a socket at once.
const READ: usize = 8 * 1024;

/// A connection whose calls have an authority that the HTTP library accepts.
pub(super) struct PlainAuthority<S> {
    inner: S,
    mender: Mender,
    mended: BytesMut,
}

impl<S> PlainAuthority<S> {
    /// Wraps the server's end of a connection.
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            mender: Mender::default(),
            mended: BytesMut::new(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainAuthority<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.mended.is_empty() {
            let mut space = [0; READ];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                // The end: a frame that was cut is passed on as it is.
                this.mended.extend_from_slice(&std::mem::take(&mut this.mender.held));
                break;
            }
            this.mender.feed(read.filled(), &mut this.mended);
        }
        let length = this.mended.len().min(into.remaining());
        into.put_slice(this.mended.get(..length).unwrap_or_default());
        this.mended.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PlainAuthority<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, octets)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Follows the frames of a client, and holds one back only while it opens a call and is not whole.
struct Mender {
    held: Vec<u8>,
    next: Next,
}

/// What the next octets are.
enum Next {
    /// A frame's header.
    Head,
    /// The rest of a frame that opens a call.
    Fields { left: usize },
    /// Something that is passed on as it is.
    Other { left: usize },
}

impl Default for Mender {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            next: Next::Other { left: PREFACE },
        }
    }
}

impl Mender {
    fn feed(&mut self, mut octets: &[u8], out: &mut BytesMut) {
        while !octets.is_empty() {
            let wanted = match self.next {
                Next::Head => FRAME_HEADER.saturating_sub(self.held.len()),
                Next::Fields { left } | Next::Other { left } => left,
            };
            let (now, later) = octets.split_at(wanted.min(octets.len()));
            octets = later;
            self.take(now, out);
        }
    }

    fn take(&mut self, octets: &[u8], out: &mut BytesMut) {
        match &mut self.next {
            Next::Head => {
                self.held.extend_from_slice(octets);
                if self.held.len() == FRAME_HEADER {
                    self.begin(out);
                }
            }
            Next::Fields { left } => {
                *left -= octets.len();
                self.held.extend_from_slice(octets);
                if *left == 0 {
                    mend(&mut self.held);
                    self.pass(out);
                }
            }
            Next::Other { left } => {
                *left -= octets.len();
                out.extend_from_slice(octets);
                if *left == 0 {
                    self.next = Next::Head;
                }
            }
        }
    }

    /// A frame's header is whole.
    fn begin(&mut self, out: &mut BytesMut) {
        let &[high, middle, low, kind, ..] = self.held.as_slice() else { return };
        let left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match (left, kind) {
            (0, _) => self.pass(out),
            (1..=LONGEST_FRAME, HEADERS) => self.next = Next::Fields { left },
            _ => {
                self.pass(out);
                self.next = Next::Other { left };
            }
        }
    }

    fn pass(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.held);
        self.held.clear();
        self.next = Next::Head;
    }
}

/// Mends the authority in a whole HEADERS frame; one that is malformed is left for the HTTP library to refuse.
fn mend(frame: &mut [u8]) {
    let Some(&flags) = frame.get(4) else { return };
    let skipped = FRAME_HEADER + usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    let Some(values) = authorities(frame, skipped) else { return };
    for value in values {
        for octet in frame.get_mut(value).into_iter().flatten() {
            if !octet.is_ascii_alphanumeric() && !b".-_:[]".contains(octet) {
                *octet = b'-';
            }
        }
    }
}

/// Returns where plain values of `:authority` are in a block of fields (RFC 7541 section 6).
fn authorities(frame: &[u8], start: usize) -> Option<Vec<Range<usize>>> {
    /// `:authority` in the static table (RFC 7541 appendix A).
    const STATIC_INDEX: usize = 1;
    let mut found = Vec::new();
    let mut block = Block { octets: frame, at: start };
    while let Some(&first) = frame.get(block.at) {
        if first & 0x80 != 0 {
            block.integer(7)?;
        } else if first & 0xe0 == 0x20 {
            block.integer(5)?;
        } else {
            let index = block.integer(if first & 0x40 == 0 { 4 } else { 6 })?;
            let is_authority = match index {
                0 => block.text()?.is_some_and(|name| frame.get(name).is_some_and(|name| name == b":authority")),
                index => index == STATIC_INDEX,
            };
            found.extend(block.text()?.filter(|_| is_authority));
        }
    }
    Some(found)
}

/// A place in a block of fields.
struct Block<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Block<'_> {
    /// Reads an integer with a prefix of so many bits (RFC 7541 section 5.1); none here is over 28 bits long.
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        let mask = (1_usize << prefix) - 1;
        let mut value = usize::from(self.octet()?) & mask;
        if value < mask {
            return Some(value);
        }
        for shift in [0, 7, 14, 21] {
            let octet = usize::from(self.octet()?);
            value += (octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a string (RFC 7541 section 5.2) and returns where it is, nothing when it is in Huffman code.
    fn text(&mut self) -> Option<Option<Range<usize>>> {
        let is_huffman = self.octets.get(self.at)? & 0x80 != 0;
        let length = self.integer(7)?;
        let range = self.at..self.at.checked_add(length).filter(|end| *end <= self.octets.len())?;
        self.at = range.end;
        Some((!is_huffman).then_some(range))
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = *self.octets.get(self.at)?;
        self.at += 1;
        Some(octet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Preface, SETTINGS, and a HEADERS frame with `:method`, this authority, and a field after it.
    fn sent(authority: &[u8]) -> Vec<u8> {
        let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        octets.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        let mut block = vec![0x83, 0x41, u8::try_from(authority.len()).unwrap()];
        block.extend(authority);
        block.extend(b"\x40\x01a\x05%2F%2");
        octets.extend([0, 0, u8::try_from(block.len()).unwrap(), HEADERS, 4, 0, 0, 0, 1]);
        octets.extend(block);
        octets.extend([0, 0, 3, 0, 1, 0, 0, 0, 1]);
        octets.extend(b"%2F");
        octets
    }

    fn through(octets: &[u8], step: usize) -> Vec<u8> {
        let (mut mender, mut out) = (Mender::default(), BytesMut::new());
        octets.chunks(step).for_each(|chunk| mender.feed(chunk, &mut out));
        out.extend_from_slice(&mender.held);
        out.to_vec()
    }

    #[test]
    fn a_socket_path_becomes_an_authority_and_nothing_else_changes() {
        for step in [1, 2, 7, 64, 4096] {
            assert_eq!(through(&sent(b"tmp%2Fw.sock"), step), sent(b"tmp-2Fw.sock"), "in steps of {step}");
            assert_eq!(through(&sent(b"[::1]:80"), step), sent(b"[::1]:80"));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_keeps_its_length(octets: Vec<u8>, step in 1..50_usize) {
            prop_assert_eq!(through(&octets, step).len(), octets.len());
        }

        #[test]
        fn any_block_of_fields_is_read_without_harm(block in proptest::collection::vec(any::<u8>(), 1..300)) {
            let mut octets = vec![0, u8::try_from(block.len() >> 8).unwrap(), u8::try_from(block.len() & 0xff).unwrap(), HEADERS, 0x2c, 0, 0, 0, 1];
            octets.extend(&block);
            mend(&mut octets);
            prop_assert_eq!(octets.len(), block.len() + FRAME_HEADER);
        }
    }
}
