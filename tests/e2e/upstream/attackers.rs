//! Files that are not what they should be: refused with the reason at init, told in health while running, and never the end of anything.

use tests::command::run;
use tests::domain::{Domain, open_directory, path_text};
use tests::wait::until;

use super::corporate::{Corporate, FIT};
use super::{crosses, files, told_in_health};

#[test]
fn an_upstream_authority_that_verifiers_would_not_follow_is_refused_before_anything_is_made() {
    let folder = open_directory();
    let path_len = |path_len: u8| format!("basicConstraints=critical,CA:TRUE,pathlen:{path_len}");
    let made = |name: &str, extensions: &[&str], days| Corporate::with(folder.path(), name, extensions, days);
    let (zero, one) = (path_len(0), path_len(1));
    let bad = [
        (made("zero", &[&zero, FIT[1]], 3650), "path length"),
        (made("one", &[&one, FIT[1]], 3650), "path length"),
        (
            made("leaf", &["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"], 3650),
            "may not sign certificates",
        ),
        (made("usage", &[FIT[0], "keyUsage=critical,cRLSign"], 3650), "may not sign certificates"),
        (
            made("uris", &[FIT[0], FIT[1], "nameConstraints=critical,permitted;URI:.example.org"], 3650),
            "name constraints on URIs",
        ),
        (made("servers", &[FIT[0], FIT[1], "extendedKeyUsage=serverAuth"], 3650), "extended key usage"),
        (made("short", &FIT, 1), "must last 2d from now"),
    ];
    let data = folder.path().join("server");
    let init = |corporate: &Corporate, more: &[&str]| {
        let asked = [
            "--output",
            "json",
            "server",
            "init",
            "--trust-domain",
            "refused.test",
            "--no-recovery",
            "--data-dir",
            path_text(&data),
        ];
        run(&[&asked[..], &files(corporate, more)].concat())
    };
    for (corporate, reason) in &bad {
        let refused = init(corporate, &[]).exits(1);
        assert_eq!(refused.problem(), "upstream_refused");
        assert!(refused.stdout.contains(reason), "{reason}: {}", refused.stdout);
        assert!(!data.exists(), "{reason}: nothing was made");
    }
    let (good, other) = (made("good", &FIT, 3650), made("other", &FIT, 3650));
    std::fs::copy(other.key(), good.key()).expect("a file");
    let refused = init(&good, &[]).exits(1);
    assert_eq!(refused.problem(), "file_unavailable");
    assert!(!data.exists() && refused.stdout.contains("does not fit"), "{}", refused.stdout);
    let alone = [
        "server",
        "init",
        "--trust-domain",
        "refused.test",
        "--data-dir",
        path_text(&data),
        "--upstream-cert",
        good.certificate(),
    ];
    assert_eq!(run(&alone).code, 2, "the key belongs to it");
}

#[test]
fn a_running_server_takes_new_files_and_tells_of_bad_ones() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init_with("files.test", &files(&corporate, &[]));
    domain.options = files(&corporate, &[]).into_iter().map(str::to_owned).collect();
    domain.start_server();
    let [first] = &crosses(&domain)[..] else { panic!("not one") };
    let id = first["id"].as_str().expect("an id");
    let in_use = domain.operator(&["authority", "upstream", "remove", id]).exits(1);
    assert_eq!(in_use.problem(), "upstream_in_use");

    // A certificate of another key in the place of ours: told, and nothing changes.
    let good = std::fs::read(corporate.certificate()).expect("a file");
    let other = Corporate::new(folder.path(), "other");
    std::fs::copy(other.certificate(), corporate.certificate()).expect("a file");
    told_in_health(&domain, "does not fit");
    assert_eq!(&crosses(&domain)[..], std::slice::from_ref(first));
    assert!(domain.server().is_running());

    std::fs::write(corporate.certificate(), good).expect("a file");
    until("health", || (domain.operator(&["health", "server"]).code == 0).then_some(()));

    // A renewed one makes a new cross-certificate under the same id.
    corporate.renew("root", 100);
    let second = until("a new cross-certificate", || {
        let now = crosses(&domain);
        (now.len() == 1 && now[0]["not_after"] != first["not_after"]).then(|| now[0].clone())
    });
    assert_eq!(second["id"], first["id"]);
    let recorded = domain.operator(&["audit", "export"]).exits(0).stdout;
    assert!(recorded.contains("the upstream authority has new certificates"), "{recorded}");
}

#[test]
fn the_key_of_the_upstream_authority_is_in_no_file_of_the_server() {
    let folder = open_directory();
    let corporate = Corporate::new(folder.path(), "root");
    let mut domain = Domain::init_with("nokey.test", &files(&corporate, &[]));
    domain.start_server();
    // With init alone the files are read once: the server runs without them.
    std::fs::remove_file(corporate.key()).expect("a file");
    std::fs::remove_file(corporate.certificate()).expect("a file");
    assert_eq!(crosses(&domain).len(), 1);
    assert_eq!(domain.operator(&["health", "server"]).code, 0);
    let log = domain.server().log();
    assert!(!log.contains("PRIVATE"), "{log}");
}
