//! Loaded modules. PKCS#11 has one state for each module in a process, so there is one of each here, whoever asks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use trust_domains::clock::Clock as _;

use super::error::Pkcs11Error;
use crate::clock::SystemClock;

/// How often a module may be started anew. It ends every session of the process, and takes a slow token a second.
const RESTART_AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// How long the end of a process waits for those who are in a module.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The modules of this process.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Arc<Module>>>> = LazyLock::new(Mutex::default);

/// A module that was loaded and initialised.
#[derive(Debug)]
pub(super) struct Module {
    path: PathBuf,
    running: RwLock<Running>,
}

/// A module between two starts.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) context: Pkcs11,
    /// Counts the starts: sessions and handles are of one.
    pub(super) start: u64,
    /// When that was, by the clock that counts from boot.
    since: Duration,
}

impl Module {
    /// Loads a module, or returns the one that is loaded.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, Pkcs11Error> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(path) {
            return Ok(Arc::clone(module));
        }
        let failed = |source| Pkcs11Error::Module {
            module: path.to_owned(),
            source,
        };
        let context = Pkcs11::new(path).map_err(failed)?;
        initialise(&context).map_err(failed)?;
        let module = Arc::new(Self {
            path: path.to_owned(),
            running: RwLock::new(Running {
                context,
                start: 0,
                since: SystemClock.now().since_boot,
            }),
        });
        modules.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the module as it runs. It is not started anew while this is held.
    pub(super) fn running(&self) -> RwLockReadGuard<'_, Running> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the module anew, unless somebody did since `start`, or did just now: some modules see a token that came back only then.
    pub(super) fn restart(&self, start: u64) -> Result<(), Pkcs11Error> {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.now().since_boot;
        if running.start != start || now.saturating_sub(running.since) < RESTART_AT_MOST_EVERY {
            return Ok(());
        }
        running.start += 1;
        running.since = now;
        // Whatever it says, what counts is whether it starts.
        let _ = running.context.clone().finalize();
        initialise(&running.context).map_err(|source| Pkcs11Error::Module {
            module: self.path.clone(),
            source,
        })
    }
}

/// Ends every module, for a process that ends: called last, from the main thread.
///
/// What the C library calls at an exit takes a module's memory away while threads of the process may still be in it, and some modules do not live through that
/// (SoftHSM did not in 5 of 300 runs of `server init`). PKCS#11 wants `C_Finalize` of every program (version 3.1, section 5.4). Who is in a module has
/// a second to leave it; afterwards nobody gets in.
pub fn end_modules() {
    let modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let until = SystemClock.now().since_boot + LEAVE_WITHIN;
    for module in modules.values() {
        while SystemClock.now().since_boot < until {
            if let Ok(running) = module.running.try_write() {
                // Whatever it says: the process ends.
                let _ = running.context.clone().finalize();
                // Never given back, so that whoever comes now waits until the process is gone.
                std::mem::forget(running);
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn initialise(context: &Pkcs11) -> Result<(), Error> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another library of this process uses the same module.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}
