//! Listeners where nothing may ever connect.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// What a hostile partner would have a server connect to: this machine, and what only its link offers.
const PLACES: [&str; 7] = [
    "127.0.0.1:443",
    "127.0.0.1:80",
    "127.0.0.2:443",
    "[::1]:443",
    "[::1]:80",
    "169.254.169.254:443",
    "169.254.169.254:80",
];

/// The listeners.
pub(super) struct Traps(Arc<Mutex<Vec<SocketAddr>>>);

impl Traps {
    pub(super) fn set() -> Self {
        let caught = Arc::new(Mutex::new(Vec::new()));
        for place in PLACES {
            let (listener, caught) = (TcpListener::bind(place).expect(place), Arc::clone(&caught));
            std::thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    let place = stream.local_addr().expect("its address");
                    caught.lock().expect("the list").push(place);
                }
            });
        }
        let traps = Self(caught);
        traps.catch_who_connects();
        traps
    }

    /// A trap that catches nothing proves nothing.
    fn catch_who_connects(&self) {
        for place in PLACES {
            drop(std::net::TcpStream::connect(place).expect(place));
        }
        tests::wait::until("the traps", || (self.0.lock().expect("the list").len() == PLACES.len()).then_some(()));
        self.0.lock().expect("the list").clear();
    }

    /// Returns where somebody connected.
    pub(super) fn caught(&self) -> Vec<SocketAddr> {
        self.0.lock().expect("the list").clone()
    }
}
