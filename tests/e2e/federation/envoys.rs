//! Envoys of three trust domains, with the configurations of `docs/integrations/envoy.md` and its SPIFFE verifier.

use std::net::SocketAddr;
use std::path::Path;

use tests::command::Run;
use tests::domain::{Agent, Domain, path_text};
use tests::envoy::{Answer, Envoy, documented, echo_caller, get, replaced};
use tests::ports::free_port;
use tests::wait::until;
use tests::workload::as_user;

use super::impostor::Authority;
use super::three::{Member, Trio};
use crate::revocation::gate::is_answered_with;

/// The service is in the domain of the page.
const NAMES: [&str; 3] = ["prod.example.org", "second.example.org", "third.example.org"];

const WEB_UID: u32 = 5_061;
const CLIENT_UID: u32 = 5_062;

/// A partner that the test plays.
const FOURTH: &str = "fourth.example.org";

/// With the SPIFFE verifier.
const ALL: (&str, &str) = ("name: ROOTCA", "name: ALL");

/// The life of connections: none hides that new ones fail.
const CONNECTIONS: (&str, &str) = ("max_connection_duration: 600s", "max_connection_duration: 1s");

/// The service's Envoy, which admits clients of the three partners, and its own domain's.
struct Web {
    envoy: Envoy,
    address: SocketAddr,
}

impl Web {
    fn start(member: &Member) -> Self {
        let (admin, port, service) = (free_port(), free_port(), echo_caller().port());
        let admitted: Vec<_> = NAMES.iter().chain([&FOURTH]).map(|name| matcher(&format!("spiffe://{name}/client"))).collect();
        let indented = format!("\n{}- ", " ".repeat(22));
        let places = [
            ("/run/troth/workload.sds.sock", path_text(&member.agent.sds_socket)),
            ("port_value: 9901", &format!("port_value: {admin}")),
            ("0.0.0.0, port_value: 8443", &format!("127.0.0.1, port_value: {port}")),
            ("port_value: 8080", &format!("port_value: {service}")),
            (&matcher("spiffe://prod.example.org/client"), &admitted.join(&indented)),
            ALL,
            CONNECTIONS,
        ];
        let config = replaced(&documented("web.yaml"), &places);
        Self {
            envoy: Envoy::start(member.domain.folder(), "web", WEB_UID, &config, admin),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }
}

/// An item of `match_typed_subject_alt_names`.
fn matcher(id: &str) -> String {
    format!("{{ san_type: URI, matcher: {{ exact: {id} }} }}")
}

/// A client's Envoy in another domain, which expects the service of the first.
fn client(member: &Member, web: SocketAddr) -> (Envoy, SocketAddr) {
    let (admin, entrance) = (free_port(), free_port());
    let places = [
        ("/run/troth/workload.sds.sock", path_text(&member.agent.sds_socket)),
        ("port_value: 9902", &format!("port_value: {admin}")),
        ("port_value: 8081", &format!("port_value: {entrance}")),
        ("127.0.0.1, port_value: 8443", &format!("127.0.0.1, port_value: {}", web.port())),
        ALL,
        CONNECTIONS,
    ];
    let config = replaced(&documented("client.yaml"), &places);
    (
        Envoy::start(member.domain.folder(), "client", CLIENT_UID, &config, admin),
        SocketAddr::from(([127, 0, 0, 1], entrance)),
    )
}

fn ok(answer: std::io::Result<Answer>) -> Option<String> {
    answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.body)
}

/// Makes an entry that believes all partners.
fn entry(member: &Member, path: &str, uid: u32, partners: &[&str]) {
    member.domain.fast_entry("n1", path, uid, "20s");
    let named: Vec<&str> = partners.iter().flat_map(|&partner| ["--federates-with", partner]).collect();
    let _ = member.domain.told(&[&["entry", "update", path, "--wait"], &named[..]].concat());
}

/// Believes a partner whose authority the test has.
fn believes_fourth(domain: &Domain) -> Authority {
    let authority = Authority::of(FOURTH);
    let file = domain.folder().join("fourth.pem");
    std::fs::write(&file, authority.pem()).expect("the root");
    let _ = domain.told(&["bundle", "set", "--trust-domain", FOURTH, "--format", "pem", path_text(&file)]);
    authority
}

/// Fetches the first domain's roots as the service's user has them.
fn roots_for(agent: &Agent, folder: &Path) -> std::path::PathBuf {
    std::fs::create_dir(folder).expect("a directory");
    nix::unistd::chown(folder, Some(WEB_UID.into()), None).expect("its owner");
    let fetch = ["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(folder)];
    let _ = Run::of(&as_user(WEB_UID).args(fetch).output().expect("troth starts")).exits(0);
    folder.join("bundle.0.pem")
}

#[test]
fn envoys_of_three_domains_call_each_other_and_each_domains_roots_count_for_its_own_names() {
    let trio = Trio::start(NAMES, "5m", "180s");
    let [first, second, third] = &trio.members;
    let fourth = believes_fourth(&first.domain);
    // The first domain gives its partners to every entry; the one that was set by hand is named.
    entry(first, "/web", WEB_UID, &[FOURTH]);
    entry(second, "/client", CLIENT_UID, &[NAMES[0]]);
    entry(third, "/client", CLIENT_UID, &[NAMES[0]]);
    let mut web = Web::start(first);
    let (mut of_second, second_entrance) = client(second, web.address);
    let (mut of_third, third_entrance) = client(third, web.address);
    for (entrance, name) in [(second_entrance, NAMES[1]), (third_entrance, NAMES[2])] {
        let told = until("a request of another domain", || ok(get(entrance, "/")));
        assert!(told.contains(&format!("URI=spiffe://{name}/client")), "{told}");
    }

    // Every side has another certificate, and goes on.
    let rotated = [
        (&mut web.envoy, "spiffe://prod.example.org/web".to_owned()),
        (&mut of_second, format!("spiffe://{}/client", NAMES[1])),
        (&mut of_third, format!("spiffe://{}/client", NAMES[2])),
    ];
    for (envoy, id) in rotated {
        let before = envoy.serial(&id);
        let _ = envoy.until_rotated(&id, before.as_deref());
    }
    for entrance in [second_entrance, third_entrance] {
        assert!(ok(get(entrance, "/")).is_some());
    }

    // The fourth's root counts for the fourth's names, and for nobody else's.
    let folder = first.domain.folder();
    let bundle = roots_for(&first.agent, &folder.join("fetched"));
    let asks = |id: &str| {
        let [chain, key] = fourth.files(folder, "shown", id);
        is_answered_with(&web.address.to_string(), &chain, &key, &bundle)
    };
    assert!(asks("spiffe://fourth.example.org/client"), "the partner's own name");
    for name in NAMES {
        let id = format!("spiffe://{name}/client");
        assert!(!asks(&id), "{id} under the root of {FOURTH}");
    }

    // A relationship that is ended is withdrawn from Envoy; the others are served all the while.
    let _ = first.domain.told(&["federation", "delete", NAMES[1], "--wait"]);
    let refused = until("the second domain to be refused", || {
        get(second_entrance, "/").ok().filter(|answer| answer.status != 200)
    });
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(ok(get(third_entrance, "/")).is_some());
}
