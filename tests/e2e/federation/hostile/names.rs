//! The names of the test's network: a DNS server that can change its mind from one question to the next.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::network::mount_over;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 53);

/// The type of questions for IPv4 addresses (RFC 1035 section 3.2.2).
const A: [u8; 2] = [0, 1];

/// Where the header of a message ends (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

type Answers = Arc<Mutex<HashMap<String, Vec<Ipv4Addr>>>>;

/// The names.
pub(super) struct Names(Answers);

impl Names {
    /// Serves names to this test and what it starts from now on.
    pub(super) fn serve(folder: &Path) -> Self {
        let answers = Answers::default();
        let socket = UdpSocket::bind((SERVER, 53)).expect("port 53 of the test's network");
        let served = Arc::clone(&answers);
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                if let Some(answer) = answer(&question[..length], &served) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        let resolver = folder.join("resolv.conf");
        std::fs::write(&resolver, format!("nameserver {SERVER}\n")).expect("a file");
        mount_over(&resolver, "/etc/resolv.conf");
        Self(answers)
    }

    /// Gives a name its addresses: the first to who asks first, and so on; the last from then on.
    pub(super) fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.0.lock().expect("the names").insert(name.to_owned(), addresses.to_vec());
    }
}

/// Answers one question; those for other types of records have no records.
fn answer(question: &[u8], answers: &Answers) -> Option<Vec<u8>> {
    let (name, end) = name(question)?;
    let is_address = question.get(end..end + 2)? == A;
    let mut known = answers.lock().expect("the names");
    let found = known.get_mut(&name);
    let code = if found.is_some() { 0 } else { 3 };
    let address = found.filter(|_| is_address).map(|left| if left.len() > 1 { left.remove(0) } else { left[0] });
    let mut message = question[..2].to_vec();
    message.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    message.extend(&question[HEADER..end + 4]);
    if let Some(address) = address {
        // The name of the question; type A, class IN, kept by nobody, four octets.
        message.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        message.extend(address.octets());
    }
    Some(message)
}

/// Reads the name of a question, and where it ends.
fn name(question: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
}
