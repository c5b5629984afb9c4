//! Who puts a sink's files in place: this process, or one that has only the rights of their owner.

use std::path::PathBuf;

use platform::file_set::{self, Delivery, Directory, FileSetError, KeyMode, Layout, Ownership, identity_of, prepare_for};
use platform::privilege::{Identity, may_become_others};
use platform::process::effective_uid;
use trust_domains::delivery::{FileName, SetFile};
use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use super::helper::{Helper, HelperError, opened};

/// Where a set goes and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The directory.
    pub(super) directory: PathBuf,
    /// The owner as configured.
    pub(super) owner: Option<String>,
    /// The group as configured.
    pub(super) group: Option<String>,
    /// The mode of keys.
    pub(super) key_mode: KeyMode,
}

/// Puts sets in place. All of it may wait for the disk, for the name service, or for a helper.
#[derive(Debug)]
pub(super) struct Writer {
    target: Target,
    hands: Hands,
}

#[derive(Debug)]
enum Hands {
    /// This process, and the directory once it is open.
    InProcess(Option<Directory>),
    /// A process of the owner's. It lives until the sink ends, or until it fails.
    Helper(Helper),
}

/// Nothing is open, and nobody works.
const IDLE: Hands = Hands::InProcess(None);

/// Why files could not be put in place; what was there before stays.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// By this process.
    #[error(transparent)]
    FileSet(#[from] FileSetError),
    /// By a helper.
    #[error(transparent)]
    Helper(#[from] HelperError),
}

impl Coded for WriteError {
    fn code(&self) -> Code {
        match self {
            Self::FileSet(error) => error.code(),
            Self::Helper(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::FileSet(error) => error.hint(),
            Self::Helper(error) => error.hint(),
        }
    }
}

impl Writer {
    pub(super) const fn new(target: Target) -> Self {
        Self { target, hands: IDLE }
    }

    /// Opens the directory, or looks at it again.
    pub(super) fn look(&mut self) -> Result<(), WriteError> {
        let target = self.target.clone();
        let looked = self.with(|hands| match hands {
            Hands::Helper(helper) => Ok(helper.look()?),
            Hands::InProcess(open) => Ok(in_process(open, &target).map(|_| ())?),
        });
        if looked.is_err() {
            // The directory may be one that root has to make, once what is above it is put right: that is done before a helper begins.
            self.hands = IDLE;
        }
        looked
    }

    /// Reads a small file of the set that is in place.
    pub(super) fn read(&mut self, name: &FileName) -> Result<Option<Zeroizing<Vec<u8>>>, WriteError> {
        let target = self.target.clone();
        self.with(|hands| match hands {
            Hands::Helper(helper) => Ok(helper.read(name)?),
            Hands::InProcess(open) => Ok(file_set::read(in_process(open, &target)?, name)?),
        })
    }

    /// Puts a set in place.
    pub(super) fn deliver(&mut self, layout: Layout, files: &[SetFile]) -> Result<Delivery, WriteError> {
        let target = self.target.clone();
        self.with(|hands| match hands {
            Hands::Helper(helper) => Ok(helper.deliver(layout, target.key_mode, files)?),
            Hands::InProcess(open) => {
                let ownership = Ownership::resolve(target.owner.as_deref(), target.group.as_deref(), target.key_mode)?;
                Ok(file_set::deliver(in_process(open, &target)?, layout, files, &ownership)?)
            }
        })
    }

    /// Removes what was put in place.
    pub(super) fn withdraw(&mut self) -> Result<(), WriteError> {
        let target = self.target.clone();
        self.with(|hands| match hands {
            Hands::Helper(helper) => Ok(helper.withdraw()?),
            Hands::InProcess(open) => Ok(file_set::withdraw(in_process(open, &target)?)?),
        })
    }

    /// Does something with the hands that are right for the owner as it is now; those that failed are let go.
    fn with<T>(&mut self, work: impl FnOnce(&mut Hands) -> Result<T, WriteError>) -> Result<T, WriteError> {
        self.choose()?;
        let done = work(&mut self.hands);
        if done.as_ref().is_err_and(is_final) {
            self.hands = IDLE;
        }
        done
    }

    /// Takes a helper if the owner is another user and this process may start one as that user.
    fn choose(&mut self) -> Result<(), WriteError> {
        let Some(owner) = self.target.other_owner()? else {
            if matches!(self.hands, Hands::Helper(_)) {
                self.hands = IDLE;
            }
            return Ok(());
        };
        if matches!(&self.hands, Hands::Helper(helper) if helper.identity() == owner) {
            return Ok(());
        }
        // Its lock on the directory goes first.
        self.hands = IDLE;
        if effective_uid() == 0 {
            prepare_for(&self.target.directory, owner)?;
        }
        self.hands = Hands::Helper(Helper::start(owner, &self.target.directory)?);
        Ok(())
    }
}

/// Returns whether a helper must be started anew: it is gone, or in the middle of something.
const fn is_final(error: &WriteError) -> bool {
    match error {
        WriteError::Helper(HelperError::Told(_)) => false,
        WriteError::FileSet(_) | WriteError::Helper(_) => true,
    }
}

impl Target {
    /// Returns the owner if all work is to be done with that user's rights.
    fn other_owner(&self) -> Result<Option<Identity>, FileSetError> {
        let Some(owner) = self.owner.as_deref() else { return Ok(None) };
        if !may_become_others() {
            return Ok(None);
        }
        let uid = identity_of(owner, Some("0"))?.uid;
        if uid == effective_uid() {
            return Ok(None);
        }
        identity_of(owner, self.group.as_deref()).map(Some)
    }
}

fn in_process<'a>(open: &'a mut Option<Directory>, target: &Target) -> Result<&'a Directory, FileSetError> {
    let directory = opened(open.take(), &target.directory)?;
    Ok(open.insert(directory))
}
