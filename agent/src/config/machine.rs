//! What a valid configuration names and a machine lacks: no mistake of the file, which may be checked elsewhere than where it is used.

use std::fs::metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use platform::config::{Mistake, Mistakes, TableMistakes};
use platform::file_set::Ownership;

use super::sink::SinkConfig;
use crate::reload::{ReloadAction, ReloadHook};
use crate::sinks::read_password;

/// Any of the bits that let somebody execute a file.
const EXECUTABLE: u32 = 0o111;

/// Returns what the sinks of a file need and this machine has not: users, groups, directories, passwords, commands. `sinks` are all those of its tables, in
/// their order. It may wait for the name service and the disk.
#[must_use]
pub fn lacking(sinks: &[SinkConfig]) -> Vec<Mistake> {
    let mut lacks = Mistakes::new();
    for (index, sink) in sinks.iter().enumerate() {
        of_sink(&mut lacks.within(format!("sink[{index}]")), sink);
    }
    lacks.finish(None, Some(())).err().map(|told| told.mistakes).unwrap_or_default()
}

fn of_sink(lacks: &mut TableMistakes<'_>, sink: &SinkConfig) {
    lacks.check("owner", Ownership::resolve(sink.owner.as_deref(), None, sink.key_mode));
    lacks.check("group", Ownership::resolve(None, sink.group.as_deref(), sink.key_mode));
    if let Some(parent) = sink.directory.parent().filter(|parent| !parent.is_dir()) {
        lacks.add("directory", format_args!("there is no directory {}", parent.display()));
    }
    if let Some(file) = &sink.contents.keystore_password_file
        && let Err(error) = read_password(file)
    {
        lacks.add("keystore_password_file", error.text());
    }
    for (index, hook) in sink.hooks.iter().enumerate() {
        of_hook(&mut lacks.within(&format!("reload[{index}]")), hook);
    }
}

fn of_hook(lacks: &mut TableMistakes<'_>, hook: &ReloadHook) {
    if let ReloadAction::Command(command) = &hook.action
        && !is_program(Path::new(command.program()))
    {
        lacks.add("command", format_args!("there is no program {}", command.program()));
    }
}

fn is_program(path: &Path) -> bool {
    metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & EXECUTABLE != 0)
}

#[cfg(test)]
mod tests {
    use platform::config::read_toml_text;
    use platform::paths::Environment;

    use super::*;
    use crate::config::{AgentConfig, RawAgentConfig};

    fn lacking_of(rest: &str) -> Vec<String> {
        let text = format!("[[sink]]\nspiffe_id = '/first'\ndirectory = '/tmp/first'\n[[sink]]\nspiffe_id = '/web'\n{rest}\n");
        let raw = read_toml_text(&text, RawAgentConfig::KNOWN_KEYS).unwrap();
        let config = AgentConfig::new(raw, &Environment::default()).unwrap();
        lacking(&config.sinks).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_this_machine_lacks_is_named_by_its_key() {
        let whole = "directory = '/no/such/parent/svid'\nowner = 'no-such-user-here'\ngroup = 'no-such-group-here'\nformats = ['pkcs12']\n\
                     keystore_password_file = '/no/such/password'\n[[sink.reload]]\ncommand = ['/no/such/program']\n\
                     [[sink.reload]]\ncommand = ['/tmp']\n[[sink.reload]]\ncommand = ['true']\nshell = true\n";
        let told = lacking_of(whole);
        let expected = [
            "sink[1].owner: there is no user no-such-user-here on this machine",
            "sink[1].group: there is no group no-such-group-here on this machine",
            "sink[1].directory: there is no directory /no/such/parent",
            "sink[1].reload[0].command: there is no program /no/such/program",
            "sink[1].reload[1].command: there is no program /tmp",
        ];
        for expected in expected {
            assert!(told.iter().any(|told| told == expected), "{expected}: {told:#?}");
        }
        assert!(told.iter().any(|told| told.starts_with("sink[1].keystore_password_file: ")), "{told:#?}");
        assert_eq!(told.len(), expected.len() + 1, "{told:#?}");
    }

    #[test]
    fn a_machine_that_has_it_all_lacks_nothing() {
        assert_eq!(lacking_of("directory = '/tmp/svid'\nowner = 'root'\ngroup = '12345'"), Vec::<String>::new());
    }
}
