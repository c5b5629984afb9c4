//! The rights that units give, given without systemd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tests::command::troth_path;
use tests::domain::path_text;

pub(super) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd")
}

/// Returns a command that runs `troth` as a user with the capabilities of these units, and under their system-call filter.
pub(super) fn with_rights_of(units: &[PathBuf], user: u32) -> Command {
    let capabilities = format!("-all{}", capabilities(units));
    let user = user.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"]);
    for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
        command.args([set, &capabilities]);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/system_calls.py");
    // The interpreter of Debian has the library of the Debian package python3-seccomp.
    command.args(["--", "/usr/bin/python3", path_text(&script)]);
    command.args(units.iter().map(|unit| path_text(unit)));
    command.arg("--").arg(troth_path()).stdin(Stdio::null());
    command
}

/// The ambient capabilities of units, as setpriv names them.
fn capabilities(units: &[PathBuf]) -> String {
    let of = |unit: &PathBuf| {
        let unit = std::fs::read_to_string(unit).expect("a unit");
        let lines = unit.lines().filter_map(|line| line.strip_prefix("AmbientCapabilities="));
        lines.map(|line| format!("{line} ")).collect::<String>()
    };
    let named: String = units.iter().map(of).collect();
    named
        .split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect()
}
