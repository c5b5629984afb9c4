//! A root is replaced under an upstream authority: its successor is certified before it signs, and what was under the old one goes with it.

use tests::domain::{Domain, open_directory, path_text};
use tests::wait::until;

use super::corporate::{Corporate, believes};
use super::{Running, crosses, files};

#[test]
fn a_new_root_is_certified_by_the_files_and_a_compromised_one_takes_its_cross_certificate_along() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init("pruned.test");
    let options = files(&corporate, &["--send-cross-certificate", "--upstream-dedicated"]);
    domain.options = options.into_iter().map(str::to_owned).collect();
    domain.start_server();
    let running = Running::of(domain);
    let [old] = &crosses(&running.domain)[..] else { panic!("not one") };
    let replace = [
        "authority",
        "replace",
        "--kind",
        "x509-root",
        "--compromised",
        "--because",
        "a drill",
        "--yes",
        "--wait",
        "2m",
    ];
    let _ = running.domain.told(&replace);
    let new = until("the old root's cross-certificate to go", || match &crosses(&running.domain)[..] {
        [one] if one["root"] != old["root"] => Some(one.clone()),
        _ => None,
    });
    assert_eq!((&new["sent"], &new["dedicated"]), (&true.into(), &true.into()));
    let [chain, _, bundle] = running.fetched("after");
    assert_eq!(
        (super::count(&chain), super::count(&bundle)),
        (3, 2),
        "the new root, and that of the upstream authority"
    );
    assert!(believes(corporate.certificate(), &chain) && believes(path_text(&bundle), &chain));
}
