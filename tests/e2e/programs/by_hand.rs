//! Reloads by hand, for an agent that does not know `[[sink.reload]]`: what the tables of the page say is done here after each swap. With an agent that does,
//! this file goes, and [`super::Plan::start`] writes the configuration as it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tests::steady_load::serial_in;
use toml::{Table, Value};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Takes the reloads out of a configuration, and does them until the tests end.
pub(super) fn without_reloads(config: &str) -> String {
    let mut config: Table = config.parse().expect("a configuration in TOML");
    for sink in config["sink"].as_array_mut().expect("sinks") {
        let sink = sink.as_table_mut().expect("a table");
        let (directory, owner) = (PathBuf::from(text(&sink["directory"])), text(&sink["owner"]));
        if let Some(hooks) = sink.remove("reload") {
            std::thread::spawn(move || follow(&directory, &owner, hooks.as_array().expect("tables")));
        }
    }
    toml::to_string(&config).expect("a configuration")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn follow(directory: &Path, owner: &str, hooks: &[Value]) {
    let mut done = None;
    loop {
        let files = ["svid.pem", "svid_combined.pem"].map(|file| directory.join(file));
        let serial = files.iter().find_map(|file| serial_in(file));
        if serial.is_some() && serial != done && hooks.iter().all(|hook| perform(owner, hook)) {
            done = serial;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Returns whether it worked; the program may not have started yet.
fn perform(owner: &str, hook: &Value) -> bool {
    let mut command = match hook.get("pid_file") {
        Some(file) => {
            let pid = std::fs::read_to_string(text(file)).unwrap_or_default();
            let mut kill = Command::new("kill");
            kill.args([&format!("-{}", text(&hook["signal"])), pid.trim()]);
            kill
        }
        None => {
            let words: Vec<_> = hook["command"].as_array().expect("words").iter().map(text).collect();
            let mut command = super::as_user_of_package(owner, &words[0]);
            command.args(&words[1..]).env_clear();
            command
        }
    };
    command.output().expect("it starts").status.success()
}
