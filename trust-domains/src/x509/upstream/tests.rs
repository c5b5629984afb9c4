use std::time::Duration;

use conformance::covers;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose, NameConstraints,
};
use rustls_pki_types::CertificateDer;

use super::{CrossCertificate, LEAST_LEFT, UpstreamChain, UpstreamRefused};
use crate::bundle::TrustBundle;
use crate::trust_domain::TrustDomain;
use crate::x509::testing::{NOW, TestCa, TestDomain, plain_extension, uri};
use crate::x509::{to_pem, verify_svid};

const TD: &str = "example.org";

type Change = fn(&mut CertificateParams);

fn trust_domain() -> TrustDomain {
    TD.parse().unwrap()
}

/// An upstream root whose name is its own and which knows nothing of SPIFFE.
fn upstream_with(change: impl FnOnce(&mut CertificateParams)) -> TestCa {
    TestCa::root_with("corporate root", TD, |params| {
        params.subject_alt_names.clear();
        change(params);
    })
}

fn upstream() -> TestCa {
    upstream_with(|_| {})
}

fn chain(cas: &[&TestCa]) -> Result<UpstreamChain, UpstreamRefused> {
    UpstreamChain::new(&cas.iter().map(|ca| ca.der.clone()).collect::<Vec<_>>(), NOW)
}

fn crossed(cross: &CertificateDer<'_>, upstream: &TestCa, domain: &TestDomain) -> Result<CrossCertificate, UpstreamRefused> {
    CrossCertificate::new(cross, chain(&[upstream])?, &domain.root.der, &trust_domain(), NOW)
}

/// A short word for each refusal, to compare tables with.
fn word(refused: &UpstreamRefused) -> String {
    let text = format!("{refused:?}");
    text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
}

#[covers("X509-16")]
#[test]
fn a_leaf_is_believed_by_who_holds_our_root_and_by_who_holds_the_upstream_root() {
    let (upstream, domain) = (upstream(), TestDomain::new(TD));
    let cross = upstream.cross(&domain.root, "root", TD, |_| {});
    let taken = crossed(&cross, &upstream, &domain).unwrap();
    assert_eq!(taken.der(), &cross);
    assert_eq!(taken.upstream().root(), Some(&upstream.der));
    assert!(taken.upstream().intermediates().is_empty(), "verifiers hold the root themselves");

    let mut presented = domain.chain("spiffe://example.org/web");
    let bundle_of = |root: &CertificateDer<'_>| TrustBundle::new(trust_domain()).with_x509_authority(root).unwrap();
    verify_svid(&presented, &bundle_of(&upstream.der), NOW).unwrap_err();
    presented.push(cross);
    verify_svid(&presented, &bundle_of(&upstream.der), NOW).unwrap();
    verify_svid(&presented, &bundle_of(&domain.root.der), NOW).unwrap();
    let other = TestDomain::new(TD);
    verify_svid(&presented, &bundle_of(&other.root.der), NOW).unwrap_err();
}

#[test]
fn path_lengths_must_reach_from_each_certificate_down_to_leaves() {
    let path_len = |path_len: u8| move |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    for (root, taken) in [(0, false), (1, false), (2, true), (3, true)] {
        let judged = chain(&[&upstream_with(path_len(root))]);
        assert_eq!(judged.is_ok(), taken, "{root}");
        assert!(judged.is_ok() || matches!(judged, Err(UpstreamRefused::PathLength { least: 2, .. })));
    }
    // An intermediate that signs counts for those above it.
    for (root, between, taken) in [(2, 2, false), (3, 2, true), (3, 1, false), (9, 9, true)] {
        let root = upstream_with(path_len(root));
        let signing = root.issuing_with("signing", TD, path_len(between));
        let judged = chain(&[&signing, &root]);
        assert_eq!(judged.is_ok(), taken, "{between}");
        if let Ok(chain) = judged {
            assert_eq!(chain.path_len_below(), Some(u32::from(between) - 1));
            assert_eq!(chain.intermediates(), [signing.der]);
        }
    }
    assert_eq!(chain(&[&upstream()]).unwrap().path_len_below(), None);
}

#[test]
fn an_upstream_authority_that_verifiers_would_not_follow_is_refused_with_the_reason() {
    let table: &[(&str, &str, Change)] = &[
        ("MayNotSign", "no CA", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("MayNotSign", "no keyCertSign", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("MayNotSign", "no key usage", |params| params.key_usages.clear()),
        ("OneDirection", "an EKU for servers only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("NameConstraints", "permitted URIs", |params| params.custom_extensions.push(of_uris(0xa0))),
        ("NameConstraints", "excluded URIs", |params| params.custom_extensions.push(of_uris(0xa1))),
        ("NameConstraints", "directory names", |params| {
            let mut name = rcgen::DistinguishedName::new();
            name.push(DnType::OrganizationName, "Example");
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DirectoryName(name)],
                excluded_subtrees: Vec::new(),
            });
        }),
        ("UnknownCritical", "policy constraints", |params| {
            let mut extension = plain_extension(&[2, 5, 29, 36], &[0x30, 0x03, 0x80, 0x01, 0x00]);
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        }),
        ("EndsSoon", "ended", |params| {
            params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time();
        }),
        ("EndsSoon", "ends too soon", |params| {
            params.not_after = (NOW + LEAST_LEFT - Duration::from_secs(1)).to_offset_date_time();
        }),
        ("NotYetValid", "starts later", |params| {
            params.not_before = (NOW + Duration::from_secs(1)).to_offset_date_time();
        }),
    ];
    for (expected, what, change) in table {
        let refused = chain(&[&upstream_with(change)]).unwrap_err();
        assert_eq!(word(&refused), *expected, "{what}: {refused}");
        assert!(refused.to_string().contains("corporate root"), "{refused}");
    }
    let about_dns = upstream_with(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    chain(&[&about_dns]).unwrap();
}

/// rcgen has no constraint on URIs: the extension is made of octets, with one tree that is permitted ([0]) or excluded ([1]) (RFC 5280 section 4.2.1.10).
fn of_uris(trees: u8) -> CustomExtension {
    let mut content = vec![0x30, 18, trees, 16, 0x30, 14, 0x86, 12];
    content.extend_from_slice(b".example.org");
    plain_extension(&[2, 5, 29, 30], &content)
}

#[test]
fn certificates_that_do_not_hang_together_are_refused() {
    let (root, other) = (upstream(), upstream());
    let signing = root.issuing_with("signing", TD, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    chain(&[&signing, &root]).unwrap();
    for (cas, expected) in [
        (&[&signing, &other][..], "NotSignedBy"),
        (&[&root, &signing], "NotSignedBy"),
        (&[], "Empty"),
        (&[&root; 5], "TooLong"),
    ] {
        assert_eq!(word(&chain(cas).unwrap_err()), expected);
    }
    assert_eq!(UpstreamChain::from_pem(b"no PEM at all", NOW), Err(UpstreamRefused::NotPem));
    let refused = UpstreamChain::new(&[CertificateDer::from(vec![0x30, 0x00])], NOW).unwrap_err();
    assert!(matches!(refused, UpstreamRefused::Certificate { position: 0, .. }), "{refused}");
}

#[test]
fn a_returned_certificate_that_leads_nowhere_is_refused_with_the_reason() {
    let (upstream, domain) = (upstream(), TestDomain::new(TD));
    let table: &[(&str, &str, Change)] = &[
        ("MayNotSign", "no CA", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("PathLength", "path length 0", |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }),
        ("OtherName", "another name", |params| {
            params.distinguished_name.push(DnType::OrganizationName, "Example");
        }),
        ("OtherTrustDomain", "another trust domain", |params| {
            params.subject_alt_names = vec![uri("spiffe://other.org")];
        }),
        ("OtherKeyId", "another key identifier", |params| {
            params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
        }),
        ("EndsSoon", "ended", |params| {
            params.not_after = (NOW - Duration::from_secs(1)).to_offset_date_time();
        }),
        ("OneDirection", "an EKU for clients only", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }),
    ];
    for (expected, what, change) in table {
        let cross = upstream.cross(&domain.root, "root", TD, change);
        assert_eq!(word(&crossed(&cross, &upstream, &domain).unwrap_err()), *expected, "{what}");
    }
    let without_uri = upstream.cross(&domain.root, "root", TD, |params| params.subject_alt_names.clear());
    crossed(&without_uri, &upstream, &domain).unwrap();
    let of_one = upstream.cross(&domain.root, "root", TD, |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    crossed(&of_one, &upstream, &domain).unwrap();
}

#[test]
fn a_certificate_for_another_key_or_by_somebody_else_is_refused() {
    let (upstream, domain) = (upstream(), TestDomain::new(TD));
    let other = TestCa::root("root", TD);
    let for_other = upstream.cross(&other, "root", TD, |_| {});
    assert_eq!(crossed(&for_other, &upstream, &domain).unwrap_err(), UpstreamRefused::OtherKey);
    let by_other = upstream_with(|_| {}).cross(&domain.root, "root", TD, |_| {});
    assert_eq!(word(&crossed(&by_other, &upstream, &domain).unwrap_err()), "NotSignedBy");
    assert_eq!(crossed(&domain.root.der, &domain.root, &domain).unwrap_err(), UpstreamRefused::OwnKey);

    // One octet of the signature is enough.
    let mut tampered = upstream.cross(&domain.root, "root", TD, |_| {}).to_vec();
    *tampered.last_mut().unwrap() ^= 1;
    assert_eq!(word(&crossed(&tampered.into(), &upstream, &domain).unwrap_err()), "NotSignedBy");
}

#[test]
fn what_an_offline_ca_returns_is_read_from_one_pem_text() {
    let (upstream, domain) = (upstream(), TestDomain::new(TD));
    let cross = upstream.cross(&domain.root, "root", TD, |_| {});
    let read = |text: &str| CrossCertificate::from_pem(text.as_bytes(), &domain.root.der, &trust_domain(), NOW);
    let whole = format!("a note of the CA\n{}\n{}", to_pem(&cross), to_pem(&upstream.der));
    let taken = read(&whole).unwrap();
    assert_eq!(taken.not_after(), NOW + Duration::from_secs(300 * 86_400));
    assert_eq!(read(&to_pem(&cross)).unwrap_err(), UpstreamRefused::ChainMissing);
    assert_eq!(read(&to_pem(&upstream.der)).unwrap_err(), UpstreamRefused::OtherKey);
    assert_eq!(read("").unwrap_err(), UpstreamRefused::NotPem);
    assert_eq!(word(&read(&whole.repeat(4)).unwrap_err()), "TooLong");
}
