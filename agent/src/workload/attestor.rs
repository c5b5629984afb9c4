//! Proves selectors of a process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::agent::UnknownSelector;
use trust_domains::{Selector, SelectorSet};

use super::caller::Caller;
use super::executable::{UnprovenPath, prove_path};
use super::file_hash::{FileHashes, FileKey, Unhashable, identify};
use super::id_map::{StandIn, StandIns};
use super::names::Names;
use super::process::{Inode, Look, Origin, own_mount_namespace};
use super::shares::{Share, UidShares};
use crate::svids::WantedFacts;

/// How long one attestation may take: the first hash of the largest executable from a slow disk.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many executables of one user are opened or hashed at once: a user whose own file systems hang holds up nobody else.
const FILES_PER_UID: usize = 4;

/// Proves selectors of the unix attestor.
#[derive(Debug)]
pub struct Attestor {
    mount_namespace: Inode,
    stand_ins: StandIns,
    names: Names,
    hashes: FileHashes,
    files: UidShares,
}

/// What was proved about a process.
#[derive(Debug, Clone)]
pub struct Attested {
    /// Proved.
    pub selectors: SelectorSet,
    /// What was asked for and could not be read.
    pub unknown: Vec<UnknownSelector>,
}

/// Why nothing is said about a process now. It is never told as fewer selectors: that would look like an identity withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The process is not what it was when it connected.
    #[error("the process changed since it connected: {what} is another")]
    Changed {
        /// What differs.
        what: &'static str,
    },
    /// The name service or a file system did not answer in time.
    #[error("{what} could not be read in time")]
    Deadline {
        /// What was read.
        what: &'static str,
    },
    /// The process has ended.
    #[error("there is no such process, or it has exited")]
    Exited,
    /// The kernel refused a read that it should allow.
    #[error("{what} could not be read")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// `/proc` hides the process from the agent.
    #[error("the process is hidden from the agent (hidepid)")]
    Unseen,
}

impl AttestError {
    /// Returns the error of a read that failed: that the process is gone, if that is why.
    pub(crate) fn reading(what: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(code) if code == Errno::SRCH.raw_os_error() => Self::Exited,
            _ => Self::Unreadable { what, source },
        }
    }
}

impl Coded for AttestError {
    fn code(&self) -> Code {
        match self {
            Self::Exited => Code::NotFound,
            Self::Unseen => Code::Unauthorized,
            Self::Changed { .. } | Self::Deadline { .. } | Self::Unreadable { .. } => Code::WorkloadUnavailable,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Exited => "look at the process again: ps -p PID".to_owned(),
            Self::Unseen => "run the agent as root, or mount /proc without hidepid".to_owned(),
            Self::Changed { .. } | Self::Deadline { .. } | Self::Unreadable { .. } => self.code().facts().hint.to_owned(),
        }
    }
}

impl Attestor {
    /// Returns an attestor for this machine, as this process sees it.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            mount_namespace: own_mount_namespace()?,
            stand_ins: StandIns::of_agent()?,
            names: Names::default(),
            hashes: FileHashes::default(),
            files: UidShares::new(FILES_PER_UID),
        })
    }

    /// Proves selectors of a process: its ids always; of the facts that cost, those that `asked` names when it is given the ids.
    ///
    /// # Errors
    /// The process exited or changed, or something could not be read in time: the caller may ask again.
    pub async fn attest(&self, caller: &Caller, asked: impl FnOnce(&SelectorSet) -> WantedFacts) -> Result<Attested, AttestError> {
        let look = caller.look_unchanged()?;
        let mut facts = Facts::default();
        self.prove_ids(caller, look.as_ref(), &mut facts);
        let wanted = asked(&facts.proved.iter().cloned().collect());
        if wanted.user || wanted.group || wanted.path || wanted.sha256 {
            match tokio::time::timeout(DEADLINE, self.prove_costly(caller, look.as_ref(), wanted, &mut facts)).await {
                Ok(proved) => proved?,
                Err(_elapsed) => {
                    return Err(AttestError::Deadline {
                        what: "what entries of this node ask about the process",
                    });
                }
            }
            caller.check_unchanged()?;
        }
        Ok(Attested {
            selectors: facts.proved.into_iter().collect(),
            unknown: facts.unknown,
        })
    }

    /// The ids: uid and gid of the connection, groups of the last look.
    fn prove_ids(&self, caller: &Caller, look: Option<&Look>, facts: &mut Facts) {
        facts.id("uid", caller.uid, self.stand_ins.uid);
        facts.id("gid", caller.gid, self.stand_ins.gid);
        match look {
            Some(look) => look
                .credentials
                .groups
                .iter()
                .for_each(|gid| facts.id("supplementary_gid", *gid, self.stand_ins.gid)),
            None => facts.unknown("supplementary_gid", AttestError::Unseen),
        }
    }

    async fn prove_costly(&self, caller: &Caller, look: Option<&Look>, wanted: WantedFacts, facts: &mut Facts) -> Result<(), AttestError> {
        if wanted.user {
            facts.name("user", caller.uid, self.stand_ins.uid, self.names.user(caller.uid).await?);
        }
        if wanted.group {
            facts.name("group", caller.gid, self.stand_ins.gid, self.names.group(caller.gid).await?);
        }
        if wanted.path || wanted.sha256 {
            self.prove_executable(caller, look, wanted, facts).await?;
        }
        Ok(())
    }

    async fn prove_executable(&self, caller: &Caller, look: Option<&Look>, wanted: WantedFacts, facts: &mut Facts) -> Result<(), AttestError> {
        let (directory, origin) = match shown_executable(caller, look)? {
            Ok(shown) => shown,
            Err(hidden) => {
                facts.unknown_executable(wanted, &hidden);
                return Ok(());
            }
        };
        let (opened, share) = self.open_executable(caller.uid, directory, origin, wanted).await?;
        match opened.path {
            Some(Ok(path)) => facts.prove("path", &path),
            Some(Err(unproven)) => facts.unknown("path", unproven),
            None => {}
        }
        match opened.file {
            Some(Ok((key, file))) => facts.prove("sha256", &hex::encode(self.hashes.hash(key, file, share).await?)),
            Some(Err(unhashable)) => facts.unknown("sha256", unhashable),
            None => {}
        }
        Ok(())
    }

    /// Opens what the process executes, on a thread that may wait for the file system; the user's share of such threads is bounded.
    async fn open_executable(&self, uid: u32, directory: OwnedFd, origin: Origin, wanted: WantedFacts) -> Result<(Opened, Share), AttestError> {
        let share = self.files.take(uid).await;
        let agents_namespace = self.mount_namespace;
        let opened = tokio::task::spawn_blocking(move || {
            let path = if wanted.path {
                Some(prove_path(directory.as_fd(), &origin, agents_namespace)?)
            } else {
                None
            };
            let file = if wanted.sha256 { Some(open(&directory, &origin)?) } else { None };
            Ok((Opened { path, file }, share))
        });
        opened.await.unwrap_or(Err(AttestError::Deadline { what: "its executable" }))
    }
}

/// Returns the process's directory in `/proc` and where its program comes from, or why the agent may not see that.
fn shown_executable(caller: &Caller, look: Option<&Look>) -> Result<Result<(OwnedFd, Origin), String>, AttestError> {
    let hidden = || Err(AttestError::Unseen.to_string());
    match look.map(|look| look.origin) {
        Some(Ok(origin)) => Ok(caller.directory()?.map_or_else(hidden, |directory| Ok((directory, origin)))),
        Some(Err(hidden)) => Ok(Err(hidden.to_string())),
        None => Ok(hidden()),
    }
}

/// What opening an executable gave.
struct Opened {
    path: Option<Result<String, UnprovenPath>>,
    file: Option<Result<(FileKey, File), Unhashable>>,
}

/// Opens the file that the process executes, by the kernel's own link: the very file, whatever its path leads to by now.
fn open(directory: &OwnedFd, origin: &Origin) -> Result<Result<(FileKey, File), Unhashable>, AttestError> {
    let file = match openat(directory, "exe", OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ACCESS | Errno::PERM) => return Ok(Err(Unhashable::NotPermitted)),
        Err(source) => return Err(AttestError::reading("its executable", source.into())),
    };
    let key = match identify(&file)? {
        Ok(key) => key,
        Err(unhashable) => return Ok(Err(unhashable)),
    };
    if key.inode() != origin.executable {
        return Err(AttestError::Changed { what: "its executable" });
    }
    Ok(Ok((key, file)))
}

/// What is known about a process so far.
#[derive(Default)]
struct Facts {
    proved: Vec<Selector>,
    unknown: Vec<UnknownSelector>,
}

impl Facts {
    fn prove(&mut self, fact: &str, value: &str) {
        match Selector::new("unix", &format!("{fact}:{value}")) {
            Ok(selector) => self.proved.push(selector),
            Err(error) => self.unknown(fact, error),
        }
    }

    fn unknown(&mut self, fact: &str, reason: impl std::fmt::Display) {
        self.unknown.push(UnknownSelector {
            kind: format!("unix:{fact}"),
            reason: reason.to_string(),
        });
    }

    fn id(&mut self, fact: &str, id: u32, stand_in: StandIn) {
        if stand_in.is(id) {
            self.unknown(fact, format_args!("the agent's user namespace does not map it: {id} stands for every such id"));
        } else {
            self.prove(fact, &id.to_string());
        }
    }

    fn name(&mut self, fact: &str, id: u32, stand_in: StandIn, name: Option<String>) {
        match name {
            _ if stand_in.is(id) => self.unknown(fact, "the agent's user namespace does not map its id"),
            Some(name) => self.prove(fact, &name),
            None => self.unknown(fact, format_args!("the machine has no name for {id}")),
        }
    }

    fn unknown_executable(&mut self, wanted: WantedFacts, reason: impl std::fmt::Display) {
        for fact in [("path", wanted.path), ("sha256", wanted.sha256)]
            .into_iter()
            .filter_map(|(fact, wanted)| wanted.then_some(fact))
        {
            self.unknown(fact, &reason);
        }
    }
}
