//! Several trust domains on one machine, with nothing but their directories, addresses and sockets.

use tests::domain::Domain;
use tests::workload::{fetch_as, ids};

#[test]
fn three_servers_and_three_agents_live_side_by_side() {
    let domains = ["one.test", "two.test", "three.test"].map(Domain::start);
    let agents = domains.each_ref().map(|domain| domain.agent("n1"));
    for (domain, agent) in domains.iter().zip(&agents) {
        let _ = domain.told(&["entry", "create", "--spiffe-id", "/w", "--selector", "unix:uid:4301", "--wait"]);
        assert_eq!(ids(&fetch_as(4301, &agent.socket)), [format!("spiffe://{}/w", domain.name)]);
    }
}
