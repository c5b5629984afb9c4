//! systemd as python3-dbusmock plays it, on a bus of the test's own: no bus of the machine is touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tests::domain::path_text;
use tests::process::Process;
use tests::wait::until;

/// The bus lets everybody do everything: only the test and its agent know where it is.
const BUS: &str = r#"<busconfig><type>custom</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy></busconfig>"#;

/// The same as the agent's own tests use.
const TEMPLATE: &str = include_str!("../../../agent/src/reload/systemd_unit/systemd.py");

pub(super) struct Systemd {
    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub(super) address: String,
    calls: PathBuf,
    _mock: Process,
    _bus: Process,
}

impl Systemd {
    /// Starts it with these units: the template says what each may have.
    pub(super) fn start(folder: &Path, units: &Value) -> Self {
        let at = |name: &str| folder.join(name);
        let socket = at("bus");
        std::fs::write(at("bus.conf"), BUS.replace("SOCKET", path_text(&socket))).expect("a file");
        std::fs::write(at("systemd.py"), TEMPLATE).expect("a file");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", &format!("--config-file={}", at("bus.conf").display())])
            .stdin(Stdio::null());
        let bus = Process::start(bus, &at("bus.log"));
        until("the bus (apt-get install dbus)", || socket.exists().then_some(()));
        let address = format!("unix:path={}", socket.display());
        let parameters = serde_json::json!({ "units": units, "log": at("calls") }).to_string();
        let mut mock = Command::new("/usr/bin/python3");
        mock.args([
            "-m",
            "dbusmock",
            "--system",
            "--template",
            path_text(&at("systemd.py")),
            "--parameters",
            &parameters,
        ]);
        let mock = Process::start(mock_on(mock, &address), &at("mock.log"));
        until("the mock (apt-get install python3-dbusmock)", || is_there(&address).then_some(()));
        Self {
            address,
            calls: at("calls"),
            _mock: mock,
            _bus: bus,
        }
    }

    /// Returns what it was asked, in order.
    pub(super) fn calls(&self) -> Vec<String> {
        std::fs::read_to_string(&self.calls).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn mock_on(mut mock: Command, address: &str) -> Command {
    mock.env("DBUS_SYSTEM_BUS_ADDRESS", address).stdin(Stdio::null());
    mock
}

/// Returns whether somebody owns systemd's name.
fn is_there(address: &str) -> bool {
    let mut ask = Command::new("dbus-send");
    ask.args([
        "--system",
        "--print-reply",
        "--dest=org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus.NameHasOwner",
        "string:org.freedesktop.systemd1",
    ]);
    let asked = mock_on(ask, address).output().expect("dbus-send starts (apt-get install dbus)");
    String::from_utf8_lossy(&asked.stdout).contains("boolean true")
}
