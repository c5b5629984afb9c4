//! An honest node is never taken for its own copy, and a copy is found out: the whole of renewal as a game of an agent, a network and a crash.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::public_key::KeyHash;
use crate::selector::SelectorSet;
use crate::serial::Serial;
use crate::timestamp::Timestamp;

type Key = u32;

fn hash(key: Key) -> KeyHash {
    KeyHash::of_spki(&key.to_be_bytes())
}

fn svid(key: Key) -> NodeSvid {
    NodeSvid {
        key: hash(key),
        serial: Serial::from_parts([0; 4], [0; 11]),
        expires_at: Timestamp::from_unix(1_000),
    }
}

/// A connection: the key it proved, and when the server accepted it.
#[derive(Debug, Clone, Copy)]
struct Connection {
    key: Key,
    accepted: u64,
}

/// The server: its record, and when it saw which key given up.
struct Server {
    record: NodeRecord,
    given_up: Vec<(KeyHash, u64)>,
    newest: Option<Turn>,
    now: u64,
    banned: bool,
}

impl Server {
    fn new(first: Key) -> Self {
        let id = "spiffe://td/troth/agent/join_token/n".parse().unwrap();
        Self {
            record: NodeRecord::new(id, SelectorSet::default(), Timestamp::from_unix(0), svid(first)).unwrap(),
            given_up: Vec::new(),
            newest: None,
            now: 0,
            banned: false,
        }
    }

    fn accept(&mut self, key: Key) -> Connection {
        self.now += 1;
        Connection { key, accepted: self.now }
    }

    /// A request arrives on a connection; returns whether it is served.
    fn serves(&mut self, connection: Connection) -> bool {
        self.now += 1;
        let key = hash(connection.key);
        let given_up = self.given_up.iter().rev().find(|(given_up, _)| *given_up == key);
        let time = match given_up {
            Some((_, at)) if connection.accepted <= *at => ProofTime::BeforeOrUnknown,
            _ => ProofTime::After,
        };
        match self.record.standing(&key, time) {
            KeyStanding::Strange => return false,
            KeyStanding::Copied => {
                self.banned = true;
                return false;
            }
            KeyStanding::Pinned => {}
        }
        if let Some(promoted) = self.record.promoted(&key) {
            self.given_up.push((self.record.current().key, self.now));
            self.record = promoted;
        }
        true
    }

    fn renews(&mut self, connection: Connection, new: Key) -> bool {
        let turn = Turn::new(Duration::from_secs(connection.accepted), self.now);
        self.newest = self.newest.max(Some(turn));
        let overtaken = self.newest != Some(turn);
        if !self.serves(connection) || overtaken {
            return false;
        }
        self.record = self.record.renewing(svid(new));
        true
    }
}

/// The agent: what is sealed on its disk is what it uses; the connections it ever opened may still bring a request.
struct Agent {
    sealed: Key,
    open: Vec<Connection>,
    /// When the connection was accepted on which it asked for a renewal last.
    renewed_on: Option<u64>,
    made: Key,
}

#[derive(Debug, Clone)]
enum Act {
    /// Connects with the sealed key and calls.
    Call,
    /// Renews; the answer comes, the key is sealed, and then used at once or not before the next act.
    Renew { used: bool },
    /// Renews, and the answer is lost, or the agent crashes before it sealed the new key: which is the same to the server.
    RenewLost,
    /// The request of a renewal arrives when the agent has given it up and asked again on a newer connection.
    LateRenewal { connection: usize },
    /// A request on an old connection arrives late.
    LateCall { connection: usize },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        Just(Act::Call),
        any::<bool>().prop_map(|used| Act::Renew { used }),
        Just(Act::RenewLost),
        any::<usize>().prop_map(|connection| Act::LateRenewal { connection }),
        any::<usize>().prop_map(|connection| Act::LateCall { connection }),
    ];
    prop::collection::vec(act, 0..80)
}

impl Agent {
    fn new(first: Key) -> Self {
        Self {
            sealed: first,
            open: Vec::new(),
            renewed_on: None,
            made: first,
        }
    }

    fn fresh(&mut self) -> Key {
        self.made += 1;
        self.made
    }

    fn connect(&mut self, server: &mut Server) -> Connection {
        let connection = server.accept(self.sealed);
        self.open.push(connection);
        connection
    }

    fn act(&mut self, act: &Act, server: &mut Server) {
        match act {
            Act::Call => {
                let connection = self.connect(server);
                server.serves(connection);
            }
            Act::Renew { used } => {
                let (connection, new) = (self.connect(server), self.fresh());
                self.renewed_on = Some(connection.accepted);
                if server.renews(connection, new) {
                    self.sealed = new;
                }
                if *used {
                    self.act(&Act::Call, server);
                }
            }
            Act::RenewLost => {
                let (connection, new) = (self.connect(server), self.fresh());
                self.renewed_on = Some(connection.accepted);
                server.renews(connection, new);
            }
            Act::LateRenewal { connection } => {
                let new = self.fresh();
                // What was sent on the newest connection before the newest request has arrived before it.
                if let Some(connection) = self.earlier(*connection).filter(|earlier| Some(earlier.accepted) < self.renewed_on) {
                    server.renews(connection, new);
                }
            }
            Act::LateCall { connection } => {
                if let Some(connection) = self.earlier(*connection) {
                    server.serves(connection);
                }
            }
        }
    }

    fn earlier(&self, index: usize) -> Option<Connection> {
        self.open.get(index % self.open.len().max(1)).copied()
    }
}

proptest! {
    #[test]
    fn an_honest_node_is_never_taken_for_a_copy(acts in acts()) {
        let (mut server, mut agent) = (Server::new(1), Agent::new(1));
        for act in &acts {
            agent.act(act, &mut server);
            prop_assert!(!server.banned, "after {act:?}");
        }
    }

    #[test]
    fn the_key_that_a_node_has_sealed_is_always_one_of_its_own(acts in acts()) {
        let (mut server, mut agent) = (Server::new(1), Agent::new(1));
        for act in &acts {
            agent.act(act, &mut server);
            prop_assert!(server.record.accepts(&hash(agent.sealed)), "after {act:?}");
        }
    }

    #[test]
    fn a_copied_directory_is_found_out_when_it_is_used_after_the_node_went_on(
        before in acts(),
        after in prop::collection::vec(prop_oneof![Just(Act::Call), Just(Act::RenewLost), Just(Act::Renew { used: true })], 0..10),
    ) {
        let (mut server, mut agent) = (Server::new(1), Agent::new(1));
        before.iter().for_each(|act| agent.act(act, &mut server));
        agent.act(&Act::Call, &mut server);
        let copy = agent.sealed;
        for act in after.iter().chain([&Act::Renew { used: true }, &Act::Renew { used: true }]) {
            agent.act(act, &mut server);
        }
        prop_assert!(!server.banned);
        let theft = server.accept(copy);
        prop_assert!(!server.serves(theft) && server.banned);
    }

    #[test]
    fn whoever_goes_on_with_a_copy_first_the_other_one_finds_it_out(renewals in 1..4_u32) {
        let mut server = Server::new(1);
        let (mut node, mut thief) = (Agent::new(1), Agent::new(1));
        thief.made = 100;
        node.act(&Act::Call, &mut server);
        for _ in 0..renewals {
            thief.act(&Act::Renew { used: true }, &mut server);
        }
        node.act(&Act::Call, &mut server);
        prop_assert!(server.banned);
    }
}
