//! More is revoked than the lists may hold: the issuing CA with the longest one goes as a whole, and who is honest goes on.

use tests::wait::until;

use super::verifiers::{openssl, python, refusal_of_openssl};
use super::{World, issuer_of};

/// The smallest limit that may be set: some hundred serials.
const LIMIT: &str = "4096";

/// Certificates that are revoked by one order: 35 bytes each on a list.
const MANY: u32 = 150;

/// The first uid of the workloads whose identity is revoked.
const FIRST_UID: u32 = 52_000;

/// One identity with many entries, so that one order revokes many certificates.
fn issue_many(world: &World) {
    let entries: Vec<_> = (0..MANY)
        .map(|number| serde_json::json!({ "spiffe_id": "/many", "parent_id": "n1", "selectors": [format!("unix:uid:{}", FIRST_UID + number)] }))
        .collect();
    let file = world.domain.folder().join("many.json");
    std::fs::write(&file, serde_json::json!({ "items": entries }).to_string()).expect("a file");
    let _ = world.domain.told(&["entry", "create", "--file", tests::domain::path_text(&file)]);
    until("all certificates", || {
        let status = world.agent.operator(&["agent", "status"]).exits(0).json();
        (status["svids"].as_u64()? >= u64::from(MANY) + 2).then_some(())
    });
}

fn issuing(world: &World, state: &str) -> Vec<String> {
    let list = world.domain.told(&["authority", "list"]);
    let items = list["items"].as_array().expect("items").iter();
    let wanted = items.filter(|item| item["kind"] == "x509-issuing" && item["state"] == state);
    wanted.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn an_issuing_ca_whose_list_is_too_long_goes_onto_the_list_of_its_root_and_openssl_follows() {
    let world = World::start("root", &["--crl", "always", "--crl-max-bytes", LIMIT]);
    let files = world.sink("web");
    let stolen = world.copy("stolen");
    world.revoke(&stolen);
    let fresh = world.copy_after(&stolen, "fresh");
    for (name, believes) in [("openssl", openssl as fn(&_, &_) -> bool), ("python", python)] {
        assert!(!believes(&stolen, &files) && believes(&fresh, &files), "{name}, under the limit");
    }
    issue_many(&world);
    let full = issuing(&world, "active");

    let revoked = world.domain.told(&["svid", "revoke", "--spiffe-id", "/many", "--because", "too many"]);
    assert!(
        revoked["certificates"].as_u64().is_some_and(|certificates| certificates >= u64::from(MANY)),
        "{revoked}"
    );
    until("the full issuing CA to be revoked", || (issuing(&world, "revoked") == full).then_some(()));
    // The honest client's certificate was of that CA too, and is another by now.
    let next = world.copy_after(&fresh, "next");
    assert_ne!(issuer_of(&next), issuer_of(&fresh));
    // Its own list is gone, and its root's names it: OpenSSL looks at the leaf first, and says whichever it finds.
    let is_refused = |client| {
        let said = refusal_of_openssl(client, &files)?;
        assert!(
            said.contains("certificate revoked") || said.contains("unable to get certificate CRL"),
            "refused for another reason: {said}"
        );
        Some(())
    };
    until("files that refuse what the full issuing CA signed", || is_refused(&fresh));
    assert!(is_refused(&stolen).is_some(), "the revoked is refused still");
    for (name, believes) in [("openssl", openssl as fn(&_, &_) -> bool), ("python", python)] {
        assert!(believes(&next, &files), "{name}: the honest one goes on");
    }
    // The lists are short again: an order is heard at once.
    let lists = std::fs::metadata(files.join("crl.pem")).expect("the lists").len();
    assert!(lists < 4_096, "{lists} bytes of PEM");
    world.revoke(&next);
    assert!(!openssl(&next, &files), "a revocation after it");
    until("health without a problem", || {
        (world.domain.operator(&["health", "server"]).code == 0).then_some(())
    });
}
