//! Every certificate is read again by parsers and verifiers that did not make it: x509-parser, webpki, the p256 crate, our own verifier.

use conformance::covers;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use rustls::pki_types::{CertificateDer, UnixTime};
use trust_domains::bundle::TrustBundle;
use trust_domains::class::CredentialClass;
use trust_domains::x509::verify_svid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::world::{NOW, World, new_key, trust_domain};

fn parse<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    certificate
}

/// Verifies with the p256 crate: a second implementation beside aws-lc-rs.
fn verify_with_p256(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) {
    let key = VerifyingKey::from_sec1_bytes(&issuer.public_key().subject_public_key.data).unwrap();
    let signature = DerSignature::from_bytes(&certificate.signature_value.data).unwrap();
    key.verify(certificate.tbs_certificate.as_ref(), &signature).unwrap();
}

fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names
        .value
        .general_names
        .iter()
        .map(|name| if let GeneralName::URI(uri) = name { *uri } else { panic!("{name}") })
        .collect()
}

fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut found = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => found.0 = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => found.1 = id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => {}
        }
    }
    found
}

/// What OpenSSL asks with `-x509_strict` beyond the path itself (crypto/x509/x509_vfy.c, `check_extensions`).
fn check_strict(certificate: &X509Certificate<'_>, is_self_signed: bool) {
    let is_ca = certificate.is_ca();
    assert_eq!(certificate.version().0, 2, "version 3");
    assert_eq!(certificate.tbs_certificate.signature.algorithm, certificate.signature_algorithm.algorithm);
    assert!(certificate.issuer().iter().next().is_some(), "a name for the issuer");
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical || !is_ca, "critical basic constraints");
    assert!(constraints.value.path_len_constraint.is_none() || is_ca, "a path length on a CA only");
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.key_cert_sign(), is_ca, "keyCertSign on a CA, and on nothing else");
    let has_subject = certificate.subject().iter().next().is_some();
    assert!(has_subject || !is_ca, "a name for a CA");
    assert_eq!(
        certificate.subject_alternative_name().unwrap().unwrap().critical,
        !has_subject,
        "a critical SAN where the subject is empty"
    );
    let (subject_key, authority_key) = key_ids(certificate);
    assert!(subject_key.is_some_and(|id| id.len() == 20), "a subject key identifier");
    assert_eq!(authority_key.is_some(), !is_self_signed, "an authority key identifier unless self-signed");
    assert!(!certificate.tbs_certificate.extensions().is_empty());
    let serial = certificate.tbs_certificate.raw_serial();
    assert!(serial.len() == 16 && serial[0] == 1, "a positive serial of 16 octets");
}

#[covers(
    "ID-12", "ID-13", "X509-01", "X509-05", "X509-06", "X509-07", "X509-09", "X509-10", "X509-11", "X509-12", "X509-14"
)]
#[tokio::test]
async fn the_authorities_have_exactly_their_shapes() {
    let world = World::new().await;
    let (_, chain) = world.issued(&world.entry(|_| {})).await;
    let (root_der, issuing_der) = (world.root(), &chain[1]);
    let (root, issuing) = (parse(&root_der), parse(issuing_der));

    for (certificate, path_len) in [(&root, None), (&issuing, Some(0))] {
        assert_eq!(uris(certificate), ["spiffe://example.org"]);
        assert!(certificate.is_ca());
        assert_eq!(certificate.basic_constraints().unwrap().unwrap().value.path_len_constraint, path_len);
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        assert!(certificate.extended_key_usage().unwrap().is_none());
        assert!(certificate.name_constraints().unwrap().is_none());
        assert_eq!(
            certificate
                .subject()
                .iter()
                .filter(|name| name.iter().any(|part| part.attr_type().to_id_string() == "2.5.4.5"))
                .count(),
            1
        );
    }
    assert_ne!(root.subject().as_raw(), issuing.subject().as_raw());
    assert_eq!(key_ids(&issuing).1, key_ids(&root).0);
    check_strict(&root, true);
    check_strict(&issuing, false);
    verify_with_p256(&root, &root);
    verify_with_p256(&issuing, &root);
    assert_eq!(root.validity().not_after.timestamp(), NOW + 365 * 86_400);
    assert_eq!(issuing.validity().not_after.timestamp(), NOW + 7 * 86_400);
    assert_eq!(issuing.validity().not_before.timestamp(), NOW - 60);
}

#[covers("ID-14", "X509-01", "X509-03", "X509-04", "X509-09", "X509-11", "X509-13", "X509-15")]
#[tokio::test]
async fn a_leaf_has_exactly_its_shape_and_verifies_everywhere() {
    let world = World::new().await;
    let entry = world.entry(|draft| draft.class = Some(CredentialClass::Fast));
    let (issued, chain) = world.issued(&entry).await;
    let (root_der, leaf, issuing) = (world.root(), parse(&chain[0]), parse(&chain[1]));

    assert_eq!(uris(&leaf), ["spiffe://example.org/web"]);
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign() && !usage.key_encipherment() && !usage.key_agreement());
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.any && purposes.other.is_empty());
    assert_eq!(
        (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp()),
        (NOW - 60, NOW + 180)
    );
    assert_eq!((issued.issued_at.unix(), issued.expires_at.unix(), issued.expires_in_s), (NOW, NOW + 180, 180));
    assert_eq!(leaf.tbs_certificate.raw_serial(), issued.serial.as_bytes());
    assert_eq!(key_ids(&leaf).1, key_ids(&issuing).0);
    check_strict(&leaf, false);
    verify_with_p256(&leaf, &issuing);

    let bundle = TrustBundle::new(trust_domain()).with_x509_authority(&root_der).unwrap();
    assert_eq!(
        verify_svid(&chain, &bundle, world.now()).unwrap().spiffe_id().as_str(),
        "spiffe://example.org/web"
    );
    verify_with_webpki(&chain, &root_der, world.now().unix());
}

fn verify_with_webpki(chain: &[CertificateDer<'_>], root: &CertificateDer<'_>, now: i64) {
    let anchors = [webpki::anchor_from_trusted_cert(root).unwrap()];
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unsigned_abs()));
    for usage in [webpki::KeyUsage::server_auth(), webpki::KeyUsage::client_auth()] {
        let leaf = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &chain[1..], now, usage, None, None)
            .unwrap();
    }
}

#[tokio::test]
async fn node_and_server_svids_verify_and_carry_their_own_names() {
    let world = World::new().await;
    let prepared = world.issuance.prepare_node_svid(&world.node.id, &new_key(), "token:1", "").unwrap();
    let (serial, expires_at) = (prepared.serial(), prepared.expires_at());
    let node = world.issuance.issue_prepared(prepared).await.unwrap();
    assert_eq!((&node.serial, node.expires_at), (&serial, expires_at));
    assert_eq!(node.expires_at.unix(), NOW + 86_400);
    let server = world
        .issuance
        .issue_prepared(world.issuance.prepare_server_svid(&new_key()).unwrap())
        .await
        .unwrap();
    let bundle = TrustBundle::new(trust_domain()).with_x509_authority(&world.root()).unwrap();
    for (svid, expected) in [(&node, world.node.id.as_str()), (&server, "spiffe://example.org/troth/server")] {
        let chain: Vec<_> = svid.chain().into_iter().map(CertificateDer::from).collect();
        assert_eq!(verify_svid(&chain, &bundle, world.now()).unwrap().spiffe_id().as_str(), expected);
    }
}

#[tokio::test]
async fn the_entrys_own_end_clips_a_leaf() {
    let world = World::new().await;
    let entry = world.entry(|draft| draft.expires_at = Some(trust_domains::Timestamp::from_unix(NOW + 30)));
    let (issued, chain) = world.issued(&entry).await;
    assert_eq!(issued.expires_at.unix(), NOW + 30);
    let leaf = parse(&chain[0]);
    assert_eq!(
        (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp()),
        (NOW - 30, NOW + 30),
        "no further back than it lives"
    );
}

/// The program that most relying parties' libraries come from.
#[tokio::test]
async fn openssl_accepts_the_chain_strictly_for_both_purposes() {
    use std::process::Command;
    let there = Command::new("openssl").arg("version").output().is_ok();
    assert!(there, "openssl is not installed: apt-get install openssl");
    let world = World::new().await;
    let (_, chain) = world.issued(&world.entry(|_| {})).await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, der: &CertificateDer<'_>| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem(der)).unwrap();
        path
    };
    let (root, issuing, leaf) = (file("root.pem", &world.root()), file("issuing.pem", &chain[1]), file("leaf.pem", &chain[0]));
    for purpose in ["sslserver", "sslclient"] {
        let mut command = Command::new("openssl");
        command
            .args(["verify", "-x509_strict", "-purpose", purpose, "-attime", &NOW.to_string(), "-CAfile"])
            .arg(&root);
        let output = command.arg("-untrusted").arg(&issuing).arg(&leaf).output().unwrap();
        assert!(output.status.success(), "{purpose}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
