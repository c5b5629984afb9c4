//! Sockets that the service manager listens on and hands over: callers wait in them while the process starts, restarts, or is replaced.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use trust_domains::problem::{Code, Coded};

/// The variable that names the sockets, in order, with colons between (sd_listen_fds(3)).
const NAMES: &str = "LISTEN_FDNAMES";

/// A socket that was handed over cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HandedSocketError {
    /// It is something else.
    #[error("what the service manager hands over as {name:?} is no listening Unix socket")]
    NotAUnixListener {
        /// The name that it was given.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody here serves a socket of that name.
    #[error("the service manager hands over a socket named {name:?}; known are {}", .known.join(", "))]
    Unknown {
        /// The name that it was given.
        name: String,
        /// The names that are served.
        known: Vec<&'static str>,
    },
    /// Two have one name.
    #[error("the service manager hands over two sockets named {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
}

impl Coded for HandedSocketError {
    fn code(&self) -> Code {
        Code::SocketUnsafe
    }

    fn hint(&self) -> String {
        match self {
            Self::NotAUnixListener { .. } => "give the socket unit a ListenStream= with an absolute path".to_owned(),
            Self::Unknown { known, .. } => format!("set FileDescriptorName= of the socket unit to one of {}", known.join(", ")),
            Self::Twice { .. } => "give each socket unit one ListenStream= and a FileDescriptorName= of its own".to_owned(),
        }
    }
}

/// The sockets that were handed to this process, by name.
#[derive(Debug, Default)]
pub struct HandedSockets(BTreeMap<String, UnixListener>);

impl HandedSockets {
    /// Takes what was handed over. Whoever takes them first has them; after that, and without a service manager, there are none.
    ///
    /// Call it before the process has threads: the variables are removed from the environment, so that no child takes them for its own.
    ///
    /// # Errors
    /// One of them is no listening Unix socket, has a name that is not among `known`, or the name of another.
    pub fn take(known: &[&'static str]) -> Result<Self, HandedSocketError> {
        // It is there as long as the other variables are: read first.
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut descriptors = ListenFd::from_env();
        let mut sockets = BTreeMap::new();
        for (index, name) in (0..descriptors.len()).zip(names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()))) {
            if !known.contains(&name.as_str()) {
                return Err(HandedSocketError::Unknown { name, known: known.to_vec() });
            }
            match descriptors.take_unix_listener(index) {
                Ok(Some(socket)) => {
                    if sockets.insert(name.clone(), socket).is_some() {
                        return Err(HandedSocketError::Twice { name });
                    }
                }
                Ok(None) => {}
                Err(source) => return Err(HandedSocketError::NotAUnixListener { name, source }),
            }
        }
        Ok(Self(sockets))
    }

    /// Takes the socket of a name, if one was handed over.
    pub fn remove(&mut self, name: &str) -> Option<UnixListener> {
        self.0.remove(name)
    }
}
