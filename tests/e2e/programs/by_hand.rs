//! Until the agent runs hooks itself.
use std::path::PathBuf;
use std::process::Command;

pub(super) fn driven(text: &str) -> String {
    let mut table: toml::Table = text.parse().expect("toml");
    for sink in table["sink"].as_array_mut().expect("sinks") {
        let sink = sink.as_table_mut().expect("a table");
        sink.remove("formats");
        let directory = PathBuf::from(sink["directory"].as_str().expect("dir"));
        let Some(hooks) = sink.remove("reload") else { continue };
        let owner = sink["owner"].as_str().expect("owner").to_owned();
        std::thread::spawn(move || {
            let mut seen = String::new();
            loop {
                std::thread::sleep(std::time::Duration::from_millis(50));
                if let Some(serial) = tests::steady_load::serial_in(&directory.join("svid.pem"))
                    && serial != seen
                {
                    seen = serial;
                    let combined = [directory.join("svid_key.pem"), directory.join("svid.pem")]
                        .map(|file| std::fs::read_to_string(file).expect("x"))
                        .concat();
                    std::fs::write(directory.join("..data/svid_combined.pem"), combined).expect("x");
                    let _ = Command::new("chown").arg(&owner).arg(directory.join("..data/svid_combined.pem")).status();
                    let _ = std::os::unix::fs::symlink("..data/svid_combined.pem", directory.join("svid_combined.pem"));
                    for hook in hooks.as_array().expect("hooks") {
                        if let Some(pid) = hook.get("pid_file") {
                            let pid = std::fs::read_to_string(pid.as_str().expect("path")).unwrap_or_default();
                            let _ = Command::new("kill").args(["-HUP", pid.lines().next().unwrap_or("").trim()]).status();
                        } else {
                            let command: Vec<_> = hook["command"].as_array().expect("c").iter().map(|w| w.as_str().expect("w")).collect();
                            let out = super::as_user_of_package(&owner, command[0]).env_clear().args(&command[1..]).output();
                            eprintln!("{out:?}");
                        }
                    }
                }
            }
        });
    }
    toml::to_string(&table).expect("toml")
}
