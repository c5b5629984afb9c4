//! Tables of hooks, right and wrong.

use platform::config::{ConfigMistakes, read_draft_text};
use platform::paths::Environment;

use crate::config::{AgentConfig, RawAgentConfig, SinkConfig};
use crate::reload::ReloadAction;
use crate::reload::systemd_unit::UnitAction;

fn read(table: &str) -> Result<SinkConfig, ConfigMistakes> {
    let text = format!("[[sink]]\nspiffe_id = '/web'\ndirectory = '/etc/web'\n{table}");
    let draft = read_draft_text::<RawAgentConfig>(&text, RawAgentConfig::KNOWN_KEYS)?;
    let config = draft.finish(|raw| AgentConfig::new(raw, &Environment::default()))?;
    Ok(config.sinks.into_iter().next().unwrap())
}

fn hook(table: &str) -> Result<SinkConfig, ConfigMistakes> {
    read(&format!("[[sink.reload]]\n{table}"))
}

#[test]
fn each_kind_of_hook_is_read() {
    for (table, name) in [
        ("signal = 'HUP'\npid_file = '/run/nginx.pid'", "signal HUP by /run/nginx.pid"),
        (
            "signal = 'USR1'\nselectors = ['unix:path:/usr/sbin/nginx', 'unix:uid:0']",
            "signal USR1 by selectors",
        ),
        ("signal = 'HUP'\nsystemd_unit = 'nginx.service'", "systemd unit nginx.service"),
        ("systemd_unit = 'nginx.service'", "systemd unit nginx.service"),
        ("command = ['/usr/sbin/nginx', '-s', 'reload']\ntimeout = '5s'", "command /usr/sbin/nginx"),
        ("command = ['kill -HUP $(cat /run/x)']\nshell = true", "command /bin/sh"),
        ("http = { url = 'http://127.0.0.1:9000/reload', method = 'PUT' }", "http"),
        (
            "http = { url = 'unix:/run/x.sock:/reload' }\nprobe = { address = '127.0.0.1:443', server_name = 'web.example', within = '5s' }",
            "http",
        ),
    ] {
        let sink = hook(table).unwrap();
        assert_eq!(sink.hooks.len(), 1);
        assert_eq!(sink.hooks[0].to_string(), name, "{table}");
        assert_eq!(sink.hooks[0].probe.is_some(), table.contains("probe"), "{table}");
    }
    let restart = hook("systemd_unit = 'x.service'\nor_restart = true").unwrap();
    assert!(matches!(&restart.hooks[0].action, ReloadAction::Unit(unit) if unit.action == UnitAction::ReloadOrRestart));
}

#[test]
fn hooks_keep_their_order_and_lists_their_interval() {
    let sink = read("crl_reload_interval = '5m'\n[[sink.reload]]\ncommand = ['/bin/a']\n[[sink.reload]]\nsignal = 'HUP'\npid_file = '/run/b.pid'\n").unwrap();
    assert_eq!(
        sink.hooks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["command /bin/a", "signal HUP by /run/b.pid"]
    );
    assert_eq!(sink.crl_reload_interval.as_secs(), 300);
    assert_eq!(read("").unwrap().crl_reload_interval.as_secs(), 60);
}

#[test]
fn every_mistake_is_named_under_its_key() {
    for (table, keys) in [
        ("", &["sink[0].reload[0]"][..]),
        ("signal = 'HUP'", &["sink[0].reload[0].signal"]),
        ("signal = 'KILL'\npid_file = '/run/x.pid'", &["sink[0].reload[0].signal"]),
        ("signal = 'HUP'\npid_file = 'x.pid'", &["sink[0].reload[0].pid_file"]),
        ("signal = 'HUP'\npid_file = '/x'\nselectors = ['unix:uid:0']", &["sink[0].reload[0].signal"]),
        ("signal = 'HUP'\nselectors = []", &["sink[0].reload[0].selectors"]),
        (
            "signal = 'HUP'\nselectors = ['k8s:ns:x', 'unix']",
            &["sink[0].reload[0].selectors[0]", "sink[0].reload[0].selectors[1]"],
        ),
        ("pid_file = '/run/x.pid'", &["sink[0].reload[0]"]),
        ("command = []", &["sink[0].reload[0].command"]),
        ("command = ['nginx']", &["sink[0].reload[0].command"]),
        ("command = ['/bin/sh', 'x']\nshell = true", &["sink[0].reload[0].command"]),
        ("command = ['/bin/x']\nsystemd_unit = 'x.service'", &["sink[0].reload[0]"]),
        ("systemd_unit = 'x.service'\nshell = true", &["sink[0].reload[0].shell"]),
        ("systemd_unit = '../x'", &["sink[0].reload[0].systemd_unit"]),
        ("http = { url = 'http://example.com/' }", &["sink[0].reload[0].http.url"]),
        (
            "http = { url = 'http://example.com/', method = 'DELETE' }",
            &["sink[0].reload[0].http.method", "sink[0].reload[0].http.url"],
        ),
        ("http = { method = 'GET' }", &["sink[0].reload[0].http.url"]),
        ("command = ['/bin/x']\ntimeout = '10'", &["sink[0].reload[0].timeout"]),
        ("command = ['/bin/x']\ntimeout = '6m'", &["sink[0].reload[0].timeout"]),
        (
            "command = ['/bin/x']\nprobe = { address = 'example.com:443' }",
            &["sink[0].reload[0].probe.address"],
        ),
        (
            "command = ['/bin/x']\nprobe = { address = '127.0.0.1:1', server_name = 'a b', starttls = 'smtp' }",
            &["sink[0].reload[0].probe.server_name", "sink[0].reload[0].probe.starttls"],
        ),
        (
            "command = ['/bin/x']\nprobe = { address = '127.0.0.1:1', within = '0s' }",
            &["sink[0].reload[0].probe.within"],
        ),
        (
            "command = ['/bin/x']\nprobe = { address = '127.0.0.1:1', within = 'x' }",
            &["sink[0].reload[0].probe.within"],
        ),
        ("comand = ['/bin/x']\nsignal = 'HUP'", &["sink[0].reload[0].comand", "sink[0].reload[0].signal"]),
    ] {
        let told = hook(table).unwrap_err();
        let mut found: Vec<_> = told.mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{table}: {told}");
    }
    for interval in ["0s", "25h", "60"] {
        let told = read(&format!("crl_reload_interval = '{interval}'")).unwrap_err();
        assert_eq!(told.mistakes[0].key, "sink[0].crl_reload_interval");
    }
}

#[test]
fn a_hook_is_shown_without_what_may_be_secret() {
    let sink = read("[[sink.reload]]\ncommand = ['/bin/a', '--token=s3cret']\n[[sink.reload]]\nhttp = { url = 'http://127.0.0.1:1/reload?token=s3cret' }\n[[sink.reload]]\nsignal = 'HUP'\nselectors = ['unix:user:s3cret']").unwrap();
    assert_eq!(sink.hooks.len(), 3);
    for hook in &sink.hooks {
        assert!(!hook.to_string().contains("s3cret"), "{hook}");
    }
    assert!(!format!("{:?}", sink.hooks[0]).contains("s3cret"));
}

#[test]
fn selectors_that_no_process_can_have_are_refused_as_those_of_entries_are() {
    for (selector, said) in [
        ("unix:uid", "unix:uid:VALUE"),
        ("unix:uid:abc", "unix:uid:abc"),
        ("unix:foo:1", "no attestor proves"),
        ("docker:image:x", "no attestor proves"),
    ] {
        let told = hook(&format!("signal = 'HUP'\nselectors = ['unix:uid:0', '{selector}']")).unwrap_err();
        let mistake = &told.mistakes[0];
        assert_eq!(
            (told.mistakes.len(), mistake.key.as_str(), mistake.line),
            (1, "sink[0].reload[0].selectors[1]", Some(6)),
            "{told}"
        );
        assert!(mistake.text.contains(said), "{told}");
    }
}
