//! WIT-SVIDs over the Workload API.

use std::collections::HashMap;

use serde_json::Value;
use trust_domains::clock::Clock as _;
use trust_domains::wit_svid::{UnverifiedWitSvid, WitLeeway};

use super::*;
use crate::endpoints::workload_api::messages::{JwtBundlesResponse, WitBundlesResponse, WitsvidResponse};
use crate::jwt_svids::testing::KEY_ID;
use crate::svids::testing::{bundle_of, revision};
use crate::wit_svids::WitCache;
use crate::wit_svids::testing::{WIT_KEY_ID, WIT_LIFE, answer_all, issue_all, issue_forever, refuse_all, with_wit_keys};

/// A world with the WIT profile on, whose tokens are issued as soon as they are wanted.
fn world() -> World {
    let world = World::with_wit();
    tokio::spawn(issue_forever(world.wits().clone(), world.clock.shared()));
    world
}

fn all() -> WitsvidRequest {
    WitsvidRequest::default()
}

fn only(name: &str) -> WitsvidRequest {
    WitsvidRequest {
        spiffe_id: format!("spiffe://td.example/{name}"),
    }
}

impl World {
    fn wits(&self) -> &WitCache {
        self.wits.as_ref().unwrap()
    }

    async fn wit(&self, request: WitsvidRequest) -> Result<Streaming<WitsvidResponse>, tonic::Status> {
        let mut client = self.client().await;
        let fetching = tokio::time::timeout(Duration::from_secs(60), client.fetch_witsvid(request));
        Ok(fetching.await.unwrap()?.into_inner())
    }

    /// Changes the entries, as the server would say it, and lets the tokens follow.
    fn now_has(&self, counter: u64, upserted: Vec<NodeEntry>, removed: &[&str]) {
        self.change(counter, upserted, removed);
        self.wits().take_entries(&self.cache);
    }
}

async fn said<M>(stream: &mut Streaming<M>) -> Result<M, tonic::Status> {
    let message = tokio::time::timeout(Duration::from_secs(60), stream.message()).await.expect("nothing came");
    message.map(|message| message.expect("the stream ended without an error"))
}

fn names(response: &WitsvidResponse) -> Vec<&str> {
    response.svids.iter().map(|svid| &svid.spiffe_id["spiffe://td.example/".len()..]).collect()
}

fn hinted(id: &str, at: u64, hint: &str) -> NodeEntry {
    NodeEntry {
        hint: Some(hint.to_owned()),
        ..own(id, at)
    }
}

#[covers("STB-01", "WAPI-20")]
#[tokio::test]
async fn unless_it_is_switched_on_both_methods_are_unimplemented_whoever_asks() {
    let world = World::new();
    for entries in [vec![], vec![own("web", 1)]] {
        world.entries(1, entries);
        let refusals = [
            world.wit(all()).await.err(),
            world.wit(only("web")).await.err(),
            world.client().await.fetch_wit_bundles(WitBundlesRequest {}).await.err(),
        ];
        for refusal in refusals {
            let refusal = refusal.unwrap();
            assert_eq!(refusal.code(), Code::Unimplemented);
            assert!(refusal.message().contains("--enable wit"), "{refusal}");
        }
    }
}

#[covers("WAPI-04", "WAPI-05", "WAPI-09", "WAPI-10", "WAPI-21", "WAPI-23")]
#[tokio::test]
async fn wapi_21_every_identity_of_the_process_gets_a_token_and_its_key_in_the_stable_order() {
    let world = world();
    let foreign = with_selectors("foreign", 0, &["unix:uid:4000000"]);
    world.entries(1, vec![hinted("third", 3, "x"), own("first", 1), hinted("second", 2, "x"), foreign]);
    let response = said(&mut world.wit(all()).await.unwrap()).await.unwrap();
    assert_eq!(names(&response), ["first", "second", "third"]);
    assert_eq!(response.svids.iter().map(|svid| svid.hint.as_str()).collect::<Vec<_>>(), ["", "x", ""]);
    let verified_by = with_wit_keys(&bundle(), &[WIT_KEY_ID]);
    for svid in &response.svids {
        let key: Value = serde_json::from_str(&svid.wit_svid_key).unwrap();
        let token = UnverifiedWitSvid::parse(&svid.wit_svid).unwrap();
        assert_eq!(key["alg"], "ES256", "T10");
        assert!(key["d"].is_string());
        let own: trust_domains::jwk::EcJwk = serde_json::from_value(key).unwrap();
        let now = world.clock.now().wall;
        let held = token
            .verify(&verified_by, now, WitLeeway::NONE)
            .unwrap()
            .held_with(&own.public_key().unwrap())
            .unwrap();
        assert_eq!(held.spiffe_id().as_str(), svid.spiffe_id);
        let shown = format!("{response:?}");
        assert!(
            !shown.contains(&svid.wit_svid) && !shown.contains(&svid.wit_svid_key),
            "neither token nor key in Debug"
        );
    }
    let again = said(&mut world.wit(all()).await.unwrap()).await.unwrap();
    assert_eq!(again, response, "another instance gets the same (WIT-16)");
}

#[covers("WAPI-11", "WAPI-21")]
#[tokio::test]
async fn one_identity_may_be_asked_for_and_one_that_is_not_granted_is_denied() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2), with_selectors("foreign", 0, &["unix:uid:4000000"])]);
    assert_eq!(names(&said(&mut world.wit(only("db")).await.unwrap()).await.unwrap()), ["db"]);
    for other in ["foreign", "nobody"] {
        assert_eq!(world.wit(only(other)).await.unwrap_err().code(), Code::PermissionDenied, "{other}");
    }
    assert_eq!(world.wits().held(), 1, "nothing was issued for those who may not have it");
    let malformed = WitsvidRequest { spiffe_id: "web".to_owned() };
    assert_eq!(world.wit(malformed).await.unwrap_err().code(), Code::InvalidArgument);
}

#[covers("EP-11", "WAPI-11", "WAPI-14")]
#[tokio::test]
async fn a_process_without_an_identity_gets_no_token_and_no_keys() {
    let world = world();
    assert_eq!(world.wit(all()).await.unwrap_err().code(), Code::Unavailable, "a starting agent");
    world.entries(1, vec![with_selectors("foreign", 0, &["unix:uid:4000000"])]);
    let refusals = [
        world.wit(all()).await.err(),
        world.client().await.fetch_wit_bundles(WitBundlesRequest {}).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.map(|status| status.code()), Some(Code::PermissionDenied));
    }
    assert_eq!(world.wits().held(), 0);
}

#[covers("WAPI-04", "WAPI-05", "WAPI-06")]
#[tokio::test]
async fn an_open_stream_is_told_of_each_rotation_and_change_whole_and_of_nothing_else() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2)]);
    let mut stream = world.wit(all()).await.unwrap();
    let first = said(&mut stream).await.unwrap();
    assert_eq!(names(&first), ["web", "db"]);

    world.clock.advance(TTL / 2);
    assert_eq!(world.issue(), 2, "the certificates rotate: no news to this stream");
    issue_all(world.wits(), world.clock.now());
    let rotated = said(&mut stream).await.unwrap();
    assert_eq!(names(&rotated), ["web", "db"]);
    for (new, old) in rotated.svids.iter().zip(&first.svids) {
        assert!(new.wit_svid != old.wit_svid && new.wit_svid_key != old.wit_svid_key);
    }

    let relabelled_entry = NodeEntry {
        revision: revision(2),
        ..hinted("web", 1, "front")
    };
    world.now_has(2, vec![relabelled_entry], &[]);
    let mut relabelled = said(&mut stream).await.unwrap();
    while relabelled.svids[0].wit_svid == rotated.svids[0].wit_svid || relabelled.svids[0].hint.is_empty() {
        relabelled = said(&mut stream).await.unwrap();
    }
    assert_eq!(relabelled.svids[0].hint, "front");
    world.now_has(3, vec![own("new", 3)], &[]);
    assert_eq!(names(&said(&mut stream).await.unwrap()), ["web", "db", "new"], "never without those there were");
    world.now_has(4, vec![], &["web"]);
    assert_eq!(names(&said(&mut stream).await.unwrap()), ["db", "new"]);
    world.now_has(5, vec![], &["db", "new"]);
    assert_eq!(said(&mut stream).await.unwrap_err().code(), Code::PermissionDenied, "never an empty list");
}

#[tokio::test]
async fn an_entry_that_goes_and_comes_back_at_once_is_served_again_on_the_same_stream() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2)]);
    let mut stream = world.wit(all()).await.unwrap();
    let first = said(&mut stream).await.unwrap();
    // Nothing else runs between the two: the stream sees no view without the entry.
    world.now_has(2, vec![], &["web"]);
    world.now_has(3, vec![own("web", 1)], &[]);
    let mut latest = said(&mut stream).await.unwrap();
    while names(&latest) != ["web", "db"] {
        latest = said(&mut stream).await.unwrap();
    }
    assert_ne!(latest.svids[0].wit_svid, first.svids[0].wit_svid);
    assert_eq!(latest.svids[1], first.svids[1]);
}

#[tokio::test]
async fn a_stream_for_one_identity_ends_when_that_one_goes() {
    let world = world();
    world.entries(1, vec![own("web", 1), own("db", 2)]);
    let mut stream = world.wit(only("db")).await.unwrap();
    said(&mut stream).await.unwrap();
    world.now_has(2, vec![], &["db"]);
    let ended = said(&mut stream).await.unwrap_err();
    assert_eq!(ended.code(), Code::PermissionDenied);
    assert!(ended.message().contains("spiffe://td.example/db"), "{ended}");
}

/// Asks for all identities, while `judge` says for which of two entries there is a token.
async fn asked_while(world: &World, judge: fn(&NodeEntry) -> Result<(), String>) -> Result<WitsvidResponse, tonic::Status> {
    let socket = world.socket.clone();
    let asking = tokio::spawn(async move {
        let mut stream = connect(&socket).await.unwrap().fetch_witsvid(all()).await?.into_inner();
        said(&mut stream).await
    });
    let mut answered = 0;
    while answered < 2 {
        world.wits().work().await;
        answered += answer_all(world.wits(), world.clock.now(), judge);
    }
    asking.await.unwrap()
}

#[tokio::test]
async fn a_server_that_does_not_issue_them_is_told_to_who_asks_and_costs_no_other_identity() {
    let world = World::with_wit();
    world.entries(1, vec![own("web", 1), own("db", 2)]);
    const OFF: &str = "this server does not issue WIT-SVIDs (wit_disabled); run the server with --enable wit";
    let refused = asked_while(&world, |_| Err(OFF.to_owned())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("--enable wit"), "{refused}");
    let again = world.wit(only("db")).await.unwrap_err();
    assert_eq!(
        (again.code(), issue_all(world.wits(), world.clock.now())),
        (Code::Unavailable, 0),
        "the server is not asked for each caller"
    );

    world.clock.advance(Duration::from_secs(60));
    let one = asked_while(&world, |entry| if entry.id.as_str() == "db" { Ok(()) } else { Err(OFF.to_owned()) })
        .await
        .unwrap();
    assert_eq!(names(&one), ["db"], "the one that can be had");
}

#[tokio::test]
async fn a_token_that_ended_while_the_server_is_away_ends_its_stream_and_is_never_sent() {
    let world = World::with_wit();
    world.entries(1, vec![own("web", 1)]);
    let issuing = tokio::spawn(issue_forever(world.wits().clone(), world.clock.shared()));
    let mut stream = world.wit(all()).await.unwrap();
    said(&mut stream).await.unwrap();
    issuing.abort();
    world.clock.advance(WIT_LIFE - Duration::from_secs(1));
    world.issue();
    refuse_all(world.wits(), world.clock.now(), "the server cannot be reached");
    let still = said(&mut world.wit(all()).await.unwrap()).await.unwrap();
    assert_eq!(names(&still), ["web"], "valid to its last second");
    world.clock.advance(Duration::from_secs(1));
    refuse_all(world.wits(), world.clock.now(), "the server cannot be reached");
    for ended in [said(&mut stream).await.unwrap_err(), world.wit(all()).await.unwrap_err()] {
        assert_eq!(ended.code(), Code::Unavailable);
        assert!(ended.message().contains("cannot be reached"), "{ended}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_lets_go_of_its_tokens() {
    let world = world();
    world.entries(1, vec![own("web", 1)]);
    let mut stream = world.wit(all()).await.unwrap();
    said(&mut stream).await.unwrap();
    drop(stream);
    while world.endpoints.open_streams().workload_api > 0 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(WIT_LIFE / 2);
    assert_eq!(issue_all(world.wits(), world.clock.now()), 0, "nobody follows it");
}

#[tokio::test]
async fn the_streams_of_one_user_are_limited_as_all_others() {
    let world = World::start(2, true);
    tokio::spawn(issue_forever(world.wits().clone(), world.clock.shared()));
    world.entries(1, vec![own("web", 1)]);
    let first = world.wit(all()).await.unwrap();
    let _second = world.client().await.fetch_wit_bundles(WitBundlesRequest {}).await.unwrap();
    assert_eq!(world.wit(all()).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(first);
}

#[covers("WAPI-05", "WAPI-14", "WAPI-17", "WAPI-22", "WIT-22", "WIT-23")]
#[tokio::test]
async fn wapi_22_wit_bundles_hold_wit_keys_alone_and_are_sent_again_only_when_those_change() {
    let world = world();
    let federating = NodeEntry {
        federates_with: vec!["partner.test".parse().unwrap(), "plain.test".parse().unwrap()],
        ..own("web", 1)
    };
    world.entries(1, vec![federating]);
    let mut stream = world.client().await.fetch_wit_bundles(WitBundlesRequest {}).await.unwrap().into_inner();
    let mut jwt = world.client().await.fetch_jwt_bundles(JwtBundlesRequest {}).await.unwrap().into_inner();
    let keys = |response: &WitBundlesResponse| -> HashMap<String, Vec<String>> {
        let kids = |set: &str| {
            let set: Value = serde_json::from_str(set).unwrap();
            let keys = set["keys"].as_array().unwrap().iter();
            keys.inspect(|key| assert_eq!(key["use"], "wit-svid"))
                .map(|key| key["kid"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        response.bundles.iter().map(|(domain, set)| (domain.clone(), kids(set))).collect()
    };
    let expected = |sets: &[(&str, &[&str])]| -> HashMap<String, Vec<String>> {
        let set = |kids: &[&str]| kids.iter().map(|&kid| kid.to_owned()).collect();
        sets.iter().map(|&(domain, kids)| (format!("spiffe://{domain}"), set(kids))).collect()
    };
    assert_eq!(
        keys(&said(&mut stream).await.unwrap()),
        expected(&[("td.example", &[])]),
        "its own domain's is there, though nothing of it is trusted"
    );
    let jwt_before = said(&mut jwt).await.unwrap();

    let publish = |counter, bundle, federated: Option<Vec<trust_domains::TrustBundle>>| {
        world.cache.apply(crate::svids::Update {
            bundle,
            federated: federated.map(Into::into),
            ..delta(counter, vec![], &[])
        });
    };
    publish(2, Some(bundle().with_sequence(7)), None);
    publish(3, Some(with_wit_keys(&bundle(), &["w1", "w2"])), None);
    assert_eq!(keys(&said(&mut stream).await.unwrap()), expected(&[("td.example", &["w1", "w2"])]));
    let partner = with_wit_keys(&bundle_of("partner.test"), &["p1"]);
    publish(4, None, Some(vec![partner, bundle_of("plain.test")]));
    assert_eq!(
        keys(&said(&mut stream).await.unwrap()),
        expected(&[("td.example", &["w1", "w2"]), ("partner.test", &["p1"]), ("plain.test", &[])])
    );
    publish(5, Some(with_wit_keys(&bundle(), &["w2"])), Some(vec![]));
    assert_eq!(
        keys(&said(&mut stream).await.unwrap()),
        expected(&[("td.example", &["w2"])]),
        "a key that went is no longer there"
    );

    let jwt_after = said(&mut jwt).await.unwrap();
    let own = |response: &JwtBundlesResponse| response.bundles["spiffe://td.example"].clone();
    assert_eq!(own(&jwt_after), own(&jwt_before), "JWT bundles never hold a WIT key");
    assert!(String::from_utf8(own(&jwt_after).to_vec()).unwrap().contains(KEY_ID));
}

#[covers("WAPI-18", "WIT-18")]
#[tokio::test]
async fn a_wit_svid_is_no_token_that_validate_jwtsvid_believes() {
    let world = world();
    world.entries(1, vec![own("web", 1)]);
    world.cache.apply(crate::svids::Update {
        bundle: Some(with_wit_keys(&bundle(), &[WIT_KEY_ID])),
        ..delta(2, vec![], &[])
    });
    let response = said(&mut world.wit(all()).await.unwrap()).await.unwrap();
    let request = jwt::presented(&response.svids[0].wit_svid);
    let refused = world.client().await.validate_jwtsvid(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("wit+jwt"), "{refused}");
}
