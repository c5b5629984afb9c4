//! Default places: the system's as root, the user's (XDG base directories) otherwise.

use std::path::{Path, PathBuf};

use trust_domains::problem::{Code, Coded};

use crate::process::effective_uid;

/// The name of our directory in each place.
const NAME: &str = "troth";

/// The workload socket of a system's agent.
const SYSTEM_WORKLOAD_SOCKET: &str = "/run/troth/workload.sock";

/// What default places depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// The effective user.
    pub uid: u32,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `SPIFFE_ENDPOINT_SOCKET`.
    pub spiffe_endpoint_socket: Option<String>,
}

impl Environment {
    /// Returns the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            uid: effective_uid(),
            home: path("HOME"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            xdg_state_home: path("XDG_STATE_HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            spiffe_endpoint_socket: std::env::var("SPIFFE_ENDPOINT_SOCKET").ok().filter(|value| !value.is_empty()),
        }
    }

    /// Returns where the server's configuration is.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn server_config(&self) -> Result<PathBuf, NoHome> {
        self.config("server.toml")
    }

    /// Returns where the agent's configuration is.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn agent_config(&self) -> Result<PathBuf, NoHome> {
        self.config("agent.toml")
    }

    /// Returns where the proxy's configuration is.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn proxy_config(&self) -> Result<PathBuf, NoHome> {
        self.config("proxy.toml")
    }

    /// Returns the server's data directory.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn server_data(&self) -> Result<PathBuf, NoHome> {
        self.state("server")
    }

    /// Returns the agent's data directory.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn agent_data(&self) -> Result<PathBuf, NoHome> {
        self.state("agent")
    }

    /// Returns the quickstart's directory: always the user's own, as root too.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn quickstart(&self) -> Result<PathBuf, NoHome> {
        Ok(self.user_dir(self.xdg_state_home.as_deref(), ".local/state")?.join("quickstart"))
    }

    /// Returns where an agent of this user offers the Workload API.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn workload_socket(&self) -> Result<PathBuf, NoHome> {
        if self.is_root() {
            return Ok(SYSTEM_WORKLOAD_SOCKET.into());
        }
        match absolute(self.xdg_runtime_dir.as_deref()) {
            Some(runtime) => Ok(runtime.join(NAME).join("workload.sock")),
            None => Ok(self.state("run")?.join("workload.sock")),
        }
    }

    /// Returns where a workload looks for the Workload API without `--socket`, best first. The first is text as `SPIFFE_ENDPOINT_SOCKET` gives it.
    #[must_use]
    pub fn workload_socket_candidates(&self) -> Vec<String> {
        if let Some(named) = &self.spiffe_endpoint_socket {
            // Who names one means that one.
            return vec![named.clone()];
        }
        let own = self.workload_socket().ok().map(|path| path.display().to_string());
        let mut candidates: Vec<String> = own.into_iter().chain([SYSTEM_WORKLOAD_SOCKET.to_owned()]).collect();
        candidates.dedup();
        candidates
    }

    fn is_root(&self) -> bool {
        self.uid == 0
    }

    fn config(&self, file: &str) -> Result<PathBuf, NoHome> {
        if self.is_root() {
            return Ok(Path::new("/etc").join(NAME).join(file));
        }
        Ok(self.user_dir(self.xdg_config_home.as_deref(), ".config")?.join(file))
    }

    fn state(&self, part: &str) -> Result<PathBuf, NoHome> {
        if self.is_root() {
            return Ok(Path::new("/var/lib").join(NAME).join(part));
        }
        Ok(self.user_dir(self.xdg_state_home.as_deref(), ".local/state")?.join(part))
    }

    fn user_dir(&self, xdg: Option<&Path>, under_home: &str) -> Result<PathBuf, NoHome> {
        let base = match (absolute(xdg), absolute(self.home.as_deref())) {
            (Some(xdg), _) => xdg.to_owned(),
            (None, Some(home)) => home.join(under_home),
            (None, None) => return Err(NoHome),
        };
        Ok(base.join(NAME))
    }
}

/// Returns the server's admin socket.
#[must_use]
pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Returns where an agent offers secret discovery, for its workload socket: `workload.sds.sock` beside `workload.sock`.
#[must_use]
pub fn sds_socket(workload_socket: &Path) -> PathBuf {
    let name = workload_socket.file_name().unwrap_or_default();
    let stem = Path::new(name)
        .file_stem()
        .filter(|_| name.as_encoded_bytes().ends_with(b".sock"))
        .unwrap_or(name);
    let mut sds = stem.to_owned();
    sds.push(".sds.sock");
    workload_socket.with_file_name(sds)
}

/// Returns the agent's admin socket.
#[must_use]
pub fn agent_admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("agent-admin.sock")
}

/// Returns the default key file: a sibling of the data directory, so that a copied directory is closed.
#[must_use]
pub fn default_key_file(data_dir: &Path) -> PathBuf {
    // Collected from its parts, so that a slash at the end does not put the key inside.
    let mut name = data_dir.components().collect::<PathBuf>().into_os_string();
    name.push(".seal.key");
    name.into()
}

/// There is no place for a user's own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no default place: neither HOME nor the XDG directories are set")]
pub struct NoHome;

impl Coded for NoHome {
    fn code(&self) -> Code {
        Code::Usage
    }

    fn hint(&self) -> String {
        "name the place: --data-dir DIR, --config FILE".to_owned()
    }
}

/// The XDG specification: a relative path is ignored.
fn absolute(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Environment {
        Environment {
            uid: 1_000,
            home: Some("/home/ada".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn root_uses_the_places_of_the_system() {
        let root = Environment {
            uid: 0,
            home: Some("/root".into()),
            xdg_state_home: Some("/x".into()),
            ..Environment::default()
        };
        assert_eq!(root.server_config().unwrap(), Path::new("/etc/troth/server.toml"));
        assert_eq!(root.agent_config().unwrap(), Path::new("/etc/troth/agent.toml"));
        assert_eq!(root.server_data().unwrap(), Path::new("/var/lib/troth/server"));
        assert_eq!(root.agent_data().unwrap(), Path::new("/var/lib/troth/agent"));
        assert_eq!(root.workload_socket_candidates(), ["/run/troth/workload.sock"]);
        assert_eq!(root.quickstart().unwrap(), Path::new("/x/troth/quickstart"));
    }

    #[test]
    fn a_user_uses_the_xdg_directories() {
        let user = Environment {
            xdg_runtime_dir: Some("/run/user/1000".into()),
            xdg_config_home: Some("/c".into()),
            ..user()
        };
        assert_eq!(user.server_config().unwrap(), Path::new("/c/troth/server.toml"));
        assert_eq!(user.agent_data().unwrap(), Path::new("/home/ada/.local/state/troth/agent"));
        assert_eq!(
            user.workload_socket_candidates(),
            ["/run/user/1000/troth/workload.sock", "/run/troth/workload.sock"]
        );
    }

    #[test]
    fn relative_xdg_directories_are_ignored() {
        let user = Environment {
            xdg_state_home: Some("state".into()),
            xdg_runtime_dir: Some("run".into()),
            ..user()
        };
        assert_eq!(user.workload_socket().unwrap(), Path::new("/home/ada/.local/state/troth/run/workload.sock"));
    }

    #[test]
    fn the_named_socket_is_the_only_one() {
        let user = Environment {
            spiffe_endpoint_socket: Some("unix:///w.sock".to_owned()),
            ..user()
        };
        assert_eq!(user.workload_socket_candidates(), ["unix:///w.sock"]);
    }

    #[test]
    fn without_a_home_there_is_no_default() {
        let nobody = Environment {
            uid: 65_534,
            ..Environment::default()
        };
        assert_eq!(nobody.server_data(), Err(NoHome));
        assert_eq!(nobody.workload_socket_candidates(), ["/run/troth/workload.sock"]);
    }

    #[test]
    fn the_key_file_lies_beside_the_data_directory() {
        for (dir, key) in [
            ("/d/server", "/d/server.seal.key"),
            ("/d/server/", "/d/server.seal.key"),
            ("data", "data.seal.key"),
            ("./data/.", "./data.seal.key"),
        ] {
            assert_eq!(default_key_file(Path::new(dir)), Path::new(key));
        }
    }
}
