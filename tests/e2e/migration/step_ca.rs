//! `docs/migrate-from-step-ca.md`, block by block. The old side is what it left: a root that allows one CA below it, that CA, and the certificate of a service.

use std::path::Path;
use std::time::Duration;

use tests::domain::{open_directory, path_text};
use tests::ports::free_port;
use tests::walk::Walk;

use crate::upstream::corporate::{Corporate, succeeds};

const LIMIT: Duration = Duration::from_secs(180);

/// Makes `root_ca.crt` and `old.crt`, with the path lengths that step-ca gives its own: 1 and 0.
fn old_side(folder: &Path) {
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    let root = Corporate::with(folder, "root", &["basicConstraints=critical,CA:TRUE,pathlen:1", usage], 3650);
    let [csr, key] = ["intermediate.csr", "intermediate.key"].map(|name| folder.join(name));
    let request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    succeeds(
        &[
            &request[..],
            &["-subj", "/O=Old/CN=Old Intermediate CA", "-keyout", path_text(&key), "-out", path_text(&csr)],
        ]
        .concat(),
    );
    let chain = root.sign(
        path_text(&csr),
        "intermediate",
        &format!("basicConstraints=critical,CA:TRUE,pathlen:0\n{usage}\n"),
        365,
    );
    let intermediate = Corporate::at(folder, "intermediate");
    std::fs::copy(folder.join("intermediate.cross.pem"), intermediate.certificate()).expect("the intermediate CA");
    let [leaf, _] = intermediate.leaf_with("old", "DNS:old.example.org");
    let old = [&leaf, &chain].map(|file| std::fs::read_to_string(file).expect("a PEM file")).concat();
    std::fs::write(folder.join("old.crt"), old).expect("the service's chain");
    std::fs::copy(root.certificate(), folder.join("root_ca.crt")).expect("the root");
}

#[test]
fn the_move_from_step_ca_works_as_its_page_says() {
    let folder = open_directory();
    old_side(folder.path());
    let walk = Walk::of("docs/migrate-from-step-ca.md")
        .with("STEP", folder.path())
        .with("LISTEN", format!("127.0.0.1:{}", free_port()));
    assert!(walk.len() >= 6, "the page has lost its blocks");
    let told = walk.succeeds(LIMIT, &[]);
    assert_eq!(told.matches("svid/svid.pem: OK").count(), 2, "{told}");
    assert_eq!(told.matches("old.crt: OK").count(), 1, "{told}");
    assert!(told.contains("svid_key.pem"), "{told}");
}
