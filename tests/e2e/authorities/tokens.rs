//! A key of tokens in other hands: what it signed is refused by whoever has the new bundle.

use conformance::covers;
use spiffe::{JwtSvid, WorkloadApiClient};
use tests::admin::runtime;
use tests::domain::{Domain, path_text};
use tests::wait::until_async;

use super::{id_of, node_with_identity, replace};

#[covers("JWT-11", "WAPI-18")]
#[test]
fn a_token_of_a_replaced_key_is_refused_by_the_new_bundle_and_given_to_nobody() {
    let domain = Domain::start("stolen-jwt.test");
    let agent = node_with_identity(&domain, "n1", "/job");
    let runtime = runtime();
    let (client, old) = runtime.block_on(async {
        let client = WorkloadApiClient::connect_to(format!("unix://{}", path_text(&agent.socket)))
            .await
            .expect("a connection");
        let old = until_async("a token", async || client.fetch_jwt_svid(["db"], None).await.ok()).await;
        let bundles = client.fetch_jwt_bundles().await.expect("bundles");
        JwtSvid::parse_and_validate(old.token(), &bundles, &["db"]).expect("it is good before");
        (client, old)
    });
    let key = id_of(&domain, "jwt", "active");
    let done = domain.operator(&replace("jwt", &["--compromised"])).exits(0);
    assert!(done.json()["outcome"].is_null(), "{}", done.stdout);
    assert_ne!(id_of(&domain, "jwt", "active"), key);
    runtime.block_on(async {
        let bundles = client.fetch_jwt_bundles().await.expect("bundles");
        JwtSvid::parse_and_validate(old.token(), &bundles, &["db"]).expect_err("the library refuses it");
        client.validate_jwt_token("db", old.token()).await.expect_err("the agent refuses it");
        let new = client.fetch_jwt_svid(["db"], None).await.expect("another token");
        assert_ne!(new.token(), old.token());
        JwtSvid::parse_and_validate(new.token(), &bundles, &["db"]).expect("the library believes it");
        client.validate_jwt_token("db", new.token()).await.expect("the agent believes it");
    });
}
