//! nginx with the configuration of `docs/integrations/nginx.md`.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::wait::until;

use super::gate::{Gate, honours_lists, is_answered};
use super::{Copied, World};

pub(crate) struct Nginx {
    process: Process,
    pub(crate) address: String,
    command: Box<dyn Fn() -> Process>,
    bundle: std::path::PathBuf,
}

impl Nginx {
    pub(crate) fn start(world: &World) -> Self {
        let folder = world.domain.folder().join("nginx");
        std::fs::create_dir(&folder).expect("a directory");
        let address = format!("127.0.0.1:{}", free_port());
        let site = replaced(
            &block("integrations/nginx.md", "nginx", "nginx.conf"),
            &[
                ("/etc/nginx/svid", path_text(&world.sink("web"))),
                ("listen 8443", &format!("listen {address}")),
            ],
        );
        let place = path_text(&folder).to_owned();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
            .concat();
        let config = folder.join("nginx.conf");
        let text = format!("daemon off;\npid {place}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n");
        std::fs::write(&config, text).expect("its configuration");
        let log = folder.join("log");
        let command = Box::new(move || {
            let mut nginx = Command::new("nginx");
            nginx.args(["-e", "stderr", "-p", &place, "-c"]).arg(&config).stdin(Stdio::null());
            Process::start(nginx, &log)
        });
        Self {
            process: command(),
            address,
            command,
            bundle: world.sink("web").join("bundle.pem"),
        }
    }

    /// Returns the processes that serve: those that nginx started.
    fn workers(&self) -> String {
        let pid = self.process.pid();
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
    }
}

impl Gate for Nginx {
    fn admits(&self, client: &Copied) -> bool {
        is_answered(&self.address, client, &self.bundle)
    }

    fn reload(&mut self) {
        let before = self.workers();
        self.process.signal(Signal::SIGHUP);
        until("other workers of nginx", || {
            let now = self.workers();
            let old: Vec<_> = before.split_whitespace().collect();
            (!now.is_empty() && now.split_whitespace().all(|worker| !old.contains(&worker))).then_some(())
        });
    }

    fn restart(&mut self) {
        let _ = self.process.terminate();
        self.process = (self.command)();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only when it is asked.
        if self.process.is_running() {
            let _ = self.process.terminate();
        }
    }
}

#[test]
fn nginx_refuses_the_revoked_after_a_reload_and_admits_the_others_through_rotation_and_outage() {
    let mut world = World::start("root", &["--crl", "always"]);
    let mut nginx = Nginx::start(&world);
    honours_lists(&mut world, &mut nginx);
}
