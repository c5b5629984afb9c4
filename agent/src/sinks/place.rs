//! The directory of a sink, and what is done in it: by a thread that may wait for the disk.

use std::sync::Arc;

use platform::file_set::{self, Delivery, Directory, Ownership};
use trust_domains::delivery::SetFile;

use super::config::FileSinkConfig;
use super::contents::{Composer, Material};
use super::error::SinkError;

/// What the directory shall show.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// What is there already; with the reason, if that is old.
    AsItIs(Option<String>),
    /// The SVID, the bundles and the tokens.
    Files(Material),
    /// Nothing that the sink made.
    Nothing,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    /// How the files got there.
    pub(super) delivery: Delivery,
    /// Why they are less than is asked for, if they are.
    pub(super) lack: Option<String>,
}

/// The directory, with what is needed to open it and to make its files.
pub(super) struct Place {
    config: FileSinkConfig,
    composer: Composer,
    directory: Option<Directory>,
}

impl Place {
    pub(super) fn new(config: FileSinkConfig) -> Self {
        Self {
            composer: Composer::new(config.contents.clone()),
            config,
            directory: None,
        }
    }

    /// Makes the directory show what it shall; what it shows already is only looked after.
    fn deliver(&mut self, wanted: &Wanted) -> Result<Done, SinkError> {
        let directory = match self.directory.take() {
            Some(directory) => directory.check_again()?,
            None => {
                let directory = Directory::open(&self.config.directory)?;
                file_set::recover(&directory)?;
                directory
            }
        };
        let directory = self.directory.insert(directory);
        let mut lack = None;
        let delivery = match wanted {
            Wanted::AsItIs(_) => Delivery::Unchanged,
            Wanted::Nothing => {
                file_set::withdraw(directory)?;
                Delivery::Published
            }
            Wanted::Files(material) => {
                let files: Arc<[SetFile]> = self.composer.files(material, |name| Ok(file_set::read(directory, name)?))?;
                lack = self.composer.lack(material);
                let ownership = Ownership::resolve(self.config.owner.as_deref(), self.config.group.as_deref(), self.config.key_mode)?;
                file_set::deliver(directory, self.config.layout, &files, &ownership)?
            }
        };
        Ok(Done { delivery, lack })
    }

    /// Delivers on a thread that may wait for the disk; the place comes back.
    pub(super) async fn deliver_away_from_runtime(mut self, wanted: Wanted) -> (Self, Result<Done, SinkError>) {
        let config = self.config.clone();
        let delivering = tokio::task::spawn_blocking(move || {
            let delivered = self.deliver(&wanted);
            (self, delivered)
        });
        match delivering.await {
            Ok(done) => done,
            Err(stopped) => {
                let error = SinkError::Interrupted {
                    directory: config.directory.clone(),
                    source: std::io::Error::other(stopped),
                };
                (Self::new(config), Err(error))
            }
        }
    }
}
