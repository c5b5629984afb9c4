//! Issuing CAs of two domains in other hands: each is ended in all three domains, and who is honest is served.

use std::net::SocketAddr;

use conformance::covers;
use spiffe_rustls::TrustDomainPolicy;
use tests::admin::runtime;
use tests::wait::{until, until_async};
use tokio::runtime::Runtime;

use super::three::{Member, Trio};
use crate::authorities::thief::{Forged, steal_and_forge};
use crate::mtls_service::{Caller, serve_admitting, source};

/// The first proves its endpoint by its own SVID, the second by a certificate of the web.
const NAMES: [&str; 3] = ["own.test", "web.test", "third.test"];

/// What a service is asked.
const REQUEST: &str = "1\n";

/// What a thief with the disk of a server signed, and the services of its partners.
struct Theft<'a> {
    victim: &'a Member,
    forged: Forged,
    services: Vec<(&'a Member, SocketAddr)>,
}

impl<'a> Theft<'a> {
    fn new(trio: &'a Trio, victim: &'a Member, forged: Forged, runtime: &Runtime) -> Self {
        let partners = trio.partners_of(victim).into_iter();
        let service = |partner: &Member| {
            let admitted = [victim.id.clone()];
            runtime.block_on(async { serve_admitting(source(&partner.agent).await, TrustDomainPolicy::AnyInBundleSet, &admitted).await })
        };
        let services: Vec<_> = partners.map(|partner| (partner, service(partner))).collect();
        let theft = Self { victim, forged, services };
        for (partner, address) in &theft.services {
            let who = format!("{} to be fooled", partner.domain.name);
            until(&who, || theft.is_believed(runtime, *address).then_some(()));
        }
        theft
    }

    fn is_believed(&self, runtime: &Runtime, address: SocketAddr) -> bool {
        runtime.block_on(self.forged.is_answered(address, REQUEST))
    }

    /// Replaces the issuing CA, and with it the root; `partners` learn of it in their way.
    fn is_ended(&self, runtime: &Runtime, learns: impl Fn(&Member)) {
        let victim = self.victim;
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
        let ordered = victim.domain.operator(&order);
        // Done with exit code 1 when partners were not seen without the old root in time: then it names them.
        let done = ordered.json();
        let mut partners = self.services.iter().map(|(partner, _)| partner.domain.name.as_str());
        let outcome = done["outcome"].as_str().unwrap_or_default();
        assert!(ordered.code == 0 || partners.any(|partner| outcome.contains(partner)), "{ordered:?}");
        assert!(done["compromised"] == true && done["finished_at"].is_string(), "{done}");
        let now = victim.roots_of(victim);
        assert!(before.is_disjoint(&now), "the old root is in the bundle");
        for (partner, address) in &self.services {
            learns(partner);
            assert_eq!(partner.roots_of(victim), now, "{}", partner.domain.name);
            let caller = runtime.block_on(async { Caller::new(source(&victim.agent).await, *address, &partner.id) });
            runtime.block_on(until_async("the honest workload to be served", async || caller.request().await.ok()));
            let who = format!("{} to believe the thief no longer", partner.domain.name);
            until(&who, || (!self.is_believed(runtime, *address)).then_some(()));
            assert!(!self.is_believed(runtime, *address), "{} believes the thief again", partner.domain.name);
        }
    }
}

#[covers("BUN-10", "FED-04")]
#[test]
fn compromised_issuing_cas_are_ended_across_all_three_domains() {
    let mut forged = Vec::new();
    let trio = Trio::start_after(NAMES, "1s", "180s", |domains| {
        forged.extend(
            domains
                .iter()
                .take(2)
                .map(|domain| steal_and_forge(domain, &format!("spiffe://{}/job", domain.name))),
        );
    });
    let [own, web, third] = &trio.members;
    let runtime = runtime();
    let of_web = Theft::new(&trio, web, forged.pop().expect("the second's"), &runtime);
    let of_own = Theft::new(&trio, own, forged.pop().expect("the first's"), &runtime);

    // A certificate of the web vouches for the endpoint before and after: the next fetch brings the new root.
    of_web.is_ended(&runtime, |partner| partner.refreshes(web));

    // An endpoint that only its own stolen authority vouched for is believed no longer: the thief could be there. Trust starts again, by a new link.
    of_own.is_ended(&runtime, |partner| {
        let refused = partner.domain.operator(&["federation", "refresh", &own.domain.name]).exits(1).json();
        assert_eq!(
            (&refused["status"], &refused["last_error"]["code"]),
            (&"refused".into(), &"endpoint_untrusted".into()),
            "{refused}"
        );
        partner.accepts(own, &["--replace"]);
        assert_eq!(partner.relationship(own)["status"], "current");
    });
    assert!(third.roots_of(web).is_disjoint(&third.roots_of(own)));
}
