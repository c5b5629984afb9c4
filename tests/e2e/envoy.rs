//! Two real Envoys between a client and a plain HTTP service, with the configurations of `docs/integrations/envoy.md`.

mod gateway;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tests::domain::{Agent, Domain, path_text};
use tests::envoy::{Answer, Envoy, documented, echo_caller, get, replaced};
use tests::ports::free_port;
use tests::wait::{until, within};

const WEB: &str = "spiffe://prod.example.org/web";
const CLIENT: &str = "spiffe://prod.example.org/client";
const WEB_UID: u32 = 4_901;
const CLIENT_UID: u32 = 4_902;
const INTRUDER_UID: u32 = 4_903;

/// The life of the certificates: two generations pass while a test looks on.
const LIFE: &str = "10s";

/// Longer than a certificate lives, with its backdating and Envoy's own clock tick.
const OUTLIVED: Duration = Duration::from_secs(30);

/// The life of connections: none hides that new ones fail.
const CONNECTIONS: (&str, &str) = ("max_connection_duration: 600s", "max_connection_duration: 1s");

/// The trust domain of the page with both Envoys and what they stand between.
struct Mesh {
    domain: Domain,
    agent: Agent,
    web: Envoy,
    client: Envoy,
    entrance: SocketAddr,
    places: Places,
}

impl Mesh {
    fn start(replacements: &[(&str, &str)]) -> Self {
        let domain = Domain::start("prod.example.org");
        let agent = domain.agent("n1");
        domain.fast_entry("n1", "/web", WEB_UID, LIFE);
        domain.fast_entry("n1", "/client", CLIENT_UID, LIFE);
        let places = Places::new(&agent);
        let web = places.web(&domain, replacements);
        let (client, entrance) = places.client(&domain, "client", CLIENT_UID, replacements);
        Self {
            domain,
            agent,
            web,
            client,
            entrance,
            places,
        }
    }

    /// Waits until a request comes through, and returns what the service was told of the caller.
    fn until_open(&self) -> String {
        until("a request through both Envoys", || ok(get(self.entrance, "/")))
    }

    /// Asks again and again until the deadline; every request must come through.
    fn keep_asking_until(&self, mut enough: impl FnMut() -> bool) -> usize {
        let end = Instant::now() + Duration::from_secs(60);
        let mut asked = 0;
        while !enough() {
            assert!(Instant::now() < end, "it did not happen within a minute of {asked} requests");
            for _ in 0..20 {
                let answer = get(self.entrance, "/").expect("an answer");
                assert_eq!(answer.status, 200, "request {asked}: {}", answer.body);
                asked += 1;
            }
        }
        asked
    }
}

/// The places that are put in place of the page's.
struct Places {
    socket: String,
    mtls: String,
}

impl Places {
    fn new(agent: &Agent) -> Self {
        Self {
            socket: path_text(&agent.sds_socket).to_owned(),
            mtls: format!("127.0.0.1, port_value: {}", free_port()),
        }
    }

    fn web(&self, domain: &Domain, replacements: &[(&str, &str)]) -> Envoy {
        let (admin, service) = (free_port(), echo_caller().port());
        let places = [
            ("/run/troth/workload.sds.sock", self.socket.as_str()),
            ("port_value: 9901", &format!("port_value: {admin}")),
            ("0.0.0.0, port_value: 8443", &self.mtls),
            ("port_value: 8080", &format!("port_value: {service}")),
            CONNECTIONS,
        ];
        let config = replaced(&replaced(&documented("web.yaml"), &places), replacements);
        Envoy::start(domain.folder(), "web", WEB_UID, &config, admin)
    }

    fn client(&self, domain: &Domain, name: &str, uid: u32, replacements: &[(&str, &str)]) -> (Envoy, SocketAddr) {
        let (admin, entrance) = (free_port(), free_port());
        let places = [
            ("/run/troth/workload.sds.sock", self.socket.as_str()),
            ("port_value: 9902", &format!("port_value: {admin}")),
            ("port_value: 8081", &format!("port_value: {entrance}")),
            ("127.0.0.1, port_value: 8443", &self.mtls),
            CONNECTIONS,
        ];
        let config = replaced(&replaced(&documented("client.yaml"), &places), replacements);
        (
            Envoy::start(domain.folder(), name, uid, &config, admin),
            SocketAddr::from(([127, 0, 0, 1], entrance)),
        )
    }
}

fn ok(answer: std::io::Result<Answer>) -> Option<String> {
    answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.body)
}

#[test]
fn two_envoys_rotate_under_load_outlive_the_agents_restart_and_end_with_the_entry() {
    let mut mesh = Mesh::start(&[]);
    let told = mesh.until_open();
    assert!(told.contains(&format!("URI={CLIENT}")) && told.contains(&format!("By={WEB}")), "{told}");

    // Each side has another certificate, twice, and no request fails.
    let (first_web, first_client) = (mesh.web.until_rotated(WEB, None), mesh.client.until_rotated(CLIENT, None));
    let mut seen = vec![(first_web, first_client)];
    let asked = mesh.keep_asking_until(|| {
        let (web, client) = &seen[seen.len() - 1];
        let now = (mesh.web.serial(WEB), mesh.client.serial(CLIENT));
        if let (Some(now_web), Some(now_client)) = now
            && now_web != *web
            && now_client != *client
        {
            seen.push((now_web, now_client));
        }
        seen.len() == 3
    });
    assert!(asked > 20, "{asked} requests are no load");
    let journal = mesh.domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(seen.iter().all(|(web, client)| journal.contains(web) && journal.contains(client)), "{seen:?}");

    // The agent goes and comes: Envoy finds it again and goes on.
    let _ = mesh.agent.process().terminate();
    assert!(ok(get(mesh.entrance, "/")).is_some(), "Envoy needs the agent for each request");
    mesh.agent.launch(None);
    mesh.agent.ready();
    let before = mesh.client.serial(CLIENT);
    let _ = mesh.client.until_rotated(CLIENT, before.as_deref());
    let _ = mesh.until_open();

    // An entry that is gone gives no further certificate, and the last one ends.
    let _ = mesh.domain.told(&["entry", "delete", "/client", "--wait"]);
    let refused = within(OUTLIVED, || get(mesh.entrance, "/").ok().filter(|answer| answer.status != 200));
    assert_eq!(refused.map(|answer| answer.status), Some(503));
    assert!(ok(get(mesh.entrance, "/")).is_none());
    // And a new one opens the way again, by itself.
    mesh.domain.fast_entry("n1", "/client", CLIENT_UID, LIFE);
    let _ = mesh.until_open();
}

#[test]
fn the_spiffe_verifier_works_with_all_roots_and_with_delta_streams() {
    for replacements in [
        &[("name: ROOTCA", "name: ALL")][..],
        &[("name: ROOTCA", "name: ALL"), ("api_type: GRPC", "api_type: DELTA_GRPC")],
        &[("name: ROOTCA", "name: spiffe://prod.example.org"), ("api_type: GRPC", "api_type: DELTA_GRPC")],
    ] {
        let mut mesh = Mesh::start(replacements);
        let told = mesh.until_open();
        assert!(told.contains(&format!("URI={CLIENT}")), "{told}");
        let before = mesh.client.serial(CLIENT);
        let _ = mesh.client.until_rotated(CLIENT, before.as_deref());
        let _ = mesh.until_open();
    }
}

#[test]
fn an_envoy_refuses_a_peer_that_it_does_not_expect() {
    for all in [false, true] {
        let validator: &[(&str, &str)] = if all { &[("name: ROOTCA", "name: ALL")] } else { &[] };
        let mesh = Mesh::start(validator);
        let _ = mesh.until_open();
        // A client that expects another service.
        let expecting = [validator, &[(WEB, "spiffe://prod.example.org/other")]].concat();
        let (misled, entrance) = mesh.places.client(&mesh.domain, "misled", CLIENT_UID, &expecting);
        let answer = until("an answer of the misled client", || get(entrance, "/").ok());
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(misled.stat("cluster.web.ssl.fail_verify_san").is_some_and(|failed| failed > 0));
        // An intruder with a good certificate of the trust domain.
        mesh.domain.fast_entry("n1", "/intruder", INTRUDER_UID, LIFE);
        let (intruder, entrance) = mesh.places.client(&mesh.domain, "intruder", INTRUDER_UID, validator);
        let answer = until("an answer to the intruder", || get(entrance, "/").ok());
        assert!(intruder.serial("spiffe://prod.example.org/intruder").is_some());
        assert_eq!(answer.status, 503, "{}", answer.body);
        // Who is expected is served all the while.
        assert!(ok(get(mesh.entrance, "/")).is_some());
    }
}
