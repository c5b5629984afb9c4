//! nginx with the configuration of `docs/integrations/nginx.md`, started as root, and as a user of its own.

use std::path::PathBuf;

use tests::docs::{block, replaced};
use tests::domain::path_text;
use tests::ports::free_port;
use tests::process::Process;
use tests::steady_load::{Rotations, TlsClient, http_get};

use super::{Plan, World, as_user_of_package, rotates_under_load, spiffe_id};

const PAGE: &str = "integrations/nginx.md";

/// One nginx, with places of its own.
struct Site {
    user: &'static str,
    folder: PathBuf,
    sink: PathBuf,
    address: String,
}

impl Site {
    /// Chooses the places of one that runs as this user, and adds its sink.
    fn plan(plan: &mut Plan, user: &'static str) -> Self {
        let site = Self {
            user,
            folder: plan.directory_of(user, &format!("nginx-{user}")),
            sink: plan.directory_of(user, &format!("svid-{user}")),
            address: format!("127.0.0.1:{}", free_port()),
        };
        plan.documented_sink(
            PAGE,
            &[
                ("/etc/nginx/svid", path_text(&site.sink)),
                ("/run/nginx.pid", path_text(&site.folder.join("pid"))),
                ("127.0.0.1:8443", &site.address),
                ("\"root\"", &format!("{user:?}")),
            ],
        );
        site
    }

    fn start(&self) -> Running {
        let site = replaced(
            &block(PAGE, "nginx", "nginx.conf"),
            &[("/etc/nginx/svid", path_text(&self.sink)), ("listen 8443", &format!("listen {}", self.address))],
        );
        let place = path_text(&self.folder);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
            .concat();
        let config = self.folder.join("nginx.conf");
        let text = format!("daemon off;\npid {place}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n");
        std::fs::write(&config, text).expect("its configuration");
        let mut command = as_user_of_package(self.user, "/usr/sbin/nginx");
        command.args(["-e", "stderr", "-p", place, "-c"]).arg(&config);
        Running(Process::start(command, &self.folder.join("log")))
    }
}

struct Running(Process);

impl Drop for Running {
    fn drop(&mut self) {
        // Its workers end with it only when it is asked.
        if self.0.is_running() {
            let _ = self.0.terminate();
        }
    }
}

fn client(world: &World, site: &Site) -> TlsClient {
    TlsClient::new(&site.address, &spiffe_id("/web"), &world.bundle()).identified_by(&world.domain.folder().join("client"))
}

#[test]
fn nginx_rotates_under_load_as_root_and_as_a_user_of_its_own() {
    let mut plan = Plan::new();
    let sites = ["root", "www-data"].map(|user| Site::plan(&mut plan, user));
    let files = plan.client();
    let world = plan.start(&[("/web", &[]), ("/client", &[])], &[&files, &sites[0].sink, &sites[1].sink]);
    let _running = sites.each_ref().map(Site::start);
    std::thread::scope(|scope| {
        for site in &sites {
            let client = client(&world, site);
            scope.spawn(move || {
                let _ = client.until_answered(http_get);
                let ways = vec![client.clone().new_connections(http_get), client.kept_alive(http_get)];
                rotates_under_load(ways, &mut Rotations::of(&site.sink));
            });
        }
    });
    world.sinks_are_well();
}
