use std::time::Duration;

use conformance::covers;
use proptest::prelude::{ProptestConfig, any, proptest};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use super::{VerifyError, verify_server_by_root_hash, verify_svid, verify_svid_of_any};
use crate::bundle::TrustBundle;
use crate::join_link::RootHash;
use crate::problem::{Code, Coded};
use crate::trust_domain::TrustDomain;
use crate::x509::testing::{NOW, TestCa, TestDomain};
use crate::x509::{MAX_CERTIFICATE_BYTES, MAX_CHAIN_LEN, SvidError};

/// A change to the parameters of a good certificate.
type Change = fn(&mut CertificateParams);

const WEB: &str = "spiffe://example.org/web";

fn name(text: &str) -> TrustDomain {
    text.parse().unwrap()
}

fn bundle(trust_domain: &str, roots: &[&TestCa]) -> TrustBundle {
    roots.iter().fold(TrustBundle::new(name(trust_domain)), |bundle, root| {
        bundle.with_x509_authority(&root.der).unwrap()
    })
}

#[covers("X509-16")]
#[test]
fn a_chain_to_a_root_of_its_own_domain_is_verified() {
    let domain = TestDomain::new("example.org");
    let chain = domain.chain(WEB);
    let peer = verify_svid(&chain, &bundle("example.org", &[&domain.root]), NOW).unwrap();
    assert_eq!(peer.spiffe_id().as_str(), WEB);
    assert_eq!(peer.key_hash(), &peer.public_key().unwrap().hash());
    assert_eq!(peer.not_after(), NOW + Duration::from_secs(5_400));
    let issuing = crate::x509::Certificate::parse(&chain[1]).unwrap();
    assert_eq!(peer.issuer_key_id().map(ToOwned::to_owned), issuing.subject_key_id().map(hex::encode));
}

#[test]
fn a_chain_that_carries_its_root_is_verified_too() {
    let domain = TestDomain::new("example.org");
    let mut chain = domain.chain(WEB);
    chain.push(domain.root.der.clone());
    assert!(verify_svid(&chain, &bundle("example.org", &[&domain.root]), NOW).is_ok());
}

#[test]
fn a_leaf_directly_under_the_root_is_verified() {
    let root = TestCa::root("root", "example.org");
    assert!(verify_svid(&[root.leaf(WEB)], &bundle("example.org", &[&root]), NOW).is_ok());
}

#[test]
fn both_roots_of_a_rotation_are_good() {
    let (old, new) = (TestDomain::new("example.org"), TestDomain::new("example.org"));
    let both = bundle("example.org", &[&old.root, &new.root]);
    assert!(verify_svid(&old.chain(WEB), &both, NOW).is_ok());
    assert!(verify_svid(&new.chain(WEB), &both, NOW).is_ok());
}

#[covers("X509-16", "BUN-10", "FED-06", "WAPI-08")]
#[test]
fn bundles_of_trust_domains_are_never_pooled() {
    let (ours, partner) = (TestDomain::new("example.org"), TestDomain::new("partner.org"));
    // BUN-10: the partner's authority signs an ID of ours; neither bundle believes it.
    let forged = partner.chain(WEB);
    let path = verify_svid(&forged, &bundle("example.org", &[&ours.root]), NOW).unwrap_err();
    assert!(matches!(path, VerifyError::Path { .. }), "{path:?}");
    let domain = verify_svid(&forged, &bundle("partner.org", &[&partner.root]), NOW).unwrap_err();
    assert!(matches!(domain, VerifyError::WrongTrustDomain { .. }), "{domain:?}");
    // A name that only begins like ours is another domain.
    let near = TestDomain::new("example.org.evil");
    let near = verify_svid(&near.chain("spiffe://example.org.evil/web"), &bundle("example.org", &[&near.root]), NOW).unwrap_err();
    assert!(matches!(near, VerifyError::WrongTrustDomain { .. }), "{near:?}");
}

#[covers("X509-16", "BUN-10", "BEP-04")]
#[test]
fn a_peer_of_any_domain_is_verified_by_the_bundle_of_its_own() {
    let (ours, partner) = (TestDomain::new("example.org"), TestDomain::new("partner.org"));
    let bundles = [bundle("example.org", &[&ours.root]), bundle("partner.org", &[&partner.root])];
    let verify = |chain: &[CertificateDer<'_>]| verify_svid_of_any(chain, |name| bundles.iter().find(|bundle| bundle.trust_domain() == name), NOW);
    let partners = "spiffe://partner.org/web";
    assert_eq!(verify(&ours.chain(WEB)).unwrap().spiffe_id().as_str(), WEB);
    assert_eq!(verify(&partner.chain(partners)).unwrap().spiffe_id().as_str(), partners);
    for forged in [partner.chain(WEB), ours.chain(partners)] {
        assert!(
            matches!(verify(&forged), Err(VerifyError::Path { .. })),
            "an authority vouches for its own domain only"
        );
    }
    let stranger = TestDomain::new("stranger.org");
    let unknown = verify(&stranger.chain("spiffe://stranger.org/web")).unwrap_err();
    assert!(matches!(unknown, VerifyError::NoAuthorities { .. }), "{unknown:?}");
}

#[covers("X509-22", "BUN-07")]
#[test]
fn an_empty_bundle_trusts_nothing() {
    let domain = TestDomain::new("example.org");
    let error = verify_svid(&domain.chain(WEB), &bundle("example.org", &[]), NOW).unwrap_err();
    assert!(matches!(error, VerifyError::NoAuthorities { .. }), "BUN-07, X509-22: {error:?}");
}

#[covers("X509-16")]
#[test]
fn validity_is_checked_to_the_second_at_both_ends() {
    let domain = TestDomain::new("example.org");
    let chain = domain.chain(WEB);
    let bundle = bundle("example.org", &[&domain.root]);
    let (first, last) = (NOW - Duration::from_secs(60), NOW + Duration::from_secs(5_400));
    assert!(verify_svid(&chain, &bundle, first).is_ok());
    assert!(verify_svid(&chain, &bundle, last).is_ok());
    let early = verify_svid(&chain, &bundle, first - Duration::from_secs(1)).unwrap_err();
    assert!(matches!(early, VerifyError::NotYetValid { .. }), "{early:?}");
    let late = verify_svid(&chain, &bundle, last + Duration::from_secs(1)).unwrap_err();
    assert!(matches!(late, VerifyError::Expired { .. }), "{late:?}");
}

#[covers("X509-16")]
#[test]
fn a_root_that_has_ended_vouches_for_nobody() {
    let root = TestCa::root_with("root", "example.org", |params| {
        params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time();
    });
    let error = verify_svid(&[root.leaf(WEB)], &bundle("example.org", &[&root]), NOW).unwrap_err();
    assert!(matches!(error, VerifyError::NoAuthorities { .. }), "{error:?}");
}

#[covers("X509-16")]
#[test]
fn an_issuing_certificate_that_has_ended_breaks_the_path() {
    let root = TestCa::root("root", "example.org");
    let issuing = root.issuing_with("issuing", "example.org", |params| {
        params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time();
    });
    let chain = [issuing.leaf(WEB), issuing.der.clone()];
    assert!(matches!(
        verify_svid(&chain, &bundle("example.org", &[&root]), NOW),
        Err(VerifyError::Path { .. })
    ));
}

#[covers("X509-08", "X509-17")]
#[test]
fn a_signing_certificate_authenticates_nobody() {
    let domain = TestDomain::new("example.org");
    for chain in [
        vec![domain.issuing.der.clone()],
        vec![domain.root.der.clone()],
        vec![domain.issuing.der.clone(), domain.root.der.clone()],
    ] {
        let error = verify_svid(&chain, &bundle("example.org", &[&domain.root]), NOW).unwrap_err();
        assert!(
            matches!(
                error,
                VerifyError::Svid {
                    source: SvidError::Leaf { .. }
                }
            ),
            "X509-08: {error:?}"
        );
    }
    // Nor one with the ID of a workload in it.
    let posing = domain.root.issuing_with("posing", "example.org", |params| {
        params.subject_alt_names = vec![crate::x509::testing::uri(WEB)];
    });
    let error = verify_svid(std::slice::from_ref(&posing.der), &bundle("example.org", &[&domain.root]), NOW).unwrap_err();
    assert!(matches!(error, VerifyError::Svid { .. }), "X509-17: {error:?}");
}

#[covers("X509-05", "X509-16")]
#[test]
fn a_leaf_that_is_itself_in_the_bundle_is_not_taken_as_a_root() {
    let leaf = TestCa::root("root", "example.org").leaf(WEB);
    assert!(TrustBundle::new(name("example.org")).with_x509_authority(&leaf).is_err(), "X509-05, X509-16");
}

#[covers("X509-05")]
#[test]
fn a_leaf_signs_for_nobody() {
    let root = TestCa::root("root", "example.org");
    let table: &[(&str, Change)] = &[
        ("not a CA", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("without keyCertSign", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("without key usage", |params| params.key_usages.clear()),
    ];
    for (what, change) in table {
        let false_issuer = root.issuing_with("false", "example.org", change);
        let chain = [false_issuer.leaf(WEB), false_issuer.der.clone()];
        let error = verify_svid(&chain, &bundle("example.org", &[&root]), NOW).unwrap_err();
        assert!(
            matches!(error, VerifyError::Path { .. } | VerifyError::Signing { .. }),
            "X509-05, {what}: {error:?}"
        );
    }
}

#[covers("X509-16")]
#[test]
fn path_length_constraints_hold_for_issuing_certificates_and_roots() {
    let domain = TestDomain::new("example.org");
    let below = domain.issuing.issuing("below", "example.org");
    let chain = [below.leaf(WEB), below.der.clone(), domain.issuing.der.clone()];
    let error = verify_svid(&chain, &bundle("example.org", &[&domain.root]), NOW).unwrap_err();
    assert!(matches!(error, VerifyError::Path { .. }), "{error:?}");

    let short = TestCa::root_with("short", "example.org", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let issuing = short.issuing("issuing", "example.org");
    let error = verify_svid(&[issuing.leaf(WEB), issuing.der.clone()], &bundle("example.org", &[&short]), NOW).unwrap_err();
    assert_eq!(error, VerifyError::PathTooLong { allowed: 0, actual: 1 });
    assert!(
        verify_svid(&[short.leaf(WEB), short.der.clone()], &bundle("example.org", &[&short]), NOW).is_ok(),
        "a root sent along does not count"
    );
}

#[covers("X509-15")]
#[test]
fn extended_key_usage_names_both_directions_in_the_whole_path() {
    let root = TestCa::root("root", "example.org");
    for (usages, is_good) in [
        (vec![], true),
        (vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth], true),
        (vec![ExtendedKeyUsagePurpose::ServerAuth], false),
        (vec![ExtendedKeyUsagePurpose::ClientAuth], false),
        (vec![ExtendedKeyUsagePurpose::CodeSigning], false),
    ] {
        let issuing = root.issuing_with("issuing", "example.org", |params| params.extended_key_usages = usages.clone());
        let verified = verify_svid(&[issuing.leaf(WEB), issuing.der.clone()], &bundle("example.org", &[&root]), NOW);
        assert_eq!(verified.is_ok(), is_good, "X509-15, {usages:?}: {verified:?}");
    }
}

#[test]
fn what_is_too_much_is_refused_before_it_is_read() {
    let domain = TestDomain::new("example.org");
    let bundle = bundle("example.org", &[&domain.root]);
    let mut long = domain.chain(WEB);
    long.resize(MAX_CHAIN_LEN + 1, domain.issuing.der.clone());
    assert!(matches!(
        verify_svid(&long, &bundle, NOW),
        Err(VerifyError::Svid {
            source: SvidError::TooLong { .. }
        })
    ));
    let large = [domain.issuing.leaf(WEB), CertificateDer::from(vec![0x30; MAX_CERTIFICATE_BYTES + 1])];
    assert!(matches!(
        verify_svid(&large, &bundle, NOW),
        Err(VerifyError::CertificateTooLarge { position: 1, .. })
    ));
    assert!(matches!(verify_svid(&[], &bundle, NOW), Err(VerifyError::Svid { source: SvidError::Empty })));
}

#[test]
fn the_server_is_known_by_the_hash_of_its_root_and_its_exact_id() {
    let (ours, other) = (TestDomain::new("example.org"), TestDomain::new("example.org"));
    let trust_domain = name("example.org");
    let with_root = |domain: &TestDomain, id: &str| [domain.chain(id), vec![domain.root.der.clone()]].concat();
    let pinned = [RootHash::of_der(&ours.root.der)];
    let server = "spiffe://example.org/troth/server";

    let (peer, root) = verify_server_by_root_hash(&with_root(&ours, server), &pinned, &trust_domain, NOW).unwrap();
    assert_eq!((peer.spiffe_id().as_str(), root), (server, ours.root.der.clone()));

    let code = |chain: &[CertificateDer<'_>], roots: &[RootHash]| verify_server_by_root_hash(chain, roots, &trust_domain, NOW).unwrap_err().code();
    assert_eq!(code(&with_root(&other, server), &pinned), Code::RootMismatch, "another root");
    assert_eq!(code(&ours.chain(server), &pinned), Code::RootMismatch, "the root is not sent");
    assert_eq!(code(&with_root(&ours, server), &[]), Code::RootMismatch, "nothing is pinned");
    assert_eq!(
        code(&with_root(&ours, WEB), &pinned),
        Code::ServerIdentityInvalid,
        "a workload poses as the server"
    );
    assert_eq!(
        code(&with_root(&ours, "spiffe://example.org/troth/agent/x/y"), &pinned),
        Code::ServerIdentityInvalid,
        "an agent does"
    );
    let foreign = TestDomain::new("other.org");
    let chain = with_root(&foreign, "spiffe://other.org/troth/server");
    assert_eq!(
        code(&chain, &[RootHash::of_der(&foreign.root.der)]),
        Code::SvidInvalid,
        "the server of another trust domain"
    );
    // The pinned root is public: sending it along with a chain of one's own proves nothing.
    let mut lent = other.chain(server);
    lent.push(ours.root.der.clone());
    assert_eq!(code(&lent, &pinned), Code::SvidInvalid, "a lent root");
    // A pinned leaf or issuing certificate is no root unless it signed: the leaf's own hash never counts.
    assert_eq!(code(&with_root(&ours, server), &[RootHash::of_der(&ours.chain(server)[0])]), Code::RootMismatch);
}

#[covers("ID-14", "X509-16")]
#[test]
fn every_octet_of_a_chain_counts() {
    let domain = TestDomain::new("example.org");
    let bundle = bundle("example.org", &[&domain.root]);
    let chain = domain.chain(WEB);
    for position in 0..chain.len() {
        for offset in 0..chain[position].len() {
            let mut changed: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
            changed[position][offset] ^= 0x01;
            let changed: Vec<CertificateDer<'_>> = changed.into_iter().map(CertificateDer::from).collect();
            assert!(verify_svid(&changed, &bundle, NOW).is_err(), "certificate {position}, octet {offset}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_makes_it_panic(chain in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12), now in any::<i64>()) {
        let root = TestCa::root("root", "example.org");
        let bundle = bundle("example.org", &[&root]);
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        let now = crate::timestamp::Timestamp::from_unix(now);
        assert!(verify_svid(&chain, &bundle, now).is_err());
        assert!(verify_server_by_root_hash(&chain, &[], bundle.trust_domain(), now).is_err());
    }

    #[test]
    fn no_damaged_chain_is_believed(position in 0_usize..2, cut in 0_usize..700, insert in any::<Vec<u8>>(), now in any::<i32>()) {
        let domain = TestDomain::new("example.org");
        let mut chain: Vec<Vec<u8>> = domain.chain(WEB).iter().map(|der| der.to_vec()).collect();
        let original = chain.clone();
        let at = cut.min(chain[position].len());
        let end = (at + insert.len()).min(chain[position].len());
        chain[position].splice(at..end, insert);
        let is_same = chain == original;
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        let bundle = bundle("example.org", &[&domain.root]);
        let _ = verify_svid(&chain, &bundle, crate::timestamp::Timestamp::from_unix(i64::from(now)));
        assert!(is_same == verify_svid(&chain, &bundle, NOW).is_ok());
    }
}
