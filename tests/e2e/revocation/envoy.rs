//! Envoy with the configuration of `docs/integrations/envoy.md`, by both of its verifiers; it follows the lists by itself.

use tests::domain::path_text;
use tests::envoy::{Envoy, documented, echo_caller, replaced};
use tests::ports::free_port;

use super::gate::{Gate, honours_lists, is_answered};
use super::{Copied, WEB_UID, World};

pub(super) struct WebEnvoy {
    process: Envoy,
    address: String,
    bundle: std::path::PathBuf,
    start: Box<dyn Fn() -> Envoy>,
}

impl WebEnvoy {
    pub(super) fn start(world: &World, verifier: &[(&str, &str)]) -> Self {
        let (port, admin) = (free_port(), free_port());
        let service = echo_caller().port();
        let places = [
            ("/run/troth/workload.sds.sock", path_text(&world.agent.sds_socket)),
            ("port_value: 9901", &format!("port_value: {admin}")),
            ("0.0.0.0, port_value: 8443", &format!("127.0.0.1, port_value: {port}")),
            ("port_value: 8080", &format!("port_value: {service}")),
        ];
        let config = replaced(&replaced(&documented("web.yaml"), &places), verifier);
        let folder = world.domain.folder().to_owned();
        let start = Box::new(move || Envoy::start(&folder, "web-envoy", WEB_UID, &config, admin));
        Self {
            process: start(),
            address: format!("127.0.0.1:{port}"),
            bundle: world.sink("web").join("bundle.pem"),
            start,
        }
    }
}

impl Gate for WebEnvoy {
    fn admits(&self, client: &Copied) -> bool {
        is_answered(&self.address, client, &self.bundle)
    }

    fn reload(&mut self) {}

    fn restart(&mut self) {
        self.process.end();
        self.process = (self.start)();
    }
}

fn scenario(verifier: &[(&str, &str)]) {
    let mut world = World::start("root", &[]);
    let mut envoy = WebEnvoy::start(&world, verifier);
    honours_lists(&mut world, &mut envoy);
}

#[test]
fn envoys_default_verifier_refuses_the_revoked_and_admits_the_others_through_rotation_and_outage() {
    scenario(&[]);
}

#[test]
fn envoys_spiffe_verifier_refuses_the_revoked_and_admits_the_others_through_rotation_and_outage() {
    scenario(&[("name: ROOTCA", "name: ALL")]);
}
