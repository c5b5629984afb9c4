//! A program without TLS: it answers each line with the same line, and what the proxy told it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

/// Starts a program that says each line again. Behind a proxy that tells who the peer is, it adds that.
pub(super) fn echo(is_told: bool) -> SocketAddr {
    serve(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let told = if is_told { Told::read(&mut reader)? } else { Told::default() };
        let mut writer = stream;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 0 {
            let answer = if is_told {
                format!("{} {} {}\n", line.trim_end(), told.spiffe_id, told.serial)
            } else {
                line.clone()
            };
            writer.write_all(answer.as_bytes()).ok()?;
            line.clear();
        }
        Some(())
    })
}

/// Starts a program that reads to the end before it answers with all it read.
pub(super) fn answers_at_the_end() -> SocketAddr {
    serve(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).ok()?;
        stream.write_all(&all).ok()
    })
}

/// Starts a program that says each line again, and tells whether its connection was cut off, rather than ended.
pub(super) fn tells_its_end() -> (SocketAddr, mpsc::Receiver<bool>) {
    let (sender, ends) = mpsc::channel();
    let address = serve(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut writer = stream;
        let mut line = String::new();
        let was_cut_off = loop {
            match reader.read_line(&mut line) {
                Ok(0) => break false,
                Ok(_) => writer.write_all(line.as_bytes()).ok()?,
                Err(_) => break true,
            }
            line.clear();
        };
        sender.send(was_cut_off).ok()
    });
    (address, ends)
}

fn serve(answer: impl Fn(TcpStream) -> Option<()> + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// What the header of the PROXY protocol says, read apart from the code that writes it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) source: String,
    pub(super) spiffe_id: String,
    pub(super) serial: String,
    pub(super) tls: Vec<u8>,
}

impl Told {
    pub(super) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed).ok()?;
        assert_eq!(&fixed[..13], b"\r\n\r\n\0\r\nQUIT\n\x21");
        let mut rest = vec![0; usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))];
        stream.read_exact(&mut rest).ok()?;
        let addresses = match fixed[13] {
            0x00 => 0,
            0x11 => 12,
            family => panic!("the family {family:#x}"),
        };
        let mut told = Self::default();
        if addresses > 0 {
            told.source = format!("{}.{}.{}.{}:{}", rest[0], rest[1], rest[2], rest[3], u16::from_be_bytes([rest[8], rest[9]]));
        }
        let mut tlvs = &rest[addresses..];
        while let [kind, high, low, after @ ..] = tlvs {
            let (value, next) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            let text = || String::from_utf8(value.to_vec()).expect("a text");
            match kind {
                0x20 => told.tls = value.to_vec(),
                0xe0 => told.spiffe_id = text(),
                0xe1 => told.serial = text(),
                other => panic!("the type {other:#x}"),
            }
            tlvs = next;
        }
        Some(told)
    }
}
