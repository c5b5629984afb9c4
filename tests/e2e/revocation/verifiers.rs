//! Libraries that verify, each with nothing but the files of a sink.

use std::path::Path;
use std::process::{Command, Stdio};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use tests::domain::path_text;
use tests::python::run_script;
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};

use super::{Copied, World};

/// A verifier: whether it believes a client's chain by the files in a directory.
type Believes = fn(&Copied, &Path) -> bool;

pub(super) fn openssl(client: &Copied, files: &Path) -> bool {
    match refusal_of_openssl(client, files) {
        None => true,
        Some(said) => {
            assert!(said.contains("certificate revoked"), "refused for another reason: {said}");
            false
        }
    }
}

/// Returns what OpenSSL says where it does not believe a client.
pub(super) fn refusal_of_openssl(client: &Copied, files: &Path) -> Option<String> {
    let (chain, bundle, lists) = (client.chain(), files.join("bundle.pem"), files.join("crl.pem"));
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-check_ss_sig", "-crl_check_all", "-purpose", "sslclient"])
        .args(["-CAfile", path_text(&bundle), "-CRLfile", path_text(&lists), "-untrusted", path_text(&chain)])
        .arg(&chain)
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts; install it: tests/run e2e");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(super) fn python(client: &Copied, files: &Path) -> bool {
    let arguments = [
        &files.join("svid.pem"),
        &files.join("svid_key.pem"),
        &files.join("bundle.pem"),
        &files.join("crl.pem"),
        &client.chain(),
        &client.key(),
    ];
    let run = run_script("ssl", "crl_check.py", &arguments.map(|path| path_text(path)), "").exits(0);
    match run.stdout.trim() {
        "accepted" => true,
        "certificate revoked" => false,
        other => panic!("refused for another reason: {other}"),
    }
}

fn ders(file: &Path) -> Vec<Vec<u8>> {
    let blocks = pem::parse_many(std::fs::read(file).expect("a PEM file")).expect("PEM");
    blocks.into_iter().map(pem::Pem::into_contents).collect()
}

fn webpki(client: &Copied, files: &Path) -> bool {
    let chain: Vec<CertificateDer<'_>> = ders(&client.chain()).into_iter().map(Into::into).collect();
    let roots: Vec<CertificateDer<'_>> = ders(&files.join("bundle.pem")).into_iter().map(Into::into).collect();
    let anchors: Vec<_> = roots.iter().map(|root| anchor_from_trusted_cert(root).expect("an anchor")).collect();
    let lists: Vec<CertRevocationList<'_>> = ders(&files.join("crl.pem"))
        .into_iter()
        .map(CertificateRevocationListDer::from)
        .map(|der| CertRevocationList::from(OwnedCertRevocationList::from_der(&der).expect("a list")))
        .collect();
    let lists: Vec<_> = lists.iter().collect();
    let revocation = RevocationOptionsBuilder::new(&lists)
        .expect("lists")
        .with_depth(RevocationCheckDepth::Chain)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .build();
    let leaf = EndEntityCert::try_from(&chain[0]).expect("a leaf");
    let verified = leaf.verify_for_usage(
        &[webpki::aws_lc_rs::ECDSA_P256_SHA256],
        &anchors,
        &chain[1..],
        UnixTime::now(),
        KeyUsage::client_auth(),
        Some(revocation),
        None,
    );
    match verified {
        Ok(_) => true,
        Err(webpki::Error::CertRevoked) => false,
        Err(other) => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn openssl_python_and_webpki_refuse_the_revoked_and_accept_the_others() {
    const VERIFIERS: [(&str, Believes); 3] = [("openssl", openssl), ("python", python), ("webpki", webpki)];
    let world = World::start("root", &["--crl", "always"]);
    let files = world.sink("web");
    let stolen = world.copy("stolen");
    for (name, believes) in VERIFIERS {
        assert!(believes(&stolen, &files), "{name}: with empty lists");
    }
    world.revoke(&stolen);
    let fresh = world.copy_after(&stolen, "fresh");
    world.replace_issuing_ca();
    world.reissue("50m");
    let next = world.copy_after(&fresh, "next");
    for (name, believes) in VERIFIERS {
        assert!(!believes(&stolen, &files), "{name}: the revoked");
        assert!(believes(&fresh, &files), "{name}: the one in its place, of the old issuing CA");
        assert!(believes(&next, &files), "{name}: one of the new issuing CA");
    }
}
