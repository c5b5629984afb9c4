//! An issuing CA of one domain in other hands: it is ended in all three, and who is honest is served.

use std::net::SocketAddr;

use conformance::covers;
use spiffe_rustls::TrustDomainPolicy;
use tests::admin::runtime;
use tests::wait::{until, until_async};

use super::three::{Member, Trio};
use crate::authorities::thief::{Forged, steal_and_forge};
use crate::mtls_service::{Caller, serve_admitting, source};

const NAMES: [&str; 3] = ["stolen.test", "second.test", "third.test"];

/// Whom the thief plays.
const VICTIM: &str = "spiffe://stolen.test/job";

/// What a service is asked.
const REQUEST: &str = "1\n";

async fn service(member: &Member) -> SocketAddr {
    serve_admitting(source(&member.agent).await, TrustDomainPolicy::AnyInBundleSet, &[VICTIM.to_owned()]).await
}

#[covers("BUN-10", "FED-04")]
#[test]
fn a_compromised_issuing_ca_is_ended_across_all_three_domains() {
    let mut forged: Option<Forged> = None;
    let trio = Trio::start_after(NAMES, "1s", "180s", |domain| forged = Some(steal_and_forge(domain, VICTIM)));
    let forged = forged.expect("the thief was there");
    let [victim, partners @ ..] = &trio.members;
    let runtime = runtime();
    let services = partners.each_ref().map(|partner| (partner, runtime.block_on(service(partner))));
    let believed = |address| runtime.block_on(forged.is_answered(address, REQUEST));
    for (partner, address) in services {
        until(&format!("{} to be fooled", partner.domain.name), || believed(address).then_some(()));
    }

    let before = victim.roots_of(victim);
    let order = [
        "authority",
        "replace",
        "--kind",
        "x509-issuing",
        "--compromised",
        "--because",
        "stolen",
        "--wait",
        "2m",
        "--yes",
    ];
    let done = victim.domain.told(&order);
    assert_eq!(done["compromised"], true, "{done}");
    let now = victim.roots_of(victim);
    assert!(before.is_disjoint(&now), "the old root is in the bundle");

    for (partner, address) in services {
        // What its operators do when they are told; by itself it would at the next refresh.
        partner.refreshes(victim);
        assert_eq!(partner.roots_of(victim), now, "{}", partner.domain.name);
        let caller = runtime.block_on(async { Caller::new(source(&victim.agent).await, address, &partner.id) });
        runtime.block_on(until_async("the honest workload to be served", async || caller.request().await.ok()));
        until(&format!("{} to believe the thief no longer", partner.domain.name), || {
            (!believed(address)).then_some(())
        });
        assert!(!believed(address), "{} believes the thief again", partner.domain.name);
    }
    until("nobody to be behind", || {
        let list = victim.domain.told(&["authority", "list"]);
        let behind = list["items"].as_array()?.iter().map(|authority| &authority["partners_behind"]);
        behind.flat_map(|names| names.as_array().into_iter().flatten()).next().is_none().then_some(())
    });
}
