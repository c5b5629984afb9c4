use conformance::covers;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn root(octet: u8) -> RootHash {
    hex::encode([octet; 32]).parse().unwrap()
}

fn text(address: &str, profile: &str, endpoint: &str) -> String {
    format!("troth://{address}/federation/a.test/{profile}/{}.{}/{endpoint}", root(1), root(2))
}

#[covers("FED-09")]
#[test]
fn a_link_says_name_url_profile_and_roots_each_by_itself() {
    for (link, url, endpoint_id) in [
        (
            text("b.example:8444", "https_spiffe", "a.test:troth:server"),
            "https://b.example:8444/",
            Some("spiffe://a.test/troth/server"),
        ),
        (
            text("b.example:8444", "https_spiffe", "c.test:endpoint/bundles/a.json"),
            "https://b.example:8444/bundles/a.json",
            Some("spiffe://c.test/endpoint"),
        ),
        (text("b.example:443", "https_web", "-"), "https://b.example/", None),
        (text("b.example:443", "https_web", "-/x/"), "https://b.example/x/", None),
        (text("::1:8444", "https_web", "-"), "https://[::1]:8444/", None),
        (text("10.0.0.1:1", "https_web", "-//x"), "https://10.0.0.1:1//x", None),
    ] {
        let parsed: FederationLink = link.parse().unwrap_or_else(|error| panic!("{link}: {error}"));
        assert_eq!((parsed.trust_domain().as_str(), parsed.url().as_str()), ("a.test", url));
        assert_eq!(parsed.profile().endpoint_id().map(SpiffeId::as_str), endpoint_id);
        assert_eq!(parsed.roots(), [root(1), root(2)]);
        assert_eq!(parsed.to_string(), link);
        assert_eq!(format!("\n {link} ").parse::<FederationLink>().unwrap(), parsed, "as it was copied");
    }
}

#[test]
fn a_link_that_is_not_whole_is_refused_with_the_part_that_is_wrong() {
    use ParseFederationLinkError as E;
    let good = text("h:1", "https_spiffe", "a.test:e");
    let without = |part: &str| good.replace(part, "");
    let part = |link: &str| match link.parse::<FederationLink>() {
        Err(E::Missing { part }) => Some(part),
        _ => None,
    };
    assert_eq!(part("troth://"), Some(LinkPart::Address));
    assert_eq!(part("troth://h:1"), Some(LinkPart::Word));
    assert_eq!(part("troth://h:1/federation"), Some(LinkPart::TrustDomain));
    assert_eq!(part("troth://h:1/federation/a.test"), Some(LinkPart::Profile));
    assert_eq!(part("troth://h:1/federation/a.test/https_web"), Some(LinkPart::Roots));
    assert_eq!(part(&without("/a.test:e")), Some(LinkPart::Endpoint));
    let error = |link: &str| link.parse::<FederationLink>().unwrap_err();
    assert_eq!(error(""), E::WrongScheme);
    assert_eq!(error(&good.replace("troth://", "https://")), E::WrongScheme);
    assert_eq!(error(&good.replace("federation", "join")), E::OtherKind);
    assert!(error(&good.replace("federation", "join")).hint().contains("agent run"));
    assert_eq!(error(&good.replace("https_spiffe", "https")), E::Profile(ParseProfileError));
    assert_eq!(error(&text("h:1", "https_web", "a.test:e")), E::EndpointForWeb);
    assert!(
        matches!(error(&text("h:1", "https_spiffe", "-")), E::ProfileParts(_)),
        "no fallback between profiles"
    );
    assert!(matches!(error(&text("h:1", "https_spiffe", "a.test::e")), E::Endpoint(_)));
    assert!(matches!(error(&text("h:0", "https_web", "-")), E::Address(ParseServerAddressError::Port)));
    assert!(matches!(error(&text("h", "https_web", "-")), E::Address(ParseServerAddressError::Port)));
    assert!(matches!(error(&good.replace("a.test/", "A.test/")), E::TrustDomain(_)));
    assert_eq!(error(&good.replace(&root(2).to_string(), "0102")), E::Root(ParseRootHashError));
    for odd in ["?x", "#x", "/x%20", "/x y", "'", "/@", "/\u{e9}", "&"] {
        assert_eq!(error(&format!("{good}{odd}")), E::BadCharacter, "{odd}");
    }
    let long = format!("{good}/{}", "a".repeat(FederationLink::MAX_LEN));
    assert!(matches!(error(&long), E::TooLong { .. }));
    let seventeen = vec![root(1).to_string(); 17].join(".");
    let many = format!("troth://h:1/federation/a.test/https_web/{seventeen}/-");
    assert_eq!(error(&many), E::RootCount { limit: 16, actual: 17 });
}

#[test]
fn what_no_link_can_carry_is_refused_where_the_link_is_made() {
    let link =
        |url: &str| FederationLink::new("a.test".parse().unwrap(), url.parse().unwrap(), EndpointProfile::HttpsWeb, vec![root(1)]).map(|link| link.to_string());
    for url in ["https://b.test/?bundle=a", "https://b.test/a%20b", "https://b.test/~a", "https://b.test/a,b"] {
        let error = link(url).unwrap_err();
        assert_eq!(error, ParseFederationLinkError::UrlNotPlain, "{url}");
        assert!(error.hint().contains("troth federation create"), "the way that is left is named");
    }
    assert!(matches!(link("https://b!c.test/"), Err(ParseFederationLinkError::Address(_))));
    assert!(link("https://b.test/a-b_c.d:e/").is_ok());
    let none = FederationLink::new(
        "a.test".parse().unwrap(),
        "https://b.test/".parse().unwrap(),
        EndpointProfile::HttpsWeb,
        Vec::new(),
    );
    assert_eq!(none, Err(ParseFederationLinkError::RootCount { limit: 16, actual: 0 }));
}

#[test]
fn the_longest_parts_make_a_link_that_is_read_again() {
    let name = "a".repeat(TrustDomain::MAX_LEN);
    let id = format!("spiffe://{name}/{}", "b".repeat(SpiffeId::MAX_LEN - 10 - name.len()));
    let host = [&*"h".repeat(63); 3].join(".");
    let origin = format!("https://{host}:65535/");
    let url = format!("{origin}{}", "p".repeat(EndpointUrl::MAX_LEN - origin.len()));
    let profile = EndpointProfile::of(ProfileName::HttpsSpiffe, Some(id.parse().unwrap())).unwrap();
    let roots = (0..16).map(root).collect();
    let link = FederationLink::new(name.parse().unwrap(), url.parse().unwrap(), profile, roots).unwrap();
    assert_eq!(link.to_string().parse::<FederationLink>(), Ok(link));
}

fn links() -> impl Strategy<Value = FederationLink> {
    let host = prop::sample::select(vec!["b.test", "10.0.0.1", "[::1]", "my_host", "[2001:db8::1:2]"]);
    let path = prop::collection::vec("[a-zA-Z0-9._:-]{0,6}", 0..4);
    let profile = prop::sample::select(vec!["", "spiffe://a.test/troth/server", "spiffe://b-c_d.test/X"]);
    (host, 1_u16.., path, profile, prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(host, port, path, id, roots)| {
        let url = format!("https://{host}:{port}/{}", path.join("/"));
        let profile = match id {
            "" => EndpointProfile::HttpsWeb,
            id => EndpointProfile::of(ProfileName::HttpsSpiffe, Some(id.parse().unwrap())).unwrap(),
        };
        FederationLink::new("a.test".parse().unwrap(), url.parse().unwrap(), profile, roots.into_iter().map(root).collect()).unwrap()
    })
}

proptest! {
    #[test]
    fn a_link_needs_no_quotes_and_comes_back(link in links()) {
        let text = link.to_string();
        prop_assert!(text.bytes().all(is_plain), "{}", text);
        prop_assert_eq!(text.parse::<FederationLink>(), Ok(link));
    }

    #[test]
    fn whatever_is_taken_is_written_as_a_link_that_means_the_same(tail in "[a-z0-9._:/-]{0,40}") {
        let text = format!("troth://h:1/federation/a.test/https_spiffe/{}/{tail}", root(1));
        if let Ok(link) = text.parse::<FederationLink>() {
            prop_assert_eq!(link.to_string().parse::<FederationLink>(), Ok(link));
        }
    }
}
