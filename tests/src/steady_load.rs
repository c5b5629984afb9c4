//! A steady load on a service while its credentials change: not one request may fail, and each certificate of the sink must be presented.
//!
//! ```no_run
//! # use std::path::Path;
//! # use tests::steady_load::{Rotations, SteadyLoad, TlsClient, http_get};
//! # let (bundle, sink) = (Path::new("bundle.pem"), Path::new("svid"));
//! let client = TlsClient::new("127.0.0.1:8443", "spiffe://td.example/web", bundle);
//! client.until_answered(http_get);
//! let load = SteadyLoad::start(vec![client.clone().new_connections(http_get), client.kept_alive(http_get)]);
//! let serials = Rotations::of(sink).each_presented(10, || load.presented());
//! load.end().without_failure().presented_in_order(&serials);
//! ```

mod rotations;
mod tls_client;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rotations::{Rotations, serial_in};
pub use tls_client::{Ask, Connection, TlsClient, http_get};

/// How long a way rests between two requests: the load is steady, not the most that the service can take.
const REST: Duration = Duration::from_millis(20);

/// The most failures whose text is kept.
const KEPT_FAILURES: usize = 10;

/// One request after the other by some way: each returns the serial that the service presented, nothing when it presented none (a connection that was
/// open), and in words what failed.
pub type Way = Box<dyn FnMut() -> Result<Option<String>, String> + Send>;

/// Lets a way rest longer between two requests: one that starts a program each time would be a load on the machine, not on the service.
#[must_use]
pub fn every(rest: Duration, mut way: Way) -> Way {
    Box::new(move || {
        let outcome = way();
        std::thread::sleep(rest);
        outcome
    })
}

/// A load that goes on until it is ended, one thread for each way.
#[derive(Debug)]
pub struct SteadyLoad {
    counted: Arc<Mutex<Counted>>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Requests that were answered, by each way.
    pub good: Vec<u64>,
    /// Requests that were not.
    pub failed: u64,
    /// The serials that were presented, each once, in the order in which they were seen first.
    pub presented: Vec<String>,
    /// The serial that was presented last.
    pub latest: Option<String>,
    /// What the first failures were, with their time since the start.
    pub failures: Vec<String>,
}

impl SteadyLoad {
    /// Starts a load by these ways. The service answers already.
    #[must_use]
    pub fn start(ways: Vec<Way>) -> Self {
        let counted = Arc::new(Mutex::new(Counted {
            good: vec![0; ways.len()],
            ..Counted::default()
        }));
        let ending = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let threads = ways.into_iter().enumerate().map(|(number, way)| {
            let (counted, ending) = (Arc::clone(&counted), Arc::clone(&ending));
            std::thread::spawn(move || keep_asking(way, &ending, |outcome| locked(&counted).note(number, started, outcome)))
        });
        Self {
            threads: threads.collect(),
            counted,
            ending,
        }
    }

    /// Returns the serial that was presented last.
    #[must_use]
    pub fn presented(&self) -> Option<String> {
        locked(&self.counted).latest.clone()
    }

    /// Returns what it came to so far.
    #[must_use]
    pub fn so_far(&self) -> Counted {
        locked(&self.counted).clone()
    }

    /// Ends it, and returns what it came to.
    #[must_use]
    pub fn end(mut self) -> Counted {
        self.stop();
        self.so_far()
    }

    fn stop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if let Err(panicked) = thread.join()
                && !std::thread::panicking()
            {
                std::panic::resume_unwind(panicked);
            }
        }
    }
}

impl Drop for SteadyLoad {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- the load: {}", locked(&self.counted));
        }
    }
}

fn locked(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_asking(mut way: Way, ending: &AtomicBool, mut note: impl FnMut(Result<Option<String>, String>)) {
    while !ending.load(Ordering::Relaxed) {
        note(way());
        std::thread::sleep(REST);
    }
}

impl Counted {
    fn note(&mut self, way: usize, started: Instant, outcome: Result<Option<String>, String>) {
        match outcome {
            Ok(serial) => {
                self.good[way] += 1;
                if let Some(serial) = serial {
                    self.see(serial);
                }
            }
            Err(failure) => {
                self.failed += 1;
                if self.failures.len() < KEPT_FAILURES {
                    self.failures.push(format!("way {way} after {:?}: {failure}", started.elapsed()));
                }
            }
        }
    }

    fn see(&mut self, serial: String) {
        if !self.presented.contains(&serial) {
            self.presented.push(serial.clone());
        }
        self.latest = Some(serial);
    }

    /// Returns itself when no request failed and each way asked more often than ten times.
    ///
    /// # Panics
    ///
    /// When one failed, or it was no load.
    #[must_use]
    pub fn without_failure(self) -> Self {
        assert_eq!(self.failed, 0, "{self}");
        assert!(self.good.iter().all(|&good| good > 10), "it is no load: {self}");
        self
    }

    /// These serials were presented, in this order; others may stand between them.
    ///
    /// # Panics
    ///
    /// When one is missing or stands elsewhere.
    pub fn presented_in_order(&self, serials: &[String]) {
        let mut seen = self.presented.iter();
        assert!(
            serials.iter().all(|serial| seen.any(|presented| presented == serial)),
            "expected {serials:?} of {self}"
        );
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { good, failed, presented, .. } = self;
        write!(f, "answered {good:?}, failed {failed}, presented {presented:?}")?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}
