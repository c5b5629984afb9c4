//! Which certificate a service should present, as the sink changes.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use trust_domains::x509::X509Svid;

use crate::domain::Agent;
use crate::wait::{PATIENCE, within};

/// The certificates of a sink, one after the other.
pub struct Rotations {
    current: Box<dyn Fn() -> Option<String>>,
    seen: Vec<String>,
}

impl fmt::Debug for Rotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotations").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Rotations {
    /// Follows `svid.pem` of a sink's directory.
    #[must_use]
    pub fn of(sink: &Path) -> Self {
        let file = sink.join("svid.pem");
        Self::with(move || serial_in(&file))
    }

    /// Follows what an agent says of its sink in this directory: for a sink without `svid.pem`.
    #[must_use]
    pub fn told_by(agent: &Agent, sink: &Path) -> Self {
        let (mut asking, sink) = (Agent::new(Path::new("/"), "asked"), sink.display().to_string());
        asking.data.clone_from(&agent.data);
        Self::with(move || {
            let status = asking.operator(&["agent", "status"]);
            let status = (status.code == 0).then(|| status.json())?;
            let mut sinks = status["sinks"].as_array()?.iter();
            let sink = sinks.find(|found| found["directory"] == *sink)?;
            sink["serial"].as_str().map(str::to_owned)
        })
    }

    /// Follows whatever says which serial is current.
    #[must_use]
    pub fn with(current: impl Fn() -> Option<String> + 'static) -> Self {
        Self {
            current: Box::new(current),
            seen: Vec::new(),
        }
    }

    /// Waits until there is a certificate that was not there before, and returns its serial. The first call returns the one that is there.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    pub fn next_serial(&mut self) -> String {
        let serial = self.within(PATIENCE, |serial| !serial.is_empty());
        let serial = serial.unwrap_or_else(|| panic!("no other certificate after {:?} within {PATIENCE:?}", self.seen));
        self.seen.push(serial.clone());
        serial
    }

    /// Waits until the sink has rotated so often, and after each time until the service presents the certificate of the sink; returns those serials, the
    /// one before the first rotation too.
    ///
    /// A rotation counts when its certificate was presented. When the sink has moved on before that (on a loaded machine), the next one is waited for.
    ///
    /// # Panics
    ///
    /// When the sink does not rotate, or the service does not present what the sink holds, in time.
    pub fn each_presented(&mut self, rotations: usize, presented: impl Fn() -> Option<String>) -> Vec<String> {
        while self.seen.len() <= rotations {
            let serial = self.within(PATIENCE, |current| presented().as_deref() == Some(current));
            let serial = serial.unwrap_or_else(|| {
                let now = (self.current)();
                panic!("after {:?} the sink has {now:?}, and {:?} is presented", self.seen, presented())
            });
            self.seen.push(serial);
        }
        self.seen.clone()
    }

    /// Waits for a current serial that is new and as wanted.
    fn within(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        within(limit, || {
            let serial = (self.current)()?;
            (!self.seen.contains(&serial) && wanted(&serial)).then_some(serial)
        })
    }
}

/// Returns the serial of the first certificate of a PEM file; nothing when there is none.
#[must_use]
pub fn serial_in(file: &Path) -> Option<String> {
    let svid = X509Svid::from_pem(&std::fs::read(file).ok()?).ok()?;
    Some(svid.leaf().serial().to_string())
}
