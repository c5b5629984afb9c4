//! Where quickstart keeps everything: one directory, marked as its own.

use std::fs;
use std::path::{Path, PathBuf};

use platform::lock::DirectoryLock;
use platform::paths::Environment;
use serde::{Deserialize, Serialize};
use trust_domains::TrustDomain;
use trust_domains::problem::Code;

use crate::failure::{Failure, usage};

/// The file that says that the directory is quickstart's: only then is it removed.
const MARK: &str = "quickstart.json";

/// The longest socket path that the kernel takes (`sun_path` less its final zero).
const SOCKET_PATH_MAX: usize = 107;

/// What quickstart remembers from one run to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The trust domain that was made.
    pub(crate) trust_domain: TrustDomain,
    /// The server's port on loopback: the agent keeps the address, so it is kept too.
    pub(crate) port: u16,
    /// The port of its bundle endpoint, since it federates: the partner keeps the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bundle_port: Option<u16>,
}

/// The directory of one trust domain of a quickstart. That of the partner is in that of the first.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    is_partner: bool,
}

impl Directory {
    /// Takes the directory that was named, else `$XDG_STATE_HOME/troth/quickstart`; never the current one.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, Failure> {
        let root = match named {
            Some(named) => std::path::absolute(named)?,
            None => Environment::of_process()
                .quickstart()
                .map_err(|error| Failure::of(&error).with_hint("name a directory: troth quickstart --dir DIR"))?,
        };
        Self::checked(root, false)
    }

    /// Returns the directory of the partner of a federated quickstart.
    pub(crate) fn partner(&self) -> Result<Self, Failure> {
        Self::checked(self.root.join("partner"), true)
    }

    fn checked(root: PathBuf, is_partner: bool) -> Result<Self, Failure> {
        let directory = Self { root, is_partner };
        let longest = directory.agent_data().join("agent-admin.sock.00000000");
        if longest.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(usage(format!("{} is too long for a socket path", directory.root.display()))
                .with_hint("name a shorter directory: troth quickstart --dir /tmp/troth"));
        }
        Ok(directory)
    }

    /// Returns what a part is called where both trust domains have one.
    pub(crate) fn part(&self, part: &str) -> String {
        if self.is_partner { format!("partner's {part}") } else { part.to_owned() }
    }

    /// Makes the directory, private to this user, and holds it: two quickstarts never share one.
    pub(crate) fn hold(&self) -> Result<DirectoryLock, Failure> {
        if self.root.exists() && !self.is_ours() && fs::read_dir(&self.root)?.next().is_some() {
            return Err(usage(format!("{} holds something else", self.root.display())).with_hint("name an empty directory: troth quickstart --dir DIR"));
        }
        platform::files::ensure_private_dir(&self.root, 0o700).map_err(|error| self.unusable(&error.to_string()))?;
        DirectoryLock::acquire(&self.root, "quickstart.lock").map_err(|error| Failure::of(&error).with_hint("end the other quickstart, or use another --dir"))
    }

    fn unusable(&self, reason: &str) -> Failure {
        usage(format!("cannot use {}: {reason}", self.root.display())).with_hint("name another directory: troth quickstart --dir DIR")
    }

    fn is_ours(&self) -> bool {
        self.root.join(MARK).exists() || self.root.join("quickstart.lock").exists()
    }

    /// Reads what an earlier run remembered.
    pub(crate) fn mark(&self) -> Result<Option<Mark>, Failure> {
        match fs::read(self.root.join(MARK)) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| self.unusable(&error.to_string()).with_hint("start anew: troth quickstart --remove")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers for the next run.
    pub(crate) fn set_mark(&self, mark: &Mark) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(mark).map_err(std::io::Error::from)?;
        platform::files::write_durable(&self.root.join(MARK), &bytes, 0o600).map_err(|error| self.unusable(&error.to_string()))
    }

    /// Removes everything, when it is quickstart's and no quickstart runs there.
    pub(crate) fn remove(&self) -> Result<String, Failure> {
        if !self.root.exists() {
            return Ok(format!("{} is not there", self.root.display()));
        }
        if !self.is_ours() {
            return Err(Failure::new(Code::Unauthorized, format!("{} was not made by quickstart", self.root.display()))
                .with_hint("check the path: nothing was removed"));
        }
        let _held = self.hold()?;
        fs::remove_dir_all(&self.root)?;
        Ok(format!("removed {}", self.root.display()))
    }

    /// The shell variables that let other commands find this trust domain.
    pub(crate) fn environment(&self) -> Result<String, Failure> {
        if self.mark()?.is_none() {
            return Err(Failure::new(Code::NotFound, format!("there is no quickstart in {}", self.root.display())).with_hint("start one: troth quickstart"));
        }
        let program = std::env::current_exe()?;
        let mut text = String::new();
        for (name, value) in [
            ("SPIFFE_ENDPOINT_SOCKET", format!("unix://{}", self.workload_socket().display())),
            ("TROTH_AGENT_DATA_DIR", self.agent_data().display().to_string()),
            ("TROTH_SERVER_DATA_DIR", self.server_data().display().to_string()),
        ] {
            text.push_str(&format!("export {name}={}\n", shell_quoted(&value)));
        }
        if let Some(folder) = program.parent() {
            text.push_str(&format!("export PATH={}:\"$PATH\"\n", shell_quoted(&folder.display().to_string())));
        }
        let partner = self.partner()?;
        if partner.mark()?.is_some() {
            let dir = shell_quoted(&partner.root.display().to_string());
            text.push_str(&format!("# the partner's: eval \"$(troth quickstart --dir {dir} --env)\"\n"));
        }
        Ok(text)
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The server's data directory.
    pub(crate) fn server_data(&self) -> PathBuf {
        self.root.join("server")
    }

    /// The agent's data directory.
    pub(crate) fn agent_data(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// The Workload API socket.
    pub(crate) fn workload_socket(&self) -> PathBuf {
        self.root.join("workload.sock")
    }

    /// Where the file sink delivers.
    pub(crate) fn sink(&self) -> PathBuf {
        self.root.join("svid")
    }

    /// The log of one part.
    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.root.join(format!("{part}.log"))
    }
}

/// Quotes a value for any POSIX shell.
fn shell_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_others_is_neither_used_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let directory = Directory::find(Some(folder.path())).unwrap();
        assert!(directory.hold().is_err());
        assert!(directory.remove().is_err());
        assert!(folder.path().join("thesis.txt").exists());
    }

    #[test]
    fn values_are_quoted_for_the_shell() {
        assert_eq!(shell_quoted("/tmp/it's"), r"'/tmp/it'\''s'");
    }
}
