//! The directory of a sink, and what is done in it: by a thread that may wait for the disk.

use std::sync::Arc;

use platform::file_set::Delivery;
use trust_domains::Timestamp;
use trust_domains::delivery::{SetFile, TokenName};

use super::config::FileSinkConfig;
use super::contents::{Composer, Material};
use super::error::SinkError;
use super::later::LaterInPlace;
use super::share::Share;
use super::tokens::FoundTokens;
use super::writer::{Target, Writer};

/// What the directory shall show.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// What is there already; with the reason, if that is old.
    AsItIs(Option<String>),
    /// The SVID, the bundles and the tokens.
    Files(Material),
    /// Nothing that the sink made; with the reason.
    Nothing(String),
}

/// What was done.
#[derive(Debug, Clone)]
pub(super) struct Done {
    /// How the files got there.
    pub(super) delivery: Delivery,
    /// Why they are less than is asked for, if they are.
    pub(super) lack: Option<String>,
    /// What the files show: what was wanted, or that with a later SVID that was there.
    pub(super) shown: Option<Material>,
}

/// The directory, with who writes to it and what is needed to make its files.
pub(super) struct Place {
    config: FileSinkConfig,
    composer: Composer,
    later: LaterInPlace,
    share: Share,
    writer: Writer,
}

impl Place {
    pub(super) fn new(config: FileSinkConfig) -> Self {
        Self {
            composer: Composer::new(config.contents.clone()),
            later: LaterInPlace::default(),
            share: Share::default(),
            writer: Writer::new(Target {
                directory: config.directory.clone(),
                owner: config.owner.clone(),
                group: config.group.clone(),
                key_mode: config.key_mode,
            }),
            config,
        }
    }

    /// Makes the directory show what it shall; what it shows already is only looked after.
    fn deliver(&mut self, wanted: &Wanted, now: Timestamp) -> Result<Done, SinkError> {
        self.writer.look()?;
        let bare = |delivery| Done {
            delivery,
            lack: None,
            shown: None,
        };
        match wanted {
            Wanted::AsItIs(_) => Ok(bare(Delivery::Unchanged)),
            Wanted::Nothing(_) => {
                self.writer.withdraw()?;
                Ok(bare(Delivery::Published))
            }
            Wanted::Files(material) => self.deliver_files(material, now),
        }
    }

    fn deliver_files(&mut self, material: &Material, now: Timestamp) -> Result<Done, SinkError> {
        let writer = &mut self.writer;
        let formats = &self.config.contents.formats;
        let material = Material {
            view: self.share.of(
                &self.later.or_held(&material.view, formats, now, |name| Ok(writer.read(name)?))?,
                &self.config.contents,
            ),
            tokens: Arc::clone(&material.tokens),
        };
        let files: Arc<[SetFile]> = self.composer.files(&material, |name| Ok(writer.read(name)?))?;
        Ok(Done {
            lack: self.composer.lack(&material),
            delivery: self.writer.deliver(self.config.layout, &files)?,
            shown: Some(material),
        })
    }

    /// Delivers on a thread that may wait for the disk; the place comes back.
    pub(super) async fn deliver_away_from_runtime(self, wanted: Wanted, now: Timestamp) -> (Self, Result<Done, SinkError>) {
        self.away_from_runtime(move |place| place.deliver(&wanted, now)).await
    }

    /// Reads the tokens that are in place, as [`deliver_away_from_runtime`](Self::deliver_away_from_runtime) delivers.
    pub(super) async fn read_tokens(self, names: Vec<TokenName>) -> (Self, Result<FoundTokens, SinkError>) {
        self.away_from_runtime(move |place| {
            place.writer.look()?;
            let mut found = FoundTokens::default();
            for name in names {
                if let Some(content) = place.writer.read(name.file())? {
                    found.0.insert(name, content);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn away_from_runtime<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SinkError> + Send + 'static,
    ) -> (Self, Result<T, SinkError>) {
        let config = self.config.clone();
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&mut self);
            (self, done)
        });
        match working.await {
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
