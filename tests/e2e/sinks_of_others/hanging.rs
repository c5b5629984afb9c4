//! A helper that its owner stops.

use super::*;

/// The owner of a sink beside it.
const NEIGHBOUR: u32 = 4_742;

/// A request that nobody answers is given up after 20 s, and the sink tries again 5 s later: once more than the usual patience.
const GIVEN_UP: std::time::Duration = std::time::Duration::from_secs(80);

#[test]
fn a_helper_that_hangs_is_killed_and_replaced_and_holds_up_no_other_sink() {
    let domain = Domain::start("hanging.test");
    let config = domain.folder().join("agent.toml");
    let directory = |name: &str| domain.folder().join(name);
    let table = |name: &str, owner: u32| {
        format!(
            "[[sink]]\nspiffe_id = \"/{name}\"\ndirectory = \"{}\"\nowner = \"{owner}\"\ngroup = \"{owner}\"\n",
            directory(name).display()
        )
    };
    std::fs::write(&config, table("web", OWNER) + &table("beside", NEIGHBOUR)).expect("the agent's configuration");
    let mut agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    domain.fast_entry("n1", "/web", OWNER, "10s");
    domain.fast_entry("n1", "/beside", NEIGHBOUR, "10s");
    let read = |name: &str| std::fs::read(directory(name).join("svid.pem")).ok();
    let first = until("the first files", || read("web"));
    until("those beside", || read("beside"));

    let helpers = agent.process().children();
    let helper = helpers.into_iter().find(|pid| status(*pid)["Uid"][0] == OWNER.to_string()).expect("a helper");
    kill(Pid::from_raw(helper), Signal::SIGSTOP).expect("a helper to stop");
    let mut rotations = 0;
    let mut before = read("beside");
    let told = tests::wait::within(GIVEN_UP, || {
        let now = read("beside");
        rotations += u32::from(now.is_some() && now != before);
        before = now;
        // The status tells too, until the next change of the identity has another helper try: for a moment only.
        let log = agent.process().log();
        log.contains("did not answer within 20s and was killed").then_some(())
    });
    assert!(told.is_some(), "{}", agent.process().log());
    assert!(rotations >= 2, "the sink beside went on: {rotations}");
    until("the end of the helper, stopped as it was", || {
        (!Path::new(&format!("/proc/{helper}")).exists()).then_some(())
    });
    let _next = until("the next certificate", || read("web").filter(|now| *now != first));
}
