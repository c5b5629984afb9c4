//! The helper's side: a process with its owner's rights and nothing else, which does what the agent asks in one directory.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use platform::file_set::{self, Directory, FileSetError, KeyMode, Ownership};
use platform::privilege::{Identity, become_for_good, close_inherited};
use trust_domains::delivery::SetFile;
use trust_domains::problem::{Code, Coded};

use super::WORDS;
use super::channel::Channel;
use super::message::{Announced, Reply, Request, Told};

/// What a process was started for: to be the helper of a sink.
#[derive(Debug, PartialEq, Eq)]
pub struct HelperDuty {
    identity: Identity,
    directory: PathBuf,
}

/// The process could not give up the agent's rights.
#[derive(Debug, thiserror::Error)]
#[error("the helper could not take on its owner's rights")]
struct NotDropped(#[source] io::Error);

impl Coded for NotDropped {
    fn code(&self) -> Code {
        Code::Internal
    }

    fn hint(&self) -> String {
        "let the agent's service change ids: CAP_SETUID, CAP_SETGID and SystemCallFilter=@setuid capset (docs/systemd.md)".to_owned()
    }
}

impl HelperDuty {
    /// Reads the words that a process was started with; `None` for everything but a helper.
    #[must_use]
    pub fn of(words: &[OsString]) -> Option<Self> {
        let [_program, agent, helper, uid, gid, directory] = words else { return None };
        if [agent, helper] != WORDS {
            return None;
        }
        let number = |word: &OsString| word.to_str()?.parse().ok();
        Some(Self {
            identity: Identity {
                uid: number(uid)?,
                gid: number(gid)?,
            },
            directory: directory.into(),
        })
    }

    /// Drops everything but the owner's rights, then serves the agent over standard input until the agent ends it. For a process with one thread.
    #[must_use]
    pub fn perform(self) -> ExitCode {
        let dropped = close_inherited().and_then(|()| become_for_good(self.identity));
        let Ok(stream) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
            return ExitCode::FAILURE;
        };
        let mut channel = Channel::new(stream);
        let served = match dropped {
            Ok(()) => channel
                .send(&Reply::Done, [])
                .and_then(|()| Room::new(self.identity, self.directory).serve(&mut channel)),
            Err(error) => channel
                .send(&Reply::Failed(Told::of(&NotDropped(error))), [])
                .and(Err(io::ErrorKind::PermissionDenied.into())),
        };
        if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The one directory in which a helper works.
pub(super) struct Room {
    identity: Identity,
    path: PathBuf,
    directory: Option<Directory>,
}

impl Room {
    pub(super) const fn new(identity: Identity, path: PathBuf) -> Self {
        Self {
            identity,
            path,
            directory: None,
        }
    }

    /// Answers requests until there are no more.
    pub(super) fn serve(mut self, channel: &mut Channel) -> io::Result<()> {
        while let Some(request) = channel.receive()? {
            match request {
                Request::Deliver { layout, key_mode, files } => {
                    let files = contents(channel, files)?;
                    let key_mode = key_mode.parse::<KeyMode>().map_err(|_| io::ErrorKind::InvalidData)?;
                    let ownership = Ownership::of(self.identity, key_mode);
                    let delivered = self.open().and_then(|directory| file_set::deliver(directory, layout, &files, &ownership));
                    drop(files);
                    answer(channel, delivered.map(|delivery| Reply::Delivered { delivery }))?;
                }
                Request::Look => {
                    let looked = self.open().map(|_| Reply::Done);
                    answer(channel, looked)?;
                }
                Request::Read { name } => self.read(&name, channel)?,
                Request::Withdraw => {
                    let withdrawn = self.open().and_then(file_set::withdraw);
                    answer(channel, withdrawn.map(|()| Reply::Done))?;
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, name: &trust_domains::delivery::FileName, channel: &mut Channel) -> io::Result<()> {
        match self.open().and_then(|directory| file_set::read(directory, name)) {
            Ok(found) => {
                let length = found.as_ref().map(|content| u32::try_from(content.len()).unwrap_or(u32::MAX));
                channel.send(&Reply::Found { length }, found.as_ref().map(|content| content.as_slice()))
            }
            Err(error) => channel.send(&Reply::Failed(Told::of(&error)), []),
        }
    }

    fn open(&mut self) -> Result<&Directory, FileSetError> {
        let opened = opened(self.directory.take(), &self.path)?;
        Ok(self.directory.insert(opened))
    }
}

/// Returns the directory, looked at again or opened for the first time; what a crash left is removed then.
pub(in crate::sinks) fn opened(before: Option<Directory>, path: &Path) -> Result<Directory, FileSetError> {
    if let Some(directory) = before {
        return directory.check_again();
    }
    let directory = Directory::open(path)?;
    file_set::recover(&directory)?;
    Ok(directory)
}

fn answer(channel: &mut Channel, outcome: Result<Reply, FileSetError>) -> io::Result<()> {
    let reply = outcome.unwrap_or_else(|error| Reply::Failed(Told::of(&error)));
    channel.send(&reply, [])
}

fn contents(channel: &mut Channel, files: Vec<Announced>) -> io::Result<Vec<SetFile>> {
    let received = files.into_iter().map(|file| {
        Ok(SetFile {
            content: channel.content(file.length)?,
            name: file.name,
            secret: file.secret,
        })
    });
    received.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duty(words: &[&str]) -> Option<HelperDuty> {
        HelperDuty::of(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_words_of_a_helper_make_one() {
        let expected = HelperDuty {
            identity: Identity { uid: 12, gid: 34 },
            directory: "/d".into(),
        };
        assert_eq!(duty(&["troth", "agent", "sink-helper", "12", "34", "/d"]), Some(expected));
        for others in [
            &["troth", "agent", "run"][..],
            &["troth", "agent", "sink-helper", "12", "34"],
            &["troth", "agent", "sink-helper", "-1", "34", "/d"],
            &["troth", "agent", "sink-helper", "root", "34", "/d"],
            &["troth", "server", "sink-helper", "12", "34", "/d"],
        ] {
            assert_eq!(duty(others), None, "{others:?}");
        }
    }
}
