use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams};

use super::*;
use crate::bundle::TrustBundle;
use crate::crl::Crl;
use crate::x509::testing::{NOW, TestDomain};
use crate::x509::{Certificate, VerifyError};

const OWN: &str = "td.example";
const PARTNER: &str = "partner.test";

/// Two trust domains, and a root of the partner's that signs names of ours.
struct Cast {
    own: TestDomain,
    partner: TestDomain,
    impostor: TestDomain,
    chains: Vec<Vec<CertificateDer<'static>>>,
}

impl Cast {
    /// Keys are slow to make: once for all cases.
    fn shared() -> &'static Self {
        static CAST: OnceLock<Cast> = OnceLock::new();
        CAST.get_or_init(|| {
            let (own, partner, impostor) = (TestDomain::new(OWN), TestDomain::new(PARTNER), TestDomain::new(PARTNER));
            let chains = vec![
                own.chain("spiffe://td.example/web"),
                own.chain("spiffe://td.example/db"),
                partner.chain("spiffe://partner.test/web"),
                partner.chain("spiffe://partner.test/db"),
                // A partner's root says it is one of ours; another's says it is the partner's.
                partner.chain("spiffe://td.example/web"),
                impostor.chain("spiffe://partner.test/web"),
            ];
            Self {
                own,
                partner,
                impostor,
                chains,
            }
        })
    }

    fn bundle(domain: &TestDomain, name: &str) -> Arc<TrustBundle> {
        let bundle = TrustBundle::new(name.parse().unwrap()).with_x509_authority(&domain.root.der).unwrap();
        Arc::new(bundle)
    }

    fn list(by: &TestDomain, revoked: &[&CertificateDer<'_>]) -> Crl {
        let revoked = revoked.iter().map(|der| RevokedCertParams {
            serial_number: Certificate::parse(der).unwrap().serial().as_bytes().to_vec().into(),
            revocation_time: NOW.to_offset_date_time(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: NOW.to_offset_date_time(),
            next_update: (NOW + Duration::from_secs(86_400)).to_offset_date_time(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Crl::parse_in_any_order(params.signed_by(by.issuing.issuer()).unwrap().der().to_vec()).unwrap()
    }

    /// What may be believed, by which of these is there.
    fn trust(&self, shape: Shape) -> PeerTrust {
        let own = shape.own.then(|| Self::bundle(&self.own, OWN));
        let partner = shape.partner.then(|| Self::bundle(&self.partner, PARTNER));
        let leaf = |chain: usize| &self.chains[chain][0];
        let lists = [
            shape.revokes_own.then(|| Self::list(&self.own, &[leaf(0)])),
            shape.revokes_partner.then(|| Self::list(&self.partner, &[leaf(2), leaf(0)])),
        ];
        PeerTrust::new(OWN.parse().unwrap(), own.into_iter().chain(partner), lists.into_iter().flatten())
    }

    fn open(&self) -> Vec<OpenPeer> {
        let peer = |chain: &Vec<CertificateDer<'static>>| {
            let leaf = Certificate::parse(&chain[0]).unwrap();
            OpenPeer::new(leaf.uri_sans()[0].parse().unwrap(), chain.clone(), leaf.not_after())
        };
        self.chains.iter().map(peer).collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    own: bool,
    partner: bool,
    revokes_own: bool,
    revokes_partner: bool,
}

const ALL: Shape = Shape {
    own: true,
    partner: true,
    revokes_own: false,
    revokes_partner: false,
};

fn allowed(rules: &[&str]) -> AllowList {
    rules.iter().map(|rule| rule.parse().unwrap()).collect()
}

fn admitted(trust: &PeerTrust, allowed: &AllowList) -> Vec<bool> {
    Cast::shared().chains.iter().map(|chain| trust.admit(chain, allowed, NOW).is_ok()).collect()
}

#[test]
fn a_peer_is_believed_under_its_own_domains_bundle_only_and_let_in_if_it_is_wanted() {
    let trust = Cast::shared().trust(ALL);
    let both = allowed(&["/*", "spiffe://partner.test"]);
    assert_eq!(admitted(&trust, &both), [true, true, true, true, false, false]);
    assert_eq!(admitted(&trust, &allowed(&["/web"])), [true, false, false, false, false, false]);
    assert_eq!(
        admitted(&trust, &allowed(&["spiffe://partner.test/db"])),
        [false, false, false, true, false, false]
    );
    assert_eq!(admitted(&trust, &AllowList::default()), [false; 6]);
    // With the impostor's root beside it, still each under its own.
    let cast = Cast::shared();
    let pooled = PeerTrust::new(OWN.parse().unwrap(), [Cast::bundle(&cast.own, OWN), Cast::bundle(&cast.impostor, PARTNER)], []);
    assert_eq!(admitted(&pooled, &both), [true, true, false, false, false, true]);
}

#[test]
fn a_list_revokes_what_its_own_ca_signed_and_nothing_else() {
    let both = allowed(&["/*", "spiffe://partner.test"]);
    let trust = Cast::shared().trust(Shape { revokes_partner: true, ..ALL });
    // The partner's list has the serial of our peer too: it is another certificate.
    assert_eq!(admitted(&trust, &both), [true, true, false, true, false, false]);
    let refused = trust.admit(&Cast::shared().chains[2], &both, NOW).unwrap_err();
    assert!(matches!(refused, PeerRefused::Unproved(VerifyError::Revoked { .. })), "{refused}");
}

#[test]
fn a_connection_ends_after_its_last_second() {
    let cast = Cast::shared();
    let (trust, both) = (cast.trust(ALL), allowed(&["/*"]));
    let open = cast.open();
    let last = open[0].ends_at();
    let ends = |now| endings([((), &open[0])], Some(&trust), &trust, &both, now);
    assert_eq!(ends(last), []);
    assert_eq!(ends(last + Duration::from_secs(1)), [((), EndReason::CertificateEnded)]);
}

fn shapes() -> impl Strategy<Value = Shape> {
    any::<(bool, bool, bool, bool)>().prop_map(|(own, partner, revokes_own, revokes_partner)| Shape {
        own,
        partner,
        revokes_own,
        revokes_partner,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What was opened under one state and is kept under the next is exactly what the next would open.
    #[test]
    fn what_stays_open_is_what_would_be_opened(before in shapes(), after in shapes()) {
        let cast = Cast::shared();
        let list = allowed(&["/web", "spiffe://partner.test"]);
        let (before, after) = (cast.trust(before), cast.trust(after));
        let open: Vec<_> = cast.open().into_iter().filter(|peer| before.admit(&peer.chain, &list, NOW).is_ok()).collect();
        let ended = endings(open.iter().enumerate(), Some(&before), &after, &list, NOW);
        for (index, peer) in open.iter().enumerate() {
            let ends = ended.iter().any(|(ended, _)| *ended == index);
            prop_assert_eq!(ends, after.admit(&peer.chain, &list, NOW).is_err());
        }
        // Looking at each again finds the same, and nothing twice.
        let whole = endings(open.iter().enumerate(), None, &after, &list, NOW);
        prop_assert_eq!(&whole, &ended);
        let left = open.iter().enumerate().filter(|(index, _)| !ended.iter().any(|(ended, _)| ended == index));
        prop_assert_eq!(endings(left, Some(&after), &after, &list, NOW), vec![]);
    }
}
