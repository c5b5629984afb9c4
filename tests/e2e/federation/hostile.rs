//! A server whose partners are hostile, in a network of its own: none reaches this machine through it, none takes its memory or its time, and nobody else's
//! bundle or identity suffers.

mod cast;
mod documents;
mod endpoints;
mod issuing;
mod names;
mod network;
mod traps;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use conformance::covers;
use serde_json::Value;
use tests::admin::runtime;
use tests::domain::{Agent, Domain, open_directory, path_text};
use tests::wait::{until, within};
use tests::workload::{fetch_as, ids};
use tokio::runtime::Runtime;

use self::cast::{DUPLICATING, Hostile, INWARD, LISTING, MAPPING, Profile, REBINDING, REPLAYING};
use self::endpoints::{Answer, Conduct, Endpoint};
use self::issuing::Authority;
use self::names::Names;
use self::network::in_own_network;
use self::traps::Traps;

/// A partner that does everything right, and wants to be asked every 30 s.
const GOOD: &str = "good.test";

/// Its refresh hint: the shortest that a server follows.
const HINT: Duration = Duration::from_secs(30);

/// How much earlier and later than the hint a fetch may come: a tenth of jitter, and what a busy machine needs.
const EARLIER: Duration = Duration::from_secs(4);
const LATER: Duration = Duration::from_secs(5);

/// How often the good partner is asked while the others do their worst.
const ROUNDS: usize = 4;

/// What all hostile partners together may cost, in KiB, when each is fetched from at once: a document of 1 MiB for each, as it comes and as it is read.
/// 3 to 10 MiB were measured.
const MOST_MEMORY: u64 = 32 * 1024;

/// A workload's user.
const UID: u32 = 4_711;

struct World {
    names: Names,
    traps: Traps,
    web: Authority,
    domain: Domain,
    agent: Agent,
    runtime: Runtime,
    folder: tempfile::TempDir,
    addresses: u8,
}

impl World {
    fn new() -> Self {
        let folder = open_directory();
        let (names, traps, web) = (Names::serve(folder.path()), Traps::set(), Authority::of_web());
        names.set(INWARD, &[Ipv4Addr::LOCALHOST]);
        let roots = folder.path().join("web.pem");
        std::fs::write(&roots, web.pem()).expect("a file");
        let domain = Domain::start_with("own.test", &["--federation-web-roots", path_text(&roots)]);
        let agent = domain.agent("n1");
        Self {
            names,
            traps,
            web,
            domain,
            agent,
            runtime: runtime(),
            folder,
            addresses: 100,
        }
    }

    /// Gives a host an address of its own.
    fn address(&mut self, name: &str, then: Option<Ipv4Addr>) -> Ipv4Addr {
        self.addresses += 1;
        let address = Ipv4Addr::new(10, 9, 0, self.addresses);
        let answers: Vec<_> = std::iter::once(address).chain(then).collect();
        self.names.set(name, &answers);
        address
    }

    /// The good partner: a new sequence number with every answer.
    fn good(&mut self) -> Endpoint {
        let address = self.address(GOOD, None);
        let bundle = Authority::of(GOOD).bundle(GOOD).with_refresh_hint(HINT);
        let conduct = Conduct {
            bundle: Box::new(move |before| Answer::Document(bundle.clone().with_sequence(before as u64 + 1).to_spiffe_json())),
            map: None,
        };
        let endpoint = Endpoint::serve(&self.runtime, address, self.web.host(GOOD), conduct);
        self.create(GOOD, "https://good.test/", &Profile::Web, None);
        let _ = self.shows(GOOD, "current", None);
        endpoint
    }

    /// Brings a hostile partner up, and federates with it.
    fn federate(&mut self, hostile: Hostile) -> Partner {
        let address = self.address(hostile.name, hostile.then);
        let url = hostile.url.unwrap_or_else(|| format!("https://{}/", hostile.name));
        let conduct = Conduct {
            bundle: hostile.bundle,
            map: hostile.map,
        };
        let (endpoint, silent) = match hostile.tls {
            Some(tls) => (Some(Endpoint::serve(&self.runtime, address, tls, conduct)), None),
            // The kernel accepts for it.
            None => (None, Some(TcpListener::bind((address, 443)).expect("its port"))),
        };
        self.create(hostile.name, &url, &hostile.profile, hostile.lists);
        Partner {
            name: hostile.name,
            status: hostile.status,
            code: hostile.code,
            says: hostile.says,
            endpoint,
            _silent: silent,
        }
    }

    fn create(&self, name: &str, url: &str, profile: &Profile, lists: Option<&str>) {
        let mut create = vec!["federation", "create", "--trust-domain", name, "--url", url];
        let file = self.folder.path().join(format!("{name}.json"));
        match profile {
            Profile::Spiffe { id, bootstrap } => {
                std::fs::write(&file, bootstrap).expect("a file");
                create.extend(["--profile", "https_spiffe", "--endpoint-id", id, "--bootstrap-bundle", path_text(&file)]);
            }
            Profile::Web => create.extend(["--profile", "https_web"]),
        }
        create.extend(lists.iter().flat_map(|url| ["--crl-url", url]));
        let _ = self.domain.told(&create);
    }

    fn shown(&self, name: &str) -> Value {
        self.domain.told(&["federation", "show", name])
    }

    /// Waits until a partner's status is this one, for this reason, and returns what is shown then.
    fn shows(&self, name: &str, status: &str, code: Option<&str>) -> Value {
        let mut last = Value::Null;
        let seen = within(Duration::from_secs(60), || {
            last = self.shown(name);
            (last["status"] == status && last["last_error"]["code"].as_str() == code).then(|| last.clone())
        });
        seen.unwrap_or_else(|| panic!("{name} is not {status} ({code:?}): {last}"))
    }

    /// Returns the most memory that the server ever had, in KiB.
    fn most_memory(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.domain.server().pid())).expect("the server");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

/// A hostile partner that is federated with.
struct Partner {
    name: &'static str,
    status: &'static str,
    code: Option<&'static str>,
    says: &'static str,
    endpoint: Option<Endpoint>,
    _silent: Option<TcpListener>,
}

#[covers("FED-04", "FED-05", "FED-16", "FED-18", "FED-24", "BUN-06", "BUN-07", "BUN-13")]
#[test]
fn hostile_partners_get_a_clear_status_and_hurt_nobody_else() {
    let test = concat!(module_path!(), "::hostile_partners_get_a_clear_status_and_hurt_nobody_else");
    in_own_network(test.trim_start_matches("e2e::"), hostile_partners);
}

fn hostile_partners() {
    let mut world = World::new();
    let good = world.good();
    world.domain.fast_entry("n1", "/workload", UID, "60s");
    let federates = [
        "entry",
        "update",
        "/workload",
        "--federates-with",
        GOOD,
        "--federates-with",
        "slow.test",
        "--wait",
    ];
    let _ = world.domain.told(&federates);

    let before = world.most_memory();
    let own = world.domain.operator(&["bundle", "show", "--format", "spiffe"]).exits(0).stdout;
    let cast = cast::all(&world.web, ("own.test", &own));
    let partners: Vec<Partner> = cast.into_iter().map(|hostile| world.federate(hostile)).collect();
    for partner in &partners {
        let shown = world.shows(partner.name, partner.status, partner.code);
        is_clear(partner, &shown);
    }
    a_second_fetch_takes_nothing_worse(&world);
    what_comes_beside_a_bundle_is_judged_too(&world);

    // The time that the good partner needs for its rounds is the time that the others have.
    let patience = HINT * u32::try_from(ROUNDS).expect("a few") + LATER;
    within(patience, || (good.asked().len() >= ROUNDS).then_some(())).expect("the good partner is asked on time");
    for (number, pair) in good.asked().windows(2).enumerate() {
        let gap = pair[1] - pair[0];
        // The second fetch comes early by up to half, so that partners set up together drift apart.
        let least = if number == 0 { HINT / 2 } else { HINT } - EARLIER;
        assert!(gap >= least && gap <= HINT + LATER, "the good partner was asked after {gap:?}");
    }
    let shown = until("the newest bundle", || {
        Some(world.shown(GOOD)).filter(|shown| shown["sequence"].as_u64() >= Some(ROUNDS as u64))
    });
    assert_eq!(shown["status"], "current", "{shown}");

    nobody_is_asked_again_and_again(&partners);
    assert_eq!(world.shown(DUPLICATING)["holds_ours"], Value::Null);
    assert_eq!(world.traps.caught(), Vec::new(), "somebody was led to where nobody may connect");
    let after = world.most_memory();
    println!("{} hostile partners: VmHWM {before} KiB before, {after} KiB after", partners.len());
    assert!(after.saturating_sub(before) <= MOST_MEMORY, "memory rose from {before} to {after} KiB");
    let fetched = fetch_as(UID, &world.agent.socket);
    assert_eq!(ids(&fetched), ["spiffe://own.test/workload"]);
    assert_eq!(fetched.json()["federates_with"], serde_json::json!([GOOD]), "{fetched:?}");
}

/// What an operator reads says what is wrong, in few printable words.
fn is_clear(partner: &Partner, shown: &Value) {
    let detail = shown["last_error"]["detail"].as_str();
    assert_eq!(detail.is_some(), partner.code.is_some(), "{shown}");
    let detail = detail.unwrap_or_default();
    assert!(detail.len() <= 500 && detail.chars().all(|char| !char.is_control()), "{detail:?}");
    assert!(detail.contains(partner.says), "{shown}");
    if detail.contains("loopback address") || detail.contains("link-local") {
        assert!(detail.contains("--federation-allow-loopback"), "the refusal names the option: {detail}");
    }
    let has_bundle = matches!(partner.status, "current" | "withdrawn");
    assert_eq!(shown["has_bundle"], has_bundle, "{shown}");
}

/// What was good stays in use.
fn a_second_fetch_takes_nothing_worse(world: &World) {
    for (name, code) in [(REBINDING, "endpoint_address_refused"), (REPLAYING, "bundle_outdated")] {
        let held = world.shown(name);
        let refreshed = world.domain.operator(&["federation", "refresh", name]);
        assert_eq!(refreshed.code, 1, "{refreshed:?}");
        let shown = world.shows(name, "refused", Some(code));
        assert_eq!(shown["has_bundle"], true, "{shown}");
        for kept in ["sequence", "last_success"] {
            assert_eq!(shown[kept], held[kept], "{shown}");
        }
    }
}

/// A Bundle Map that contradicts itself says nothing, and lists are fetched from this machine no more than bundles are.
fn what_comes_beside_a_bundle_is_judged_too(world: &World) {
    let holds_ours = |name| world.shown(name)["holds_ours"].as_bool();
    until("a good map", || (holds_ours(MAPPING) == Some(true)).then_some(()));
    assert_eq!(holds_ours(DUPLICATING), None);
    let refused = until("the lists", || {
        let shown = world.shown(LISTING);
        shown["crls"]["last_error"]["code"].as_str().map(str::to_owned)
    });
    assert_eq!(refused, "endpoint_address_refused");
}

/// A failure waits for the next interval, as a success does (FED-04): five minutes without a hint.
fn nobody_is_asked_again_and_again(partners: &[Partner]) {
    for partner in partners {
        let asked = partner.endpoint.as_ref().map_or(0, |endpoint| endpoint.asked().len());
        // Once by itself and once by the operator; one leads to itself, five times. Without a bundle there is no hint: the second time is minutes away.
        let most = match partner.name {
            "round.test" => 6,
            REPLAYING => 2,
            _ => 1,
        };
        assert!(asked <= most, "{} was asked {asked} times", partner.name);
    }
}
