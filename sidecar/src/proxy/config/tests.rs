use platform::config::read_toml_text;

use super::*;

fn listener() -> RawListener {
    RawListener {
        direction: "inbound".to_owned(),
        listen: "0.0.0.0:8443".to_owned(),
        target: "127.0.0.1:8080".to_owned(),
        allow: vec!["/web".to_owned()],
        ..RawListener::default()
    }
}

fn mistakes(listeners: Vec<RawListener>) -> Vec<String> {
    let raw = RawProxyConfig {
        listener: listeners,
        ..RawProxyConfig::default()
    };
    match ProxyConfig::new(raw) {
        Ok(_) => Vec::new(),
        Err(told) => told.mistakes.into_iter().map(|mistake| mistake.key).collect(),
    }
}

#[test]
fn without_an_allow_list_there_is_no_proxy() {
    let nobody = RawListener {
        allow: Vec::new(),
        ..listener()
    };
    assert_eq!(mistakes(vec![nobody.clone()]), ["listener[0].allow"]);
    assert_eq!(mistakes(vec![RawListener { allow_any: true, ..nobody }]), [""; 0]);
    assert_eq!(mistakes(Vec::new()), ["listener"]);
}

#[test]
fn the_plain_side_stays_on_this_machine_unless_it_is_asked_for() {
    let away = RawListener {
        target: "db.example:5432".to_owned(),
        ..listener()
    };
    assert_eq!(mistakes(vec![away.clone()]), ["listener[0].target"]);
    let open = RawListener {
        direction: "outbound".to_owned(),
        ..away.clone()
    };
    assert_eq!(mistakes(vec![open]), ["listener[0].listen"]);
    let asked = RawListener {
        plaintext_network: true,
        ..away
    };
    assert_eq!(mistakes(vec![asked]), [""; 0]);
}

#[test]
fn two_listeners_have_two_names_and_only_an_inbound_one_a_program_to_tell() {
    assert_eq!(mistakes(vec![listener(), listener()]), ["listener[1].name", "listener[1].listen"]);
    let outbound = RawListener {
        direction: "outbound".to_owned(),
        listen: "127.0.0.1:1".to_owned(),
        proxy_protocol: true,
        ..listener()
    };
    assert_eq!(mistakes(vec![outbound]), ["listener[0].proxy_protocol"]);
}

#[test]
fn the_sample_of_the_page_is_valid() {
    let page = include_str!("../../../../docs/proxy.md");
    let (_, sample) = page.split_once("```toml\n").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    let raw: RawProxyConfig = read_toml_text(sample, RawProxyConfig::KNOWN_KEYS).unwrap();
    assert_eq!(ProxyConfig::new(raw).unwrap().listeners.len(), 2);
}

#[test]
fn what_cannot_work_is_refused_with_its_key_and_of_every_listener_at_once() {
    let said = |text: &str| Some(text.to_owned());
    let hasty = RawListener {
        connect_deadline: said("0s"),
        handshake_deadline: said("0s"),
        idle: said("0s"),
        ..listener()
    };
    let circle = RawListener {
        name: said("circle"),
        listen: "127.0.0.1:8081".to_owned(),
        target: "localhost:8081".to_owned(),
        socket_mode: said("0660"),
        ..listener()
    };
    let open = RawListener {
        name: said("open"),
        listen: "unix:/run/a.sock".to_owned(),
        allow: vec!["/web".to_owned(), "spiffe://partner.example/web".to_owned()],
        allow_any: true,
        socket_mode: said("0777"),
        ..listener()
    };
    let keys = [
        "listener[0].handshake_deadline",
        "listener[0].connect_deadline",
        "listener[0].idle",
        "listener[1].target",
        "listener[1].socket_mode",
        "listener[2].allow[0]",
        "listener[2].socket_mode",
    ];
    assert_eq!(mistakes(vec![hasty, circle, open]), keys);
}
