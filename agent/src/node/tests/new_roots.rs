//! The server's roots were replaced while the node was off.

use super::*;

#[tokio::test]
async fn a_link_that_knows_the_new_roots_makes_the_node_a_member_again_without_a_word_of_the_old_identity() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let (before, _) = join_by(&server.link(), &disk, &server).await.unwrap();
    server.replace_root();
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    member.until_synced(1).await;
    let attested = server.seen.attested.lock().unwrap().clone();
    assert_eq!(attested.len(), 2, "the link was used");
    assert_ne!(attested[1], before.key.public().hash());
    assert_eq!(
        server.calls()[1..3],
        ["/v1/node/attest", "/v1/node/sync"],
        "nothing else was asked, and no renewal"
    );
    let (now, bundle) = NodeIdentity::load(&disk.records(), server.clock.now(), Jitter::NONE).unwrap().unwrap();
    assert_eq!((now.key.public().hash(), now.spiffe_id), (attested[1], before.spiffe_id));
    assert_eq!(bundle.x509_authorities()[0].hash(), server.link().roots()[0]);
}

#[tokio::test]
async fn a_link_of_another_server_is_not_used_and_what_is_held_stays() {
    let (server, other, disk) = (TestServer::start().await, TestServer::start().await, Disk::new());
    let (before, _) = join_by(&server.link(), &disk, &server).await.unwrap();
    server.replace_root();
    let member = Member::start(&disk, &server.clock.shared(), Some(other.link()));
    let problem = member.until_told("does not prove itself by what this node joins by").await;
    assert!(problem.contains("troth token create --node-id web-1"), "{problem}");
    assert_eq!(server.calls(), ["/v1/node/attest"], "nothing was sent to a server that nobody vouches for");
    assert_eq!(other.calls(), Vec::<String>::new(), "the link's own server is not asked to stand in");
    let (kept, _) = NodeIdentity::load(&disk.records(), server.clock.now(), Jitter::NONE).unwrap().unwrap();
    assert_eq!(kept.key.public(), before.key.public());
    assert!(!member.life.is_finished());
}

#[tokio::test]
async fn a_link_of_another_trust_domain_is_not_used_even_if_it_knows_the_roots() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    join_by(&server.link(), &disk, &server).await.unwrap();
    server.replace_root();
    let link = server.link_with("other.example", server.link().roots().to_vec());
    let member = Member::start(&disk, &server.clock.shared(), Some(link));
    let problem = member.until_told("is of the trust domain other.example").await;
    assert!(problem.contains("the node is of td.example"), "{problem}");
    assert_eq!(server.calls(), ["/v1/node/attest"]);
}

#[tokio::test]
async fn without_a_link_the_node_says_which_command_makes_one() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    join_by(&server.link(), &disk, &server).await.unwrap();
    server.replace_root();
    let member = Member::start(&disk, &server.clock.shared(), None);
    let problem = member.until_told("does not know").await;
    assert!(
        problem.contains("troth token create --node-id web-1; then here troth agent run --join LINK"),
        "{problem}"
    );
    assert_eq!(server.calls(), ["/v1/node/attest"]);
    assert!(!member.life.is_finished());
}

#[tokio::test]
async fn a_node_that_was_banned_meanwhile_is_not_admitted_by_a_link_and_what_it_holds_stays() {
    let (server, disk) = (TestServer::start().await, Disk::new());
    let (before, _) = join_by(&server.link(), &disk, &server).await.unwrap();
    server.replace_root();
    server.refuse("/v1/node/attest", Code::NodeBanned);
    let member = Member::start(&disk, &server.clock.shared(), Some(server.link()));
    until("a call by the link", || (server.calls().len() > 1).then_some(())).await;
    let _ = member.until_told("does not know").await;
    assert_eq!(
        server.calls(),
        ["/v1/node/attest", "/v1/node/attest"],
        "the link was tried once, and nothing else"
    );
    let (kept, _) = NodeIdentity::load(&disk.records(), server.clock.now(), Jitter::NONE).unwrap().unwrap();
    assert_eq!(kept.key.public(), before.key.public());
}
