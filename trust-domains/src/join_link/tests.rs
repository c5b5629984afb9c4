use proptest::prelude::*;

use super::*;

const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn root(octet: u8) -> String {
    hex::encode([octet; 32])
}

fn link(server: &str) -> String {
    format!("troth://{server}/join/example.org/{TOKEN}/{}.{}", root(1), root(2))
}

#[test]
fn a_link_gives_its_parts_and_comes_back() {
    for (server, host, port) in [
        ("ca.example.org:8443", "ca.example.org", 8443),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("::1:8443", "::1", 8443),
        ("fe80::1:2:65535", "fe80::1:2", 65535),
        ("my_host:443", "my_host", 443),
    ] {
        let text = link(server);
        let link: JoinLink = text.parse().unwrap();
        assert_eq!((link.server.host(), link.server.port()), (host, port));
        assert_eq!((link.trust_domain.as_str(), link.token.expose(), link.roots().len()), ("example.org", TOKEN, 2));
        assert_eq!(link.to_link(), text);
        assert_eq!(format!("\n {text}\n").parse::<JoinLink>().unwrap(), link);
    }
}

#[test]
fn links_that_are_not_whole_are_refused_with_the_part_that_is_wrong() {
    use ParseJoinLinkError as E;
    let root = root(1);
    let parts = |server: &str, join: &str, td: &str, token: &str, roots: &str| format!("troth://{server}/{join}/{td}/{token}/{roots}");
    let nine = [root.as_str(); 9].join(".");
    let long = parts("h:1", "join", "td", TOKEN, &[root.as_str(); 40].join("."));
    let port = E::Server(ParseServerAddressError::Port);
    let host = E::Server(ParseServerAddressError::Host { limit: 253 });
    let token = E::Token(ParseJoinTokenError);
    let table = [
        (String::new(), E::WrongScheme),
        ("https://h:1/join".to_owned(), E::WrongScheme),
        ("troth://".to_owned(), E::WrongParts),
        (parts("h:1", "jion", "td", TOKEN, &root), E::WrongParts),
        (parts("h:1", "join", "td", TOKEN, &format!("{root}/")), E::WrongParts),
        (parts("h", "join", "td", TOKEN, &root), port.clone()),
        (parts("h:0", "join", "td", TOKEN, &root), port.clone()),
        (parts("h:65536", "join", "td", TOKEN, &root), port.clone()),
        (parts("h:+1", "join", "td", TOKEN, &root), port.clone()),
        (parts("h:", "join", "td", TOKEN, &root), port),
        (parts(":1", "join", "td", TOKEN, &root), host.clone()),
        (parts("a:b:1", "join", "td", TOKEN, &root), host.clone()),
        (parts("fe80::1%eth0:1", "join", "td", TOKEN, &root), host),
        (parts("h:1", "join", "", TOKEN, &root), E::TrustDomain(ParseTrustDomainError::Empty)),
        (parts("h:1", "join", "td", &TOKEN[1..], &root), token.clone()),
        (parts("h:1", "join", "td", &TOKEN.replace('A', "="), &root), token.clone()),
        (parts("h:1", "join", "td", &TOKEN.replace("Hh8", "Hh9"), &root), token),
        (parts("h:1", "join", "td", TOKEN, ""), E::Root(ParseRootHashError)),
        (parts("h:1", "join", "td", TOKEN, &root[1..]), E::Root(ParseRootHashError)),
        (parts("h:1", "join", "td", TOKEN, &format!("{root}.")), E::Root(ParseRootHashError)),
        (parts("h:1", "join", "td", TOKEN, &nine), E::RootCount { limit: 8, actual: 9 }),
        (
            long.clone(),
            E::TooLong {
                limit: 1_200,
                actual: long.len(),
            },
        ),
    ];
    for (text, expected) in table {
        let error = text.parse::<JoinLink>().unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert_eq!(error.code(), Code::JoinLinkInvalid);
    }
}

#[test]
fn a_link_at_its_longest_is_read() {
    let server = format!("{}:65535", "h".repeat(253));
    let roots = vec![root(7); 8].join(".");
    let text = format!("troth://{server}/join/{}/{TOKEN}/{roots}", "t".repeat(255));
    assert_eq!(text.parse::<JoinLink>().unwrap().to_link(), text);
}

#[test]
fn a_link_needs_no_quotes_in_a_shell() {
    let text = link("[2001:db8::1]:8443").parse::<JoinLink>().unwrap().to_link();
    assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:/".contains(c)), "{text}");
    assert!(text.starts_with("troth://2001:db8::1:8443/join/"), "{text}");
}

#[test]
fn neither_debug_output_nor_errors_show_the_token() {
    let link: JoinLink = link("h:1").parse().unwrap();
    assert_eq!(format!("{:?}", link.token), "JoinToken(..)");
    assert!(!format!("{link:?}").contains(TOKEN));
    let json = serde_json::to_string(&link.to_link().replace("/join/", "/jon/")).unwrap();
    let error = serde_json::from_str::<JoinLink>(&json).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(TOKEN));
    let error = serde_json::from_str::<JoinToken>(&format!("\"{TOKEN}A\"")).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(TOKEN));
}

#[test]
fn addresses_are_shown_with_brackets_where_they_need_them() {
    for (text, shown) in [
        ("[::1]:8443", "[::1]:8443"),
        ("::1:8443", "[::1]:8443"),
        ("[::0001]:1", "[::1]:1"),
        ("h:1", "h:1"),
        ("10.0.0.1:2", "10.0.0.1:2"),
    ] {
        let address: ServerAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), shown);
        assert_eq!(shown.parse(), Ok(address));
    }
    for text in ["[h]:1", "[]:1", "h", "a b:1", "h/x:1", "[::1:1"] {
        assert!(text.parse::<ServerAddress>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_token_comes_back_and_differs_from_others(one in proptest::array::uniform32(any::<u8>()), other in proptest::array::uniform32(any::<u8>())) {
        let token = JoinToken::from_random(one);
        prop_assert_eq!(&token.expose().parse::<JoinToken>().unwrap(), &token);
        prop_assert_eq!(token == JoinToken::from_random(other), one == other);
        prop_assert_eq!(token.hash() == JoinToken::from_random(other).hash(), one == other);
    }

    #[test]
    fn any_text_is_refused_or_comes_back(text in "(troth://)?[a-z0-9:.\\[\\]]{0,12}:[0-9]{0,5}/join/[a-zA-Z0-9._-]{0,8}/[A-Za-z0-9_-]{42,43}/([0-9a-fA-F]{64}\\.?){0,2}") {
        if let Ok(link) = text.parse::<JoinLink>() {
            prop_assert_eq!(&link.to_link().parse::<JoinLink>().unwrap(), &link);
            let json = serde_json::to_string(&link).unwrap();
            prop_assert_eq!(serde_json::from_str::<JoinLink>(&json).unwrap(), link);
        }
    }

    #[test]
    fn any_address_is_refused_or_comes_back(text in any::<String>().prop_union("[a-z0-9:.\\[\\]_-]{0,20}:[0-9]{1,5}")) {
        if let Ok(address) = text.parse::<ServerAddress>() {
            prop_assert_eq!(address.to_string().parse::<ServerAddress>(), Ok(address.clone()));
            prop_assert_eq!(address.in_link().parse::<ServerAddress>(), Ok(address));
        }
    }
}
