//! Certificates of a running trust domain in the eyes of others: OpenSSL's command line, webpki, the p256 crate and x509-parser.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use conformance::covers;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use rustls::pki_types::{CertificateDer, UnixTime};
use tests::command::{Run, run};
use tests::domain::{Agent, Domain, path_text};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A running trust domain with one workload, and what the workload was given, as files.
struct Given {
    domain: Domain,
    agent: Agent,
    chain: PathBuf,
    bundle: PathBuf,
}

impl Given {
    fn new(name: &str) -> Self {
        let domain = Domain::start(name);
        let agent = domain.agent("n1");
        let selector = format!("unix:uid:{}", nix::unistd::getuid());
        let _ = domain.told(&["entry", "create", "--spiffe-id", "/web", "--selector", &selector, "--wait"]);
        let folder = domain.folder().join("given");
        let _ = run(&["svid", "fetch", "x509", "--socket", path_text(&agent.socket), "--write", path_text(&folder)]).exits(0);
        Self {
            chain: folder.join("svid.0.pem"),
            bundle: folder.join("bundle.0.pem"),
            domain,
            agent,
        }
    }

    /// Leaf, issuing CA and root.
    fn certificates(&self) -> [CertificateDer<'static>; 3] {
        let mut all = ders(&self.chain);
        all.extend(ders(&self.bundle));
        all.try_into()
            .unwrap_or_else(|all: Vec<_>| panic!("{} certificates instead of leaf, issuing CA and root", all.len()))
    }

    fn folder(&self) -> &Path {
        self.domain.folder()
    }
}

fn ders(file: &Path) -> Vec<CertificateDer<'static>> {
    let text = std::fs::read(file).expect("a PEM file");
    pem::parse_many(text)
        .expect("PEM")
        .into_iter()
        .map(|block| block.into_contents().into())
        .collect()
}

fn openssl(arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts; install it: tests/run e2e")
}

fn verifies(arguments: &[&str]) {
    let output = openssl(arguments);
    assert!(output.status.success(), "openssl {arguments:?}: {:?}", Run::of(&output));
}

#[covers("X509-16")]
#[test]
fn openssl_verifies_the_chain_strictly_for_servers_and_clients() {
    let given = Given::new("openssl.test");
    let (chain, bundle) = (path_text(&given.chain), path_text(&given.bundle));
    for purpose in ["sslserver", "sslclient"] {
        verifies(&[
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            purpose,
            "-CAfile",
            bundle,
            "-untrusted",
            chain,
            chain,
        ]);
    }
    // The issuing CA alone under its root, and the root itself.
    let [_, issuing, _] = given.certificates();
    let issuing_file = given.folder().join("issuing.pem");
    std::fs::write(&issuing_file, pem::encode(&pem::Pem::new("CERTIFICATE", issuing.to_vec()))).expect("a file");
    verifies(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", bundle, path_text(&issuing_file)]);
    verifies(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", bundle, bundle]);

    // Without the issuing CA, for another purpose, and under another trust domain's root it is refused.
    let other = Given::new("other.test");
    for refused in [
        &["verify", "-x509_strict", "-CAfile", bundle, chain][..],
        &["verify", "-x509_strict", "-purpose", "smimesign", "-CAfile", bundle, "-untrusted", chain, chain],
        &[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-CAfile",
            path_text(&other.bundle),
            "-untrusted",
            chain,
            chain,
        ],
    ] {
        assert!(!openssl(refused).status.success(), "openssl accepted {refused:?}");
    }
}

#[test]
fn openssl_connects_to_the_node_api_and_believes_its_certificate() {
    let given = Given::new("connect.test");
    let bundle = path_text(&given.bundle);
    let connect = [
        "s_client",
        "-connect",
        &given.domain.address,
        "-tls1_3",
        "-CAfile",
        bundle,
        "-verify_return_error",
        "-x509_strict",
        "-brief",
    ];
    verifies(&connect);
    // TLS 1.3 only.
    assert!(
        !openssl(&["s_client", "-connect", &given.domain.address, "-tls1_2", "-CAfile", bundle])
            .status
            .success()
    );
}

#[covers("WAPI-15")]
#[test]
fn the_key_file_of_a_workload_is_the_one_in_its_certificate() {
    let given = Given::new("key.test");
    let key = given.chain.with_file_name("svid.0.key");
    let public = |arguments: &[&str]| {
        let output = openssl(arguments);
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert_eq!(
        public(&["pkey", "-in", path_text(&key), "-pubout"]),
        public(&["x509", "-in", path_text(&given.chain), "-pubkey", "-noout"])
    );
}

#[covers("ID-12", "ID-14", "X509-07", "WAPI-15")]
#[test]
fn webpki_and_p256_verify_what_aws_lc_rs_signed() {
    let given = Given::new("second.test");
    let [leaf, issuing, root] = given.certificates();
    let anchor = anchor_from_trusted_cert(&root).expect("a trust anchor");
    let end_entity = EndEntityCert::try_from(&leaf).expect("a leaf");
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        let algorithms = &[webpki::aws_lc_rs::ECDSA_P256_SHA256];
        let path = end_entity.verify_for_usage(
            algorithms,
            std::slice::from_ref(&anchor),
            std::slice::from_ref(&issuing),
            UnixTime::now(),
            usage,
            None,
            None,
        );
        assert!(path.is_ok(), "{:?}", path.err());
    }
    for (certificate, issuer) in [(&leaf, &issuing), (&issuing, &root), (&root, &root)] {
        assert!(p256_verifies(certificate, issuer, |_| {}));
        assert!(
            !p256_verifies(certificate, issuer, |signed| signed[40] ^= 1),
            "a changed certificate was believed"
        );
    }
    assert!(!p256_verifies(&leaf, &root, |_| {}), "the wrong issuer was believed");
}

/// Verifies the signature on a certificate with the p256 crate alone, after a change to what was signed.
fn p256_verifies(certificate: &[u8], issuer: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    let (_, issuer) = X509Certificate::from_der(issuer).expect("a certificate");
    let key = VerifyingKey::from_sec1_bytes(&issuer.public_key().subject_public_key.data).expect("a P-256 key");
    let signature = Signature::from_der(&certificate.signature_value.data).expect("an ECDSA signature");
    let mut signed = certificate.tbs_certificate.as_ref().to_vec();
    change(&mut signed);
    key.verify(&signed, &signature).is_ok()
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().expect("a readable SAN").expect("a SAN");
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(uri).collect()
}

fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut issuers) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => issuers = id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => {}
        }
    }
    (own, issuers)
}

/// X509-01, X509-04, X509-09, X509-11, X509-13, X509-15 on what the agent delivers.
#[covers("X509-01", "X509-04", "X509-09", "X509-11", "X509-13", "X509-15")]
#[test]
fn a_leaf_has_exactly_the_shape_of_the_standard() {
    let given = Given::new("leaf.test");
    let [leaf, issuing, _] = given.certificates();
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    let (_, issuing) = X509Certificate::from_der(&issuing).expect("a certificate");
    assert_eq!(uris(&leaf), ["spiffe://leaf.test/web"]);
    let names = leaf.subject_alternative_name().expect("a readable SAN").expect("a SAN");
    assert_eq!(names.value.general_names.len(), 1);
    assert!(
        names.critical || leaf.subject().iter_rdn().next().is_some(),
        "an empty subject and a SAN that is not critical"
    );
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().expect("a readable key usage").expect("a key usage");
    assert!(usage.critical && usage.value.digital_signature());
    assert!(!usage.value.key_cert_sign() && !usage.value.crl_sign() && !usage.value.key_agreement() && !usage.value.key_encipherment());
    let extended = leaf.extended_key_usage().expect("a readable EKU").expect("an EKU").value;
    assert!(extended.server_auth && extended.client_auth && !extended.any && extended.other.is_empty());
    assert_eq!(key_ids(&leaf).1, key_ids(&issuing).0, "AKI");
    assert!(leaf.validity().not_after <= issuing.validity().not_after);
}

/// X509-05, X509-06, X509-09, X509-11, X509-12, X509-14 on issuing CA and root.
#[covers("X509-05", "X509-06", "X509-09", "X509-11", "X509-12", "X509-14")]
#[test]
fn signing_certificates_have_the_shape_that_verifiers_need() {
    let given = Given::new("signing.test");
    let [_, issuing, root] = given.certificates();
    let (_, issuing) = X509Certificate::from_der(&issuing).expect("a certificate");
    let (_, root) = X509Certificate::from_der(&root).expect("a certificate");
    for (certificate, path_length) in [(&issuing, Some(0)), (&root, None)] {
        assert_eq!(uris(certificate), ["spiffe://signing.test"]);
        let constraints = certificate.basic_constraints().expect("readable constraints").expect("constraints");
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, path_length);
        let usage = certificate.key_usage().expect("a readable key usage").expect("a key usage");
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature());
        assert!(certificate.extended_key_usage().expect("no EKU").is_none());
        let serial_number = x509_parser::oid_registry::OID_X509_SERIALNUMBER;
        assert_eq!(certificate.subject().iter_by_oid(&serial_number).count(), 1);
    }
    assert_ne!(issuing.subject(), root.subject());
    assert_eq!(key_ids(&issuing).1, key_ids(&root).0);
    assert!(key_ids(&issuing).0.is_some() && key_ids(&root).1.is_none_or(|id| Some(id) == key_ids(&root).0));
}

#[test]
fn serials_have_sixteen_octets_and_name_their_issuer() {
    let given = Given::new("serial.test");
    let serial = || {
        let fetched = run(&["--output", "json", "svid", "fetch", "x509", "--socket", path_text(&given.agent.socket)]).exits(0);
        fetched.json()["svids"][0]["serial"].as_str().expect("a serial").to_owned()
    };
    let first = serial();
    let _ = given.domain.told(&["entry", "update", "/web", "--x509-ttl", "10m", "--wait"]);
    let second = serial();
    for serial in [&first, &second] {
        assert_eq!(serial.len(), 32);
        assert!(serial.starts_with("01"), "{serial}");
    }
    assert_eq!(first[..10], second[..10], "both are of one issuing CA");
    assert_ne!(first[10..], second[10..]);
    let (_, leaf) = X509Certificate::from_der(&given.certificates()[0])
        .map(|(rest, leaf)| (rest, hex::encode(leaf.raw_serial())))
        .expect("a certificate");
    assert_eq!(leaf, first, "the certificate's own serial, as others read it");
}
