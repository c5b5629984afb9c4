//! Asks a server or an agent over its local admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use platform::client::CallError;
use platform::sockets::SocketPath;
use platform::unix_http::UnixHttpClient;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trust_domains::problem::{Code, Coded as _, Problem};
use trust_domains::wire::admin::{MAX_PAGE, Page};

use crate::args::Global;
use crate::environment;
use crate::failure::Failure;
use crate::output::List;

/// Says where the server is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerPlace {
    /// The server's data directory: its admin socket is in it [default: /var/lib/troth/server as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl ServerPlace {
    /// Returns the data directory, if it is said.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }
}

/// Says where the agent is.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentPlace {
    /// The agent's data directory: its admin socket is in it [default: /var/lib/troth/agent as root, else under the XDG directories].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A client of one admin socket.
pub(crate) struct AdminClient {
    http: UnixHttpClient,
    who: &'static str,
}

/// The longest that one call may take: a file of 200,000 entries is checked and written in under a minute.
const CALL_WITHIN: Duration = Duration::from_secs(600);

impl AdminClient {
    /// Finds the server's socket: by the flag or its environment variable, the configuration file, the default place.
    pub(crate) fn find(place: &ServerPlace, global: &Global) -> Result<Self, Failure> {
        let data_dir = environment::server_data_dir(place.data_dir.as_deref(), global)?;
        Self::of(&data_dir.join("admin.sock"), "server")
    }

    /// Finds the agent's socket in the same way.
    pub(crate) fn find_agent(place: &AgentPlace, global: &Global) -> Result<Self, Failure> {
        let data_dir = environment::agent_data_dir(place.data_dir.as_deref(), global)?;
        Self::of(&data_dir.join("agent-admin.sock"), "agent")
    }

    fn of(socket: &Path, who: &'static str) -> Result<Self, Failure> {
        let socket = SocketPath::new(socket).map_err(|error| Failure::of(&error))?;
        Ok(Self {
            http: UnixHttpClient::new(socket, CALL_WITHIN),
            who,
        })
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.http.get(path).await.map_err(|error| self.failed(&error))
    }

    /// Sends a document and returns the answer; ask for `()` where there is none.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.http.post(path, body).await.map_err(|error| self.failed(&error))
    }

    /// Sends changes and returns the answer.
    pub(crate) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.http.patch(path, body).await.map_err(|error| self.failed(&error))
    }

    /// Puts a document in its place and returns the answer.
    pub(crate) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.http.call(http::Method::PUT, path, Some(body)).await.map_err(|error| self.failed(&error))
    }

    /// Deletes and returns what was deleted; ask for `()` where nothing is answered.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.http.delete(path).await.map_err(|error| self.failed(&error))
    }

    /// Fetches every page of a list, or as many items as are wanted.
    pub(crate) async fn pages<T: DeserializeOwned>(&self, path: &str, filters: &[(&str, &str)], limit: Option<usize>) -> Result<List<T>, Failure> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let left = limit.map_or(MAX_PAGE, |limit| limit.saturating_sub(items.len()).min(MAX_PAGE));
            if left == 0 {
                return Ok(List { items, next });
            }
            let page: Page<T> = self.get(&page_path(path, filters, left, next.as_deref())).await?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                return Ok(List { items, next });
            }
        }
    }

    /// Reads lines of JSON until the stream ends.
    pub(crate) async fn lines<T: DeserializeOwned>(&self, path: &str, mut each: impl FnMut(T) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut lines = self.http.lines(path).await.map_err(|error| self.failed(&error))?;
        while let Some(line) = lines.next().await.map_err(|error| self.failed(&error))? {
            each(line)?;
        }
        Ok(())
    }

    /// Takes the octets of an answer until its end.
    pub(crate) async fn octets(&self, path: &str, mut each: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut octets = self.http.octets(path).await.map_err(|error| self.failed(&error))?;
        while let Some(part) = octets.next().await.map_err(|error| self.failed(&error))? {
            each(&part)?;
        }
        Ok(())
    }

    fn failed(&self, error: &CallError) -> Failure {
        let failure = Failure::of(error);
        match error {
            // The peer's own document, with its trace id.
            CallError::Refused(problem) => Failure::from(Problem::clone(problem)),
            // Somebody is there, and not for this user: the error says so itself.
            CallError::Lost { .. } if error.hint() == Code::Unauthorized.facts().hint => failure,
            CallError::NotExpected { .. } => failure.with_hint("run the same version of troth on both sides: troth version"),
            CallError::Lost { .. } | CallError::TimedOut { .. } => {
                failure.with_hint(format!("start it: troth {} run; or name its directory: --data-dir DIR", self.who))
            }
        }
    }
}

fn page_path(path: &str, filters: &[(&str, &str)], limit: usize, after: Option<&str>) -> String {
    let mut text = format!("{path}?limit={limit}");
    for (name, value) in filters.iter().copied().chain(after.map(|after| ("after", after))) {
        text.push_str(&format!("&{name}={}", path_segment(value)));
    }
    text
}

/// Percent-encodes text so that it is one segment of a path or one value of a query (RFC 3986 unreserved characters stay).
pub(crate) fn path_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_is_one_segment() {
        assert_eq!(path_segment("spiffe://td/a-b"), "spiffe%3A%2F%2Ftd%2Fa-b");
    }

    #[test]
    fn filters_and_the_next_page_are_part_of_the_query() {
        assert_eq!(
            page_path("/v1/x", &[("parent", "web 1")], 5, Some("t/1")),
            "/v1/x?limit=5&parent=web%201&after=t%2F1"
        );
    }
}
