//! `troth server init` and `troth token`.

use std::os::unix::fs::PermissionsExt as _;

use tests::command::run;
use tests::domain::{Domain, open_directory, path_text};

use super::{has_fields, is_time, items, text_of, typed};

#[test]
fn server_init_says_what_it_made_and_touches_nothing_that_is_there() {
    let folder = open_directory();
    let data = folder.path().join("server");
    let recovery = folder.path().join("recovery.key");
    let init = |data: &std::path::Path, more: &[&str]| {
        let mut arguments = vec![
            "--output",
            "json",
            "server",
            "init",
            "--trust-domain",
            "init.test",
            "--data-dir",
            path_text(data),
        ];
        arguments.extend_from_slice(more);
        run(&arguments)
    };
    let made = init(&data, &["--recovery-key-file", path_text(&recovery)]).exits(0).json();
    has_fields(&made, &["trust_domain", "data_dir", "key_file", "recovery_key", "root_sha256"]);
    assert_eq!(made["trust_domain"], "init.test");
    assert_eq!(made["data_dir"], path_text(&data));
    assert_eq!(made["key_file"], format!("{}.seal.key", data.display()));
    assert!(made["recovery_key"].is_null(), "it is in the file");
    assert_eq!(text_of(&made, "root_sha256").len(), 64);
    for (file, mode) in [
        (recovery.as_path(), 0o600),
        (text_of(&made, "key_file").as_ref(), 0o600),
        (data.as_path(), 0o700),
    ] {
        assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, mode, "{}", file.display());
    }
    assert_eq!(init(&data, &["--no-recovery"]).exits(1).problem(), "data_dir_not_empty");

    // A key file that exists is used as it is.
    let (second, key) = (folder.path().join("second"), text_of(&made, "key_file").to_owned());
    let before = std::fs::read(&key).expect("the key file");
    let shown = init(&second, &["--key-file", &key]).exits(0).json();
    assert!(text_of(&shown, "recovery_key").len() >= 40, "the recovery key is shown once");
    assert_eq!(std::fs::read(&key).expect("the key file"), before);

    assert_eq!(
        init(&folder.path().join("third"), &["--no-recovery", "--recovery-key-file", "x"])
            .exits(2)
            .problem(),
        "usage"
    );
    let upper = run(&[
        "--output",
        "json",
        "server",
        "init",
        "--trust-domain",
        "Init.Test",
        "--data-dir",
        path_text(&folder.path().join("fourth")),
    ]);
    assert_eq!(upper.exits(2).problem(), "usage");
    assert!(!folder.path().join("fourth").exists());
}

#[test]
fn a_token_is_shown_once_listed_without_its_text_and_deleted() {
    let domain = Domain::start("token.test");
    let created = domain.told(&["token", "create", "--node-id", "web-1", "--ttl", "5m"]);
    has_fields(&created, &["id", "link", "token", "server", "root_sha256", "expires_at", "node_id"]);
    is_time(&created, "expires_at");
    assert_eq!((text_of(&created, "node_id"), text_of(&created, "server")), ("web-1", domain.address.as_str()));
    let (link, token) = (text_of(&created, "link"), text_of(&created, "token"));
    let roots: Vec<&str> = created["root_sha256"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|root| root.as_str().expect("text"))
        .collect();
    assert_eq!(link, format!("troth://{}/join/token.test/{token}/{}", domain.address, roots.join(".")));
    assert!(
        link.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_:/".contains(letter)),
        "it needs quotes: {link}"
    );

    let listed = domain.told(&["token", "list"]);
    assert_eq!(items(&listed).len(), 1);
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["node_id"]),
        (&created["id"], &created["node_id"])
    );
    assert!(!listed.to_string().contains(token), "the list shows the secret");

    let id = text_of(&created, "id");
    assert_eq!(domain.told(&["token", "delete", id])["id"], id);
    assert!(items(&domain.told(&["token", "list"])).is_empty());
    assert_eq!(domain.operator(&["token", "delete", id]).exits(3).problem(), "token_not_found");
}

#[test]
fn token_create_prints_the_command_for_the_node() {
    let domain = Domain::start_with("advertise.test", &["--advertise", "ca.example.org:443"]);
    let created = typed(&domain, &["token", "create"]).exits(0);
    assert!(created.stdout.contains("troth://ca.example.org:443/join/advertise.test/"), "{created:?}");
    assert!(created.stdout.contains("troth agent run --join -"), "{created:?}");
    assert!(created.stderr.contains("advertise"), "it does not say where the address is from: {created:?}");
    assert!(typed(&domain, &["token", "list"]).exits(0).stdout.contains("open"));
    assert_eq!(domain.operator(&["token", "create", "--node-id", "../up"]).exits(2).problem(), "usage");
    assert_eq!(domain.operator(&["token", "create", "--ttl", "600"]).exits(2).problem(), "usage");
}
