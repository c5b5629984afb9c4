//! Reloads by systemd's interface, played by python3-dbusmock on a bus of the test's own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use trust_domains::problem::{Code, Coded};

use super::*;

/// The longest that a bus or the mock takes to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bus lets everybody do everything: only this test knows where it is.
const BUS: &str = r#"<busconfig><type>custom</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>"#;

/// Ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bus with the mock on it.
struct Mocked {
    dir: tempfile::TempDir,
    bus: Connection,
    _processes: Vec<Ends>,
}

impl Mocked {
    async fn with(units: serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let address = format!("unix:path={}", at("bus").display());
        std::fs::write(at("bus.conf"), BUS.replace("SOCKET", at("bus").to_str().unwrap())).unwrap();
        let daemon = start(
            Command::new("dbus-daemon")
                .arg("--nofork")
                .arg(format!("--config-file={}", at("bus.conf").display())),
            "dbus-daemon",
        );
        let bus = until("the bus", async || connection::Builder::address(address.as_str()).unwrap().build().await.ok()).await;
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/src/reload/systemd_unit/systemd.py");
        let parameters = serde_json::json!({ "units": units, "log": at("calls") }).to_string();
        let mut mock = Command::new("/usr/bin/python3");
        mock.args(["-m", "dbusmock", "--system", "--template", template, "--parameters", &parameters])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &address);
        let mock = start(&mut mock, "python3-dbusmock");
        let names = zbus::fdo::DBusProxy::new(&bus).await.unwrap();
        until("the mock", async || {
            names.name_has_owner(SYSTEMD.try_into().unwrap()).await.unwrap().then_some(())
        })
        .await;
        Self {
            dir,
            bus,
            _processes: vec![mock, daemon],
        }
    }

    async fn ask(&self, unit: &str, action: UnitAction) -> Result<UnitReload, UnitError> {
        let hook = UnitHook {
            unit: unit.parse().unwrap(),
            action,
        };
        hook.ask_on(&self.bus).await.map_err(|fault| UnitError::new(&hook.unit, fault))
    }

    fn calls(&self) -> Vec<String> {
        let log: PathBuf = self.dir.path().join("calls");
        std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn start(command: &mut Command, package: &str) -> Ends {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    Ends(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: install the Debian packages dbus and python3-dbusmock ({package})")),
    )
}

async fn until<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(value) = ready().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}: are the Debian packages dbus and python3-dbusmock installed?"))
}

#[tokio::test]
async fn a_reload_is_done_when_its_own_job_is_done_whether_told_before_or_after_the_answer() {
    let systemd = Mocked::with(serde_json::json!({ "web.service": {}, "quick.service": { "early": true }, "slow.service": { "delay_ms": 300 } })).await;
    for unit in ["web.service", "quick.service", "slow.service"] {
        assert_eq!(systemd.ask(unit, UnitAction::Reload).await.unwrap(), UnitReload::Done, "{unit}");
    }
    assert_eq!(systemd.ask("web.service", UnitAction::ReloadOrRestart).await.unwrap(), UnitReload::Done);
    assert_eq!(systemd.ask("web.service", UnitAction::Signal(1)).await.unwrap(), UnitReload::Done);
    let calls = [
        "ReloadUnit web.service replace",
        "ReloadUnit quick.service replace",
        "ReloadUnit slow.service replace",
    ];
    let more = ["ReloadOrRestartUnit web.service replace", "KillUnit web.service main 1"];
    assert_eq!(systemd.calls(), [calls.as_slice(), more.as_slice()].concat());
}

#[tokio::test]
async fn a_unit_that_does_not_run_is_left_alone() {
    let systemd = Mocked::with(
        serde_json::json!({ "web.service": { "active": "inactive" }, "broken.service": { "active": "failed" }, "new.service": { "active": "activating" } }),
    )
    .await;
    for (unit, state) in [("web.service", "inactive"), ("broken.service", "failed")] {
        for action in [UnitAction::Reload, UnitAction::ReloadOrRestart, UnitAction::Signal(1)] {
            let state = state.to_owned();
            assert_eq!(systemd.ask(unit, action).await.unwrap(), UnitReload::NotRunning { state }, "{unit} {action:?}");
        }
    }
    assert!(systemd.calls().is_empty());
    assert_eq!(
        systemd.ask("new.service", UnitAction::Reload).await.unwrap(),
        UnitReload::Done,
        "it may have read the files before these"
    );
}

#[tokio::test]
async fn what_systemd_refuses_is_told_with_what_to_do() {
    let refuse = |error: &str| serde_json::json!({ "refuse": [error, "Interactive authentication required."] });
    let systemd = Mocked::with(serde_json::json!({
        "failed.service": { "result": "failed" },
        "masked.service": { "load": "masked" },
        "polkit.service": refuse("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"),
        "policy.service": refuse("org.freedesktop.DBus.Error.AccessDenied"),
        "agent.service": refuse("org.freedesktop.PolicyKit1.Error.NotAuthorized"),
        "static.service": refuse("org.freedesktop.systemd1.JobTypeNotApplicable"),
        "busy.service": refuse("org.freedesktop.systemd1.ShuttingDown"),
    }))
    .await;
    let cases = [
        ("failed.service", Code::UnitReloadFailed, "journalctl -u failed.service"),
        ("masked.service", Code::UnitNotReloadable, "systemctl status masked.service"),
        ("absent.service", Code::UnitNotReloadable, "systemctl status absent.service"),
        ("polkit.service", Code::UnitRefused, "polkit rule for polkit.service"),
        ("policy.service", Code::UnitRefused, "polkit rule for policy.service"),
        ("agent.service", Code::UnitRefused, "polkit rule for agent.service"),
        ("static.service", Code::UnitNotReloadable, "ExecReload="),
        ("busy.service", Code::CannotReach, "systemd"),
    ];
    for (unit, code, hint) in cases {
        let refused = systemd.ask(unit, UnitAction::Reload).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(refused.hint().contains(hint), "{unit}: {}", refused.hint());
        assert!(refused.to_string().contains(unit));
    }
    assert_eq!(
        systemd.ask("polkit.service", UnitAction::Signal(1)).await.unwrap_err().code(),
        Code::UnitRefused
    );
}

#[tokio::test]
async fn a_bus_without_systemd_cannot_be_asked() {
    let systemd = Mocked::with(serde_json::json!({})).await;
    let names = zbus::fdo::DBusProxy::new(&systemd.bus).await.unwrap();
    drop(systemd._processes);
    let gone = until("the end of the bus", async || names.list_names().await.err()).await;
    assert!(!gone.to_string().is_empty());
    let hook = UnitHook {
        unit: "web.service".parse().unwrap(),
        action: UnitAction::Reload,
    };
    let fault = hook.ask_on(&systemd.bus).await.unwrap_err();
    assert_eq!(UnitError::new(&hook.unit, fault).code(), Code::CannotReach);
}
