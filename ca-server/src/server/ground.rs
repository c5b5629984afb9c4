//! What the rooms stand on: a data directory that is this process's, and the store in it.

use std::sync::Arc;

use platform::lock::DirectoryLock;

use super::RunError;
use crate::config::{DataDir, ServerConfig, StoreKind};
use crate::store::disk::Disk;
use crate::store::{SharedStore, SledStore};

/// A data directory that is locked, with its store.
pub(super) struct Ground {
    pub(super) lock: DirectoryLock,
    pub(super) store: SharedStore,
    /// Where the journal goes too.
    pub(super) disk: Disk,
}

impl Ground {
    /// Opens the store of a data directory.
    ///
    /// # Errors
    /// There is none, another process has it, or it is damaged.
    pub(super) async fn open(config: &ServerConfig, disk: Disk) -> Result<Self, RunError> {
        refuse_uninitialised(&config.data_dir)?;
        let lock = lock(&config.data_dir).await?;
        let store: SharedStore = match config.store {
            StoreKind::Sled => Arc::new(SledStore::open(&config.data_dir.store(), disk.clone())?),
        };
        Ok(Self { lock, store, disk })
    }
}

fn refuse_uninitialised(data_dir: &DataDir) -> Result<(), RunError> {
    if data_dir.unfinished().exists() {
        return Err(RunError::InitUnfinished {
            data_dir: data_dir.path().to_owned(),
        });
    }
    if !data_dir.store().exists() {
        return Err(RunError::NotInitialised {
            data_dir: data_dir.path().to_owned(),
        });
    }
    Ok(())
}

/// Taking the lock blocks for some seconds while another owner dies.
async fn lock(data_dir: &DataDir) -> Result<DirectoryLock, RunError> {
    let path = data_dir.path().to_owned();
    let locked = tokio::task::spawn_blocking(move || DirectoryLock::acquire(&path, DataDir::LOCK)).await;
    Ok(locked.map_err(|_| RunError::Interrupted)??)
}
