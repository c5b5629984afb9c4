//! `troth version`.

use serde::Serialize;

use crate::args::Global;
use crate::failure::Failure;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// The revision of the SPIFFE standards that this version follows.
    spiffe_standards: &'static str,
}

/// Prints the version.
pub(crate) fn run(global: &Global) -> Result<(), Failure> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        spiffe_standards: "665a28f (2026-07-01)",
    };
    global.output().result(&version, |version| {
        format!("troth {} (SPIFFE standards {})", version.version, version.spiffe_standards)
    })
}
