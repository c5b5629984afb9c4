//! Envoy with the configuration of `docs/integrations/envoy.md`: no files, and nothing to be told.

use std::cell::RefCell;
use std::path::Path;

use tests::domain::path_text;
use tests::envoy::{Envoy, documented, echo_caller, replaced};
use tests::ports::free_port;
use tests::steady_load::{Rotations, TlsClient, http_get};
use tests::workload::Watch;

use super::{LIFE, Plan, rotates_under_load, spiffe_id};

/// The user of Envoy.
const ENVOY_UID: u32 = 5_203;

/// Follows which certificate the agent gives to workloads of a user.
fn delivered(uid: u32, socket: &Path) -> Rotations {
    let state = RefCell::new((Watch::open(uid, socket), None));
    Rotations::with(move || {
        let (watch, current) = &mut *state.borrow_mut();
        while let Some(update) = watch.try_next() {
            *current = update["svids"][0]["serial"].as_str().map(str::to_owned);
        }
        current.clone()
    })
}

#[test]
fn envoy_rotates_under_load_by_secret_discovery() {
    let mut plan = Plan::new();
    let files = plan.client();
    let world = plan.start(&[("/client", &[])], &[&files]);
    world.domain.fast_entry("n1", "/web", ENVOY_UID, LIFE);
    let (admin, service) = (free_port(), echo_caller().port());
    let address = format!("127.0.0.1:{}", free_port());
    let config = replaced(
        &documented("web.yaml"),
        &[
            ("/run/troth/workload.sds.sock", path_text(&world.agent.sds_socket)),
            ("port_value: 9901", &format!("port_value: {admin}")),
            ("0.0.0.0, port_value: 8443", &address.replace(':', ", port_value: ")),
            ("port_value: 8080", &format!("port_value: {service}")),
        ],
    );
    let _envoy = Envoy::start(world.domain.folder(), "web", ENVOY_UID, &config, admin);
    let client = TlsClient::new(&address, &spiffe_id("/web"), &world.bundle()).identified_by(&files);
    let _ = client.until_answered(http_get);
    let ways = vec![client.clone().new_connections(http_get), client.kept_alive(http_get)];
    rotates_under_load(ways, &mut delivered(ENVOY_UID, &world.agent.socket));
}
