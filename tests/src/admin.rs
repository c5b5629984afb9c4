//! The admin API asked directly, where starting a command for each call would be too slow.

use std::time::Duration;

use platform::client::CallError;
use platform::sockets::SocketPath;
use platform::unix_http::UnixHttpClient;
use tokio::runtime::Runtime;
use trust_domains::wire::admin::{CreateEntries, EntriesCreated, EntryDraft};

use crate::domain::Domain;

/// Returns a client of a domain's admin API whose calls may take so long.
///
/// # Panics
///
/// When the socket's path is longer than the kernel takes.
#[must_use]
pub fn admin(domain: &Domain, deadline: Duration) -> UnixHttpClient {
    let socket = SocketPath::new(&domain.server_data().join("admin.sock")).expect("a socket path");
    UnixHttpClient::new(socket, deadline)
}

/// Returns an entry for a path on a node, with one selector of a uid.
#[must_use]
pub fn draft(path: String, node: &str, uid: u32) -> EntryDraft {
    EntryDraft {
        spiffe_id: path,
        parent_id: Some(node.to_owned()),
        selectors: vec![format!("unix:uid:{uid}")],
        ..EntryDraft::default()
    }
}

/// Makes entries.
///
/// # Errors
///
/// When they are refused, or nobody answers.
pub async fn create(admin: &UnixHttpClient, entries: Vec<EntryDraft>) -> Result<EntriesCreated, CallError> {
    admin.post("/v1/admin/entries", &CreateEntries { entries }).await
}

/// Returns a runtime for asking: two threads, as the machines that are measured have at least.
///
/// # Panics
///
/// When it cannot be started.
#[must_use]
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
