//! An issuing CA under a name constraint: names outside are believed by nobody who looks at it, even from whoever has its key.

use std::path::Path;

use tests::domain::{Domain, path_text};
use trust_domains::x509::to_pem;

use super::thief::{Forged, steal_and_forge_named};
use super::{bundle, replace};
use crate::outside_clients::{run_go, run_java};

const ID: &str = "spiffe://constrained.test/web";

/// Whether go-spiffe, that is Go's crypto/x509, believes the chain.
fn go_believes(folder: &Path, forged: &Forged, name: &str) -> bool {
    let chain = folder.join(name);
    let text: String = forged.chain.iter().map(|certificate| to_pem(certificate)).collect();
    std::fs::write(&chain, text).expect("a file");
    run_go(&["verify", path_text(&chain), ID, path_text(&folder.join("roots.pem"))]).code == 0
}

/// Whether java-spiffe, that is Java's PKIX, believes the same file.
fn java_believes(folder: &Path, name: &str) -> bool {
    let verified = run_java(&["verify", path_text(&folder.join(name)), ID, path_text(&folder.join("roots.pem"))]);
    assert!(
        verified.code == 0 || verified.stderr.contains("Cert chain cannot be verified") || verified.stderr.contains("CertPathValidator"),
        "{verified:?}"
    );
    verified.code == 0
}

#[test]
fn go_and_java_believe_a_leaf_within_the_name_constraint_and_none_that_a_thief_makes_outside_of_it() {
    let mut domain = Domain::start_with("constrained.test", &["--permit-dns", "example.org"]);
    let _ = domain.operator(&replace("x509-issuing", &[])).exits(0);
    std::fs::write(domain.folder().join("roots.pem"), bundle(&domain).to_pem()).expect("a file");
    let _ = domain.server().terminate();
    let forged = |names: &[&str]| steal_and_forge_named(&domain, ID, names);
    let believed = |names: &[&str], file: &str| go_believes(domain.folder(), &forged(names), file);
    assert!(believed(&["web.example.org"], "inside.pem"));
    assert!(believed(&[], "without.pem"), "an SVID without such names is under no constraint");
    assert!(!believed(&["web.example.net"], "outside.pem"));
    assert!(!believed(&["web.example.org", "web.example.net"], "both.pem"));
    let expected = [("inside.pem", true), ("without.pem", true), ("outside.pem", false), ("both.pem", false)];
    for (file, is_believed) in expected {
        assert_eq!(java_believes(domain.folder(), file), is_believed, "java: {file}");
    }
}
