//! A socket that the service manager made, under the same rules as one of our own.

use std::io;
use std::os::unix::net::UnixListener as HandedListener;

use tokio::net::UnixListener;

use super::bind::{BindError, UnixSocketGuard};
use super::directory;
use super::path::SocketPath;
use crate::files::parent;

/// Serves a socket that the service manager made at `configured`. Must run inside a Tokio runtime. Its name stays when the process ends: callers wait in it
/// for the next one. Its mode and owner are as the manager made them.
///
/// # Errors
/// [`BindError`]: it is somewhere else, or its directory may be written by others.
pub fn serve_handed(socket: HandedListener, configured: &SocketPath) -> Result<(UnixListener, UnixSocketGuard), BindError> {
    let at = configured.to_string();
    let failed = |source: io::Error| BindError::Io { at: at.clone(), source };
    let address = socket.local_addr().map_err(failed)?;
    let place = address.as_pathname().map_or_else(|| "no path".into(), std::path::Path::to_string_lossy);
    if address.as_pathname() != Some(configured.path()) {
        return Err(BindError::Elsewhere {
            at: place.into_owned(),
            configured: at,
        });
    }
    let directory = directory::prepare(parent(configured.path())).map_err(|source| BindError::Directory { at: at.clone(), source })?;
    let guard = UnixSocketGuard::of_handed(directory, configured).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let listener = UnixListener::from_std(socket).map_err(failed)?;
    Ok((listener, guard))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use tokio::net::UnixStream;

    use super::*;

    fn directory(mode: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    fn handed(directory: &Path) -> (HandedListener, SocketPath) {
        let path = SocketPath::new(&directory.join("w.sock")).unwrap();
        (HandedListener::bind(path.path()).unwrap(), path)
    }

    #[tokio::test]
    async fn a_handed_socket_is_served_and_its_name_stays() {
        let place = directory(0o755);
        let (socket, path) = handed(place.path());
        let waits = UnixStream::connect(path.path()).await.unwrap();
        let (listener, guard) = serve_handed(socket, &path).unwrap();
        let _accepted = listener.accept().await.unwrap();
        drop((waits, guard));
        assert!(path.path().exists());
    }

    #[tokio::test]
    async fn a_handed_socket_somewhere_else_or_where_others_write_is_refused() {
        let place = directory(0o755);
        let (socket, _) = handed(place.path());
        let other = SocketPath::new(&place.path().join("other.sock")).unwrap();
        assert!(matches!(serve_handed(socket, &other), Err(BindError::Elsewhere { .. })));
        let open = directory(0o777);
        let (socket, path) = handed(open.path());
        assert!(matches!(serve_handed(socket, &path), Err(BindError::Directory { .. })));
    }
}
