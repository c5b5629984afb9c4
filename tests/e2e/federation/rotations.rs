//! Roots of two of three domains replaced by plan, at the same time, while partners fetch at the shortest rhythm that there is: nobody is told anything but by
//! the bundle endpoints, and no request fails.

use std::collections::BTreeSet;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance::covers;
use spiffe::{JwtSvid, WorkloadApiClient};
use tests::admin::runtime;
use tests::command::run;
use tests::domain::path_text;
use tests::wait::until;
use trust_domains::x509::Certificate;

use super::load::Load;
use super::three::{Member, Trio};

/// A new root waits for five refresh hints of 30 s, and partners fetch every 30 s.
const HINT: &str = "30s";

/// The command line that replaces a root, and follows that to its end.
const REPLACE: [&str; 8] = ["authority", "replace", "--kind", "x509-root", "--because", "a drill", "--wait", "8m"];

/// The key identifier of the root above a workload's certificate, as the workload has it now.
fn root_above(member: &Member) -> Option<Vec<u8>> {
    let folder = member.domain.folder().join("fetched");
    let fetch = [
        "svid",
        "fetch",
        "x509",
        "--socket",
        path_text(&member.agent.socket),
        "--write",
        path_text(&folder),
    ];
    let _ = run(&fetch).exits(0);
    let chain = std::fs::read(folder.join("svid.0.pem")).expect("the chain");
    let issuing = pem::parse_many(chain).expect("PEM").into_iter().nth(1).expect("an issuing CA");
    Certificate::parse(issuing.contents())
        .expect("a certificate")
        .authority_key_id()
        .map(<[u8]>::to_vec)
}

fn key_id(root: &str) -> Option<Vec<u8>> {
    let der = STANDARD.decode(root).expect("base64");
    Certificate::parse(&der).expect("a certificate").subject_key_id().map(<[u8]>::to_vec)
}

/// Waits until a workload's certificates are under the one root that was not there before, which every partner holds.
fn is_under_a_new_root(trio: &Trio, member: &Member, before: &BTreeSet<String>) {
    let now = member.roots_of(member);
    let new: Vec<_> = now.difference(before).collect();
    let [root] = new.as_slice() else { panic!("not one new root: {now:?}") };
    until("a certificate under the new root", || (root_above(member) == key_id(root)).then_some(()));
    for partner in trio.partners_of(member) {
        assert!(
            partner.roots_of(member).contains(*root),
            "{} does not hold the new root of {}",
            partner.domain.name,
            member.domain.name
        );
    }
}

/// A token of one domain, as the library and the agent of another see it.
async fn token_is_believed(one: &Member, other: &Member) {
    let connect = async |member: &Member| {
        WorkloadApiClient::connect_to(format!("unix://{}", path_text(&member.agent.socket)))
            .await
            .expect("a connection")
    };
    let (issuing, believing) = (connect(one).await, connect(other).await);
    let token = issuing.fetch_jwt_svid(["db"], None).await.expect("a token");
    let validated = believing
        .validate_jwt_token("db", token.token())
        .await
        .expect("the agent of a partner believes it");
    assert_eq!(validated.spiffe_id().to_string(), one.id);
    let bundles = believing.fetch_jwt_bundles().await.expect("bundles");
    JwtSvid::parse_and_validate(token.token(), &bundles, &["db"]).expect("the library believes it");
}

#[covers("FED-04", "BUN-10")]
#[test]
fn roots_on_both_sides_are_replaced_under_load_and_no_request_across_domains_fails() {
    let trio = Trio::start(["alpha.test", "beta.test", "gamma.test"], HINT, "20s");
    for (one, partner) in trio.pairs() {
        let profile = one.relationship(partner)["profile"].clone();
        let expected = if partner.domain.name == "beta.test" { "https_web" } else { "https_spiffe" };
        assert_eq!(profile, expected, "{} of {}", partner.domain.name, one.domain.name);
    }
    let [alpha, beta, gamma] = &trio.members;
    let before = [alpha, beta].map(|member| member.roots_of(member));
    let load = Load::start(&trio);
    thread::scope(|scope| {
        let orders = [alpha, beta].map(|member| scope.spawn(|| member.domain.told(&REPLACE)));
        // Ordinary rotation of an issuing CA changes no bundle and asks nothing of partners.
        let issuing = ["authority", "replace", "--kind", "x509-issuing", "--because", "a drill", "--wait", "2m"];
        let held = gamma.roots_of(gamma);
        let _ = gamma.domain.told(&issuing);
        assert_eq!(gamma.roots_of(gamma), held);
        for order in orders {
            let document = order.join().expect("the order's end");
            assert!(document["finished_at"].is_string(), "{document}");
        }
    });
    for (member, before) in [alpha, beta].into_iter().zip(&before) {
        is_under_a_new_root(&trio, member, before);
    }
    load.ends_without_a_failure(1_000);
    let runtime = runtime();
    for (one, other) in trio.pairs() {
        runtime.block_on(token_is_believed(one, other));
    }
}
