//! The rules of SPIFFE-ID by their ids in the checklist, then properties.

use conformance::covers;
use proptest::prelude::*;

use super::*;
use ParseSpiffeIdError as E;

fn refused(text: &str) -> E {
    SpiffeId::parse(text.as_bytes()).expect_err(text)
}

fn accepted(text: &str) -> SpiffeId {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn td(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

#[covers("ID-01")]
#[test]
fn id_01_the_form_is_a_scheme_a_trust_domain_and_perhaps_a_path() {
    for (text, name, path) in [
        ("spiffe://td", "td", ""),
        ("spiffe://td/a", "td", "/a"),
        ("spiffe://example.org/ns/prod/sa/web", "example.org", "/ns/prod/sa/web"),
        ("spiffe://10.0.0.1/x", "10.0.0.1", "/x"),
    ] {
        let id = accepted(text);
        assert_eq!((id.trust_domain_name(), id.path(), id.as_str()), (name, path, text));
        assert_eq!(id.trust_domain(), td(name));
    }
    for text in [
        "",
        "spiffe",
        "spiffe:",
        "spiffe:/",
        "spiffe:/td",
        "http://td/a",
        "https://td",
        "//td/a",
        "/a",
        "td/a",
        " spiffe://td",
        "xspiffe://td",
        "spiffe:td",
    ] {
        assert_eq!(refused(text), E::WrongScheme, "{text}");
    }
    for text in ["spiffe://", "spiffe:///", "spiffe:///a"] {
        assert_eq!(refused(text), E::TrustDomain(ParseTrustDomainError::Empty), "{text}");
    }
}

#[covers("ID-02")]
#[test]
fn id_02_no_query_and_no_fragment_not_even_empty_ones() {
    for text in ["spiffe://td?", "spiffe://td/a?", "spiffe://td/a?b=c", "spiffe://td/a/?b"] {
        assert_eq!(refused(text), E::Query, "{text}");
    }
    for text in ["spiffe://td#", "spiffe://td/a#", "spiffe://td/a#b"] {
        assert_eq!(refused(text), E::Fragment, "{text}");
    }
}

#[covers("ID-03")]
#[test]
fn id_03_no_user_and_no_port_not_even_empty_ones() {
    for text in ["spiffe://user@td/a", "spiffe://@td", "spiffe://user:pass@td/a"] {
        assert_eq!(refused(text), E::UserInfo, "{text}");
    }
    for text in ["spiffe://td:443/a", "spiffe://td:", "spiffe://td:/a", "spiffe://[::1]/a", "spiffe://:443"] {
        assert_eq!(refused(text), E::Port, "{text}");
    }
}

#[covers("ID-04")]
#[test]
fn id_04_the_trust_domain_is_lower_case_and_not_encoded() {
    assert_eq!(
        refused("spiffe://Example.org/a"),
        E::TrustDomain(ParseTrustDomainError::UpperCase { found: 'E', at: 0 })
    );
    for (text, found, at) in [
        ("spiffe://a%62/x", b'%', 1),
        ("spiffe://bücher/x", 0xc3, 1),
        ("spiffe://a b", b' ', 1),
        ("spiffe://a\\b/x", b'\\', 1),
    ] {
        assert_eq!(refused(text), E::TrustDomain(ParseTrustDomainError::BadCharacter { found, at }), "{text}");
    }
}

#[covers("ID-05")]
#[test]
fn id_05_a_trust_domain_like_an_address_or_a_dns_name_gets_no_special_treatment() {
    for text in [
        "spiffe://127.0.0.1/a",
        "spiffe://example.org./a",
        "spiffe://-.-/a",
        "spiffe://../a",
        "spiffe://xn--bcher-kva/a",
    ] {
        assert_eq!(accepted(text).as_str(), text);
    }
    assert_ne!(accepted("spiffe://example.org./a"), accepted("spiffe://example.org/a"));
}

#[covers("ID-06")]
#[test]
fn id_06_no_empty_or_dot_segments_no_trailing_slash_no_encoding() {
    let table = [
        ("spiffe://td/", E::TrailingSlash),
        ("spiffe://td/a/", E::TrailingSlash),
        ("spiffe://td//", E::TrailingSlash),
        ("spiffe://td//a", E::EmptySegment),
        ("spiffe://td/a//b", E::EmptySegment),
        ("spiffe://td/.", E::DotSegment),
        ("spiffe://td/..", E::DotSegment),
        ("spiffe://td/a/./b", E::DotSegment),
        ("spiffe://td/a/../b", E::DotSegment),
        ("spiffe://td/%61", E::PercentEncoded),
        ("spiffe://td/a%2eb", E::PercentEncoded),
        ("spiffe://td/%2e%2e/b", E::PercentEncoded),
        ("spiffe://td/a%", E::PercentEncoded),
    ];
    for (text, expected) in table {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[covers("ID-07")]
#[test]
fn id_07_path_segments_have_letters_digits_dots_dashes_and_underscores() {
    for text in [
        "spiffe://td/...",
        "spiffe://td/.a",
        "spiffe://td/a..b",
        "spiffe://td/A-Z_0.9",
        "spiffe://td/-",
        "spiffe://td/_",
    ] {
        assert_eq!(accepted(text).as_str(), text);
    }
    for (text, found) in [
        ("spiffe://td/a b", b' '),
        ("spiffe://td/a+b", b'+'),
        ("spiffe://td/a:b", b':'),
        ("spiffe://td/a@b", b'@'),
        ("spiffe://td/a*", b'*'),
        ("spiffe://td/a\\b", b'\\'),
        ("spiffe://td/\u{e4}", 0xc3),
        ("spiffe://td/a\0", 0),
        ("spiffe://td/a\n", b'\n'),
    ] {
        assert_eq!(refused(text), E::BadPathCharacter { found }, "{text:?}");
    }
    assert_eq!(SpiffeId::parse(b"spiffe://td/\xff\xfe"), Err(E::BadPathCharacter { found: 0xff }));
}

#[covers("ID-08", "ID-09")]
#[test]
fn id_08_id_09_an_id_has_at_most_2048_bytes() {
    let longest = format!("spiffe://td/{}", "a".repeat(2048 - 12));
    assert_eq!(longest.len(), 2048);
    assert_eq!(accepted(&longest).as_str(), longest);
    let too_long = E::TooLong { limit: 2048, actual: 2049 };
    assert_eq!(refused(&format!("{longest}a")), too_long);
    assert_eq!(SpiffeId::from_path(&td("td"), &format!("/{}", "a".repeat(2037))), Err(too_long));
}

#[covers("ID-10")]
#[test]
fn id_10_a_trust_domain_has_at_most_255_bytes() {
    accepted(&format!("spiffe://{}/a", "t".repeat(255)));
    assert_eq!(
        refused(&format!("spiffe://{}/a", "t".repeat(256))),
        E::TrustDomain(ParseTrustDomainError::TooLong { limit: 255, actual: 256 })
    );
}

#[covers("ID-11")]
#[test]
fn id_11_equal_ids_are_equal_octet_by_octet_because_other_cases_are_refused() {
    // Trap T1: scheme and trust domain compare without case, and must be lower case: with upper case refused, both hold.
    assert_eq!(refused("SPIFFE://td/a"), E::WrongScheme);
    assert_eq!(refused("Spiffe://td/a"), E::WrongScheme);
    assert_eq!(refused("spiffe://TD/a"), E::TrustDomain(ParseTrustDomainError::UpperCase { found: 'T', at: 0 }));
    assert_eq!(accepted("spiffe://td/a"), accepted("spiffe://td/a"));
    assert_ne!(accepted("spiffe://td/a"), accepted("spiffe://td/A"));
}

#[test]
fn short_forms_take_the_trust_domain_that_is_talked_to() {
    let td = td("example.org");
    assert_eq!(SpiffeId::expand(&td, "/web").unwrap().as_str(), "spiffe://example.org/web");
    assert_eq!(SpiffeId::expand(&td, "spiffe://example.org/web").unwrap().as_str(), "spiffe://example.org/web");
    let foreign = SpiffeId::expand(&td, "spiffe://example.com/web").unwrap_err();
    assert_eq!(
        foreign,
        E::ForeignTrustDomain {
            expected: td.clone(),
            presented: "example.com".parse().unwrap()
        }
    );
    for (text, expected) in [
        ("web", E::WrongScheme),
        ("", E::WrongScheme),
        ("/", E::TrailingSlash),
        ("//web", E::EmptySegment),
        ("/web?x", E::Query),
    ] {
        assert_eq!(SpiffeId::expand(&td, text), Err(expected), "{text}");
    }
    assert_eq!(SpiffeId::from_path(&td, "web"), Err(E::PathWithoutSlash));
    assert_eq!(SpiffeId::from_path(&td, "").unwrap(), td.id());
}

#[test]
fn reserved_paths_are_troth_and_what_is_under_it() {
    let table = [
        ("/troth", true),
        ("/troth/server", true),
        ("/troth/agent/x/y", true),
        ("", false),
        ("/trot", false),
        ("/trothy", false),
        ("/Troth", false),
        ("/a/troth", false),
    ];
    for (path, expected) in table {
        assert_eq!(SpiffeId::from_path(&td("td"), path).unwrap().is_reserved(), expected, "{path}");
    }
}

#[test]
fn well_known_ids_are_reserved_and_only_agents_are_agents() {
    let td = td("td");
    let name: NodeName = "web-1".parse().unwrap();
    let agent = SpiffeId::agent(&td, NodeAttestor::JoinToken, &name);
    assert_eq!(agent.as_str(), "spiffe://td/troth/agent/join_token/web-1");
    assert_eq!(agent.as_agent(), Some((NodeAttestor::JoinToken, name)));
    assert_eq!(SpiffeId::server(&td).as_str(), "spiffe://td/troth/server");
    assert!(agent.is_reserved() && SpiffeId::server(&td).is_reserved());
    let long = format!("/troth/agent/join_token/{}", "n".repeat(65));
    for path in [
        "/troth/server",
        "/troth/agent",
        "/troth/agent/join_token",
        "/troth/agent/other/web-1",
        "/troth/agent/join_token/a/b",
        "/agent/join_token/a",
        "/web",
        &long,
    ] {
        assert_eq!(SpiffeId::from_path(&td, path).unwrap().as_agent(), None, "{path}");
    }
}

#[test]
fn the_name_of_one_trust_domain_is_never_a_beginning_of_another() {
    let id = accepted("spiffe://prod.example/web");
    assert!(id.is_member_of(&td("prod.example")));
    assert!(!id.is_member_of(&td("prod")) && !id.is_member_of(&td("prod.example.org")));
}

/// What section 2 says, in another way than the scanner: a list of conditions over the whole text.
fn is_valid_by_the_book(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else { return false };
    let mut parts = rest.split('/');
    let name = parts.next().unwrap_or_default();
    let name_ok = (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c));
    let segment_ok = |part: &str| !["", ".", ".."].contains(&part) && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    text.len() <= 2048 && name_ok && parts.all(segment_ok)
}

proptest! {
    #[covers("ID-01", "ID-02", "ID-03", "ID-04", "ID-06", "ID-07")]
    #[test]
    fn the_scanner_agrees_with_the_book(text in "(spiffe://|SPIFFE://|)[a-z0-9._A-Z%@:-]{0,4}(/[a-zA-Z0-9._%?#-]{0,3}){0,4}") {
        prop_assert_eq!(SpiffeId::parse(text.as_bytes()).is_ok(), is_valid_by_the_book(&text), "{}", text);
    }

    #[test]
    fn any_octets_are_refused_or_come_back_unchanged(octets in proptest::collection::vec(any::<u8>(), 0..64), prefixed in any::<bool>()) {
        let mut uri = if prefixed { b"spiffe://".to_vec() } else { Vec::new() };
        uri.extend(octets);
        if let Ok(id) = SpiffeId::parse(&uri) {
            prop_assert_eq!(id.as_str().as_bytes(), &uri);
            prop_assert!(is_valid_by_the_book(id.as_str()));
        }
    }

    #[test]
    fn an_id_is_its_trust_domain_and_its_path(name in "[a-z0-9._-]{1,20}", path in "(/[a-zA-Z0-9_-]{1,5}){0,5}") {
        let td = td(&name);
        let id = SpiffeId::from_path(&td, &path).unwrap();
        prop_assert_eq!(id.trust_domain(), td.clone());
        prop_assert_eq!(id.path(), &path);
        prop_assert_eq!(&id.to_string().parse::<SpiffeId>().unwrap(), &id);
        prop_assert_eq!(&SpiffeId::expand(&td, id.as_str()).unwrap(), &id);
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<SpiffeId>(&json).unwrap(), id);
    }
}
