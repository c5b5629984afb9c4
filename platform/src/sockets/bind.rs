//! Binding: under a temporary name, with its mode, and only then under its own.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use trust_domains::problem::{Code, Coded};

use super::directory::{self, SocketDirectory, SocketDirectoryError};
use super::path::{LONGEST_SOCKET_PATH, SocketPath};
use crate::files::parent;
use crate::process::effective_uid;
use crate::random;

/// Connections that wait to be accepted: the kernel's own default bound (`net.core.somaxconn`) since 5.4.
const BACKLOG: u32 = 4_096;

/// A socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Someone listens there.
    #[error("another process answers on {at}")]
    Answered {
        /// The path or address.
        at: String,
    },
    /// The directory is not fit.
    #[error("no socket can be made safely at {at}")]
    Directory {
        /// The path.
        at: String,
        /// Why not.
        #[source]
        source: SocketDirectoryError,
    },
    /// The service manager listens somewhere else than this process is configured to.
    #[error("the service manager hands over a socket at {at}, and the configuration says {configured}")]
    Elsewhere {
        /// Where the socket is.
        at: String,
        /// Where it shall be.
        configured: String,
    },
    /// A socket that nobody answers is another user's.
    #[error("the stale socket {at} belongs to uid {owner}, not to this process (uid {own})")]
    ForeignSocket {
        /// The path.
        at: String,
        /// Who owns it.
        owner: u32,
        /// Who runs this process.
        own: u32,
    },
    /// The operating system refused.
    #[error("cannot listen on {at}")]
    Io {
        /// The path or address.
        at: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is something else under that name.
    #[error("{at} exists and is not a socket")]
    NotASocket {
        /// The path.
        at: String,
    },
    /// The two are for different clients.
    #[error("the sockets {at} and {beside} are in one directory, and whoever is given that directory would reach both")]
    SharedDirectory {
        /// The path.
        at: String,
        /// The other socket.
        beside: String,
    },
}

impl Coded for BindError {
    fn code(&self) -> Code {
        Code::SocketUnsafe
    }

    fn hint(&self) -> String {
        match self {
            Self::Answered { .. } => "stop the process that listens there, or choose another place".to_owned(),
            Self::Directory { .. } => self.code().facts().hint.to_owned(),
            Self::Elsewhere { configured, .. } => format!("set ListenStream= of the socket unit to {configured}, or configure the process to where it listens"),
            Self::ForeignSocket { at, .. } | Self::NotASocket { at } => format!("look at what it is, then remove it or choose another place: ls -l {at}"),
            Self::Io { .. } => "choose a place or address that this user may listen on".to_owned(),
            Self::SharedDirectory { at, .. } => format!("give {at} a directory of its own, that is no link to the other's"),
        }
    }
}

/// Removes the socket's name when dropped, if it still is this one and was made by this process.
#[derive(Debug)]
pub struct UnixSocketGuard {
    path: PathBuf,
    is_handed: bool,
    /// Held open, so that the number of this inode is not given to another socket meanwhile.
    inode: File,
    directory: SocketDirectory,
}

impl UnixSocketGuard {
    /// Takes the socket of this name in the directory; its path is told afterwards.
    fn new(directory: SocketDirectory, name: &str, path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(directory.handle(), name, flags, Mode::empty())?;
        Ok(Self {
            path,
            is_handed: false,
            inode: handle.into(),
            directory,
        })
    }

    /// Takes the name of a socket that the service manager made: it stays when this process ends.
    pub(super) fn of_handed(directory: SocketDirectory, path: &SocketPath) -> io::Result<Self> {
        let name = path.path().file_name().and_then(std::ffi::OsStr::to_str).ok_or(io::ErrorKind::InvalidInput)?;
        let mut guard = Self::new(directory, name, path.path().to_owned())?;
        guard.is_handed = true;
        Ok(guard)
    }

    fn names_this_socket(&self) -> io::Result<bool> {
        let (named, own) = (std::fs::symlink_metadata(&self.path)?, self.inode.metadata()?);
        Ok((named.dev(), named.ino()) == (own.dev(), own.ino()))
    }
}

impl Drop for UnixSocketGuard {
    fn drop(&mut self) {
        let ours = !self.is_handed && self.names_this_socket().unwrap_or(false);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(error = %error, "a socket stays behind");
        }
    }
}

/// Binds a Unix socket with a mode. Must run inside a Tokio runtime.
///
/// Its directory (made if missing) belongs to root or this process and is writable by nobody else. A stale socket gives way if it is this user's and
/// nobody answers on it; anything else under that name is left alone.
///
/// # Errors
/// [`BindError`].
pub fn bind_unix(path: &SocketPath, mode: u32) -> Result<(UnixListener, UnixSocketGuard), BindError> {
    bind_unix_apart(path, mode, &[])
}

/// Binds a Unix socket as [`bind_unix`] does, in a directory in which none of the others is: links, relative paths and mounts do not hide that it is the same.
///
/// # Errors
/// [`BindError`]; then nothing was made under that name.
pub fn bind_unix_apart(path: &SocketPath, mode: u32, others: &[&UnixSocketGuard]) -> Result<(UnixListener, UnixSocketGuard), BindError> {
    let at = path.to_string();
    let directory_path = parent(path.path());
    let directory = directory::prepare(directory_path).map_err(|source| BindError::Directory { at: at.clone(), source })?;
    for other in others {
        if directory.is(&other.directory).map_err(|source| BindError::Io { at: at.clone(), source })? {
            let beside = other.path.display().to_string();
            return Err(BindError::SharedDirectory { at, beside });
        }
    }
    make_way(path)?;
    bind_and_rename(path, directory_path, directory, mode).map_err(|source| BindError::Io { at, source })
}

/// Listens on a TCP address. Must run inside a Tokio runtime.
///
/// # Errors
/// [`BindError`].
pub fn listen_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Answered { at: address.to_string() },
        _ => BindError::Io {
            at: address.to_string(),
            source,
        },
    })
}

/// Removes a stale socket of ours, or says why what is there stays.
fn make_way(path: &SocketPath) -> Result<(), BindError> {
    let at = || path.to_string();
    let metadata = match std::fs::symlink_metadata(path.path()) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Io { at: at(), source }),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { at: at() });
    }
    if answers(path.path()).map_err(|error| BindError::Io {
        at: at(),
        source: error.into(),
    })? {
        return Err(BindError::Answered { at: at() });
    }
    let own = effective_uid();
    if metadata.uid() != own {
        return Err(BindError::ForeignSocket {
            at: at(),
            owner: metadata.uid(),
            own,
        });
    }
    std::fs::remove_file(path.path()).map_err(|source| BindError::Io { at: at(), source })
}

/// Returns whether a process listens there, without waiting for it to accept: a full backlog is an answer too.
fn answers(path: &Path) -> Result<bool, Errno> {
    let probe = stream_socket()?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        // Connected, or the backlog is full, or this user may not even connect: someone is there.
        Ok(()) | Err(_) => Ok(true),
    }
}

/// All goes by the open directory: the socket is in the one that was checked, or there is none.
fn bind_and_rename(path: &SocketPath, directory_path: &Path, directory: SocketDirectory, mode: u32) -> io::Result<(UnixListener, UnixSocketGuard)> {
    let tag = random::array::<4>().map_err(io::Error::other)?;
    let name = format!(".{}", hex::encode(tag));
    let own_name = path.path().file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = directory_path.join(&name);
    let bound = bind_at(directory_path, &directory, &name).and_then(|socket| {
        let mut guard = UnixSocketGuard::new(directory, &name, temporary.clone())?;
        let handle = guard.directory.handle();
        rustix::fs::chmodat(handle, &name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        rustix::net::listen(&socket, BACKLOG.cast_signed())?;
        let listener = UnixListener::from_std(socket.into())?;
        rustix::fs::renameat(handle, &name, handle, own_name)?;
        path.path().clone_into(&mut guard.path);
        Ok((listener, guard))
    });
    if bound.is_err() && temporary.exists() {
        std::fs::remove_file(&temporary)?;
    }
    bound
}

/// Binds a socket that nobody but its owner may connect to, until its mode is set.
fn bind_at(directory_path: &Path, directory: &SocketDirectory, name: &str) -> io::Result<OwnedFd> {
    let socket = stream_socket()?;
    // The kernel makes the file with the socket's own mode (less the umask): closed from its first moment.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let plain = directory_path.join(name);
    if plain.as_os_str().len() <= LONGEST_SOCKET_PATH {
        rustix::net::bind(&socket, &SocketAddrUnix::new(&plain)?)?;
    } else {
        // The temporary name may be longer than the socket's own: reach it through the open directory.
        let short = format!("/proc/self/fd/{}/{name}", directory.handle().as_raw_fd());
        rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?;
    }
    Ok(socket)
}

fn stream_socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use tokio::net::UnixStream;

    fn socket_in(dir: &Path, name: &str) -> SocketPath {
        SocketPath::new(&dir.join(name)).unwrap()
    }

    fn private_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[tokio::test]
    async fn a_socket_has_its_mode_and_goes_with_its_guard() {
        let dir = private_dir();
        let path = socket_in(dir.path(), "new/w.sock");
        let (_listener, guard) = bind_unix(&path, 0o777).unwrap();
        assert_eq!(std::fs::metadata(path.path()).unwrap().mode() & 0o777, 0o777);
        let client = UnixStream::connect(path.path()).await.unwrap();
        assert_eq!(super::super::peer_credentials(&client).unwrap().uid, effective_uid());
        assert_eq!(std::fs::read_dir(parent(path.path())).unwrap().count(), 1, "no temporary name stays");
        drop(guard);
        assert!(!path.path().exists());
    }

    #[tokio::test]
    async fn a_directory_that_others_may_write_is_refused() {
        let dir = private_dir();
        for mode in [0o777, 0o1777, 0o775, 0o757] {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let error = bind_unix(&socket_in(dir.path(), "w.sock"), 0o777).unwrap_err();
            assert!(
                matches!(
                    error,
                    BindError::Directory {
                        source: SocketDirectoryError::WritableByOthers { .. },
                        ..
                    }
                ),
                "{mode:o}: {error}"
            );
        }
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        bind_unix(&socket_in(dir.path(), "w.sock"), 0o777).unwrap();
    }

    #[tokio::test]
    async fn a_directory_or_stale_socket_of_another_user_is_refused() {
        if effective_uid() != 0 {
            return; // Only root can give things away.
        }
        let dir = private_dir();
        let path = socket_in(dir.path(), "w.sock");
        drop(std::os::unix::net::UnixListener::bind(path.path()).unwrap());
        std::os::unix::fs::chown(path.path(), Some(4711), None).unwrap();
        assert!(matches!(bind_unix(&path, 0o777), Err(BindError::ForeignSocket { owner: 4711, .. })));
        assert!(path.path().exists());
        std::os::unix::fs::chown(dir.path(), Some(4711), None).unwrap();
        assert!(matches!(
            bind_unix(&path, 0o777),
            Err(BindError::Directory {
                source: SocketDirectoryError::ForeignOwner { owner: 4711, .. },
                ..
            })
        ));
    }

    #[tokio::test]
    async fn a_stale_socket_gives_way_and_a_living_one_does_not() {
        let dir = private_dir();
        let path = socket_in(dir.path(), "w.sock");
        drop(std::os::unix::net::UnixListener::bind(path.path()).unwrap());
        assert!(path.path().exists(), "a closed listener leaves its name");
        let (_listener, guard) = bind_unix(&path, 0o600).unwrap();
        let error = bind_unix(&path, 0o600).unwrap_err();
        assert!(matches!(error, BindError::Answered { .. }), "{error}");
        UnixStream::connect(path.path()).await.unwrap();
        drop(guard);
    }

    #[tokio::test]
    async fn a_listener_with_a_full_backlog_is_still_alive() {
        let dir = private_dir();
        let path = socket_in(dir.path(), "w.sock");
        let busy = stream_socket().unwrap();
        rustix::net::bind(&busy, &SocketAddrUnix::new(path.path()).unwrap()).unwrap();
        rustix::net::listen(&busy, 0).unwrap();
        let _first = std::os::unix::net::UnixStream::connect(path.path()).unwrap();
        assert!(matches!(bind_unix(&path, 0o600), Err(BindError::Answered { .. })));
        assert!(matches!(bind_unix(&path, 0o600), Err(BindError::Answered { .. })));
    }

    #[tokio::test]
    async fn a_file_or_a_link_in_its_place_is_left_alone() {
        let dir = private_dir();
        let (file, link) = (socket_in(dir.path(), "file"), socket_in(dir.path(), "link"));
        std::fs::write(file.path(), b"precious").unwrap();
        std::os::unix::fs::symlink(file.path(), link.path()).unwrap();
        assert!(matches!(bind_unix(&file, 0o600), Err(BindError::NotASocket { .. })));
        assert!(matches!(bind_unix(&link, 0o600), Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read(file.path()).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_guard_does_not_remove_the_socket_of_its_successor() {
        let dir = private_dir();
        let path = socket_in(dir.path(), "w.sock");
        let (listener, guard) = bind_unix(&path, 0o600).unwrap();
        drop(listener);
        let (_successor, _its_guard) = bind_unix(&path, 0o600).unwrap();
        drop(guard);
        UnixStream::connect(path.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_must_stand_apart_is_told_from_its_neighbour_by_the_directory_and_not_by_its_name() {
        let dir = private_dir();
        let (_workload, its_name) = bind_unix(&socket_in(dir.path(), "run/w.sock"), 0o777).unwrap();
        std::os::unix::fs::symlink(dir.path().join("run"), dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("own")).unwrap();
        let from_here: String = std::env::current_dir().unwrap().components().skip(1).map(|_| "../").collect();
        let relative = Path::new(&from_here).join(dir.path().strip_prefix("/").unwrap());
        for (directory, name) in [
            (dir.path(), "run/b.sock"),
            (dir.path(), "link/b.sock"),
            (dir.path(), "own/../run/b.sock"),
            (&relative, "run/./b.sock"),
        ] {
            let error = bind_unix_apart(&socket_in(directory, name), 0o660, &[&its_name]).unwrap_err();
            assert!(matches!(error, BindError::SharedDirectory { .. }), "{name}: {error}");
            assert!(!dir.path().join("run/b.sock").exists(), "{name}");
        }
        bind_unix_apart(&socket_in(dir.path(), "own/b.sock"), 0o660, &[&its_name]).unwrap();
    }

    #[tokio::test]
    async fn the_longest_path_can_be_bound() {
        let dir = private_dir();
        let room = LONGEST_SOCKET_PATH - dir.path().as_os_str().len() - 4;
        let path = socket_in(dir.path(), &format!("{}/s", "d".repeat(room + 1)));
        assert_eq!(path.to_string().len(), LONGEST_SOCKET_PATH);
        let (_listener, _guard) = bind_unix(&path, 0o600).unwrap();
        UnixStream::connect(path.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = listen_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = listen_tcp(first.local_addr().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::Answered { .. }), "{error}");
    }
}
