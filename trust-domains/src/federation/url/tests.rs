use conformance::covers;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn url(text: &str) -> EndpointUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[covers("FED-12")]
#[test]
fn fed_12_only_https_without_user_info_is_an_endpoint() {
    use EndpointUrlError as E;
    for (text, expected) in [
        ("", E::NotHttps),
        ("a.test", E::NotHttps),
        ("http://a.test/", E::NotHttps),
        ("file:///etc/passwd", E::NotHttps),
        ("spiffe://a.test/", E::NotHttps),
        ("https:a.test", E::NotHttps),
        ("https:/a.test", E::NotHttps),
        ("https://", E::HostMissing),
        ("https:///a.test", E::HostMissing),
        ("https://?a", E::HostMissing),
        ("https://user@a.test/", E::UserInfo),
        ("https://user:word@a.test/", E::UserInfo),
        ("https://@a.test/", E::UserInfo),
        ("https://:@a.test/", E::UserInfo),
        ("https://a.test@b.test/", E::UserInfo),
        ("https://a.test/#part", E::Fragment),
        ("https://a.test/#", E::Fragment),
        ("https://a.test:0/", E::Port),
        ("https://a.test:65536/", E::Malformed),
        ("https://a.test:port/", E::Malformed),
        ("https://[::1/", E::Malformed),
        ("https://fe80::1/", E::Malformed),
        ("https://a%00.test/", E::Malformed),
        ("https://1.2.3.256/", E::Malformed),
        ("https://a.test/ b", E::BadCharacter { at: 15 }),
        (" https://a.test/", E::BadCharacter { at: 0 }),
        ("https://a.test/\n", E::BadCharacter { at: 15 }),
        ("https://a.test\\b", E::BadCharacter { at: 14 }),
        ("https:\\\\a.test", E::BadCharacter { at: 6 }),
        ("https://mün.test/", E::BadCharacter { at: 9 }),
    ] {
        assert_eq!(text.parse::<EndpointUrl>(), Err(expected), "{text:?}");
    }
    let long = format!("https://a.test/{}", "a".repeat(EndpointUrl::MAX_LEN));
    let limit = EndpointUrl::MAX_LEN;
    assert_eq!(long.parse::<EndpointUrl>(), Err(E::TooLong { limit, actual: long.len() }));
    let grows = format!("https://a.test/{}", "\"".repeat(EndpointUrl::MAX_LEN - 15));
    assert!(
        matches!(grows.parse::<EndpointUrl>(), Err(E::TooLong { .. })),
        "what grows past the limit when it is encoded"
    );
}

#[covers("FED-12")]
#[test]
fn its_parts_are_what_a_request_needs() {
    for (text, host, port, path, authority) in [
        ("https://a.test", "a.test", 443, "/", "a.test"),
        ("HTTPS://A.Test:443/", "a.test", 443, "/", "a.test"),
        ("https://a.test:8443/b/c?d=e", "a.test", 8443, "/b/c?d=e", "a.test:8443"),
        ("https://[::1]:8444/", "[::1]", 8444, "/", "[::1]:8444"),
        ("https://10.0.0.1/x/../y", "10.0.0.1", 443, "/y", "10.0.0.1"),
        ("https://2130706433/", "127.0.0.1", 443, "/", "127.0.0.1"),
        ("https://0x7f.1/", "127.0.0.1", 443, "/", "127.0.0.1"),
        ("https://my_host:1/", "my_host", 1, "/", "my_host:1"),
        ("https://a.test/@b", "a.test", 443, "/@b", "a.test"),
    ] {
        let url = url(text);
        assert_eq!((url.host().to_string().as_str(), url.port()), (host, port), "{text}");
        assert_eq!((url.path_and_query().as_str(), url.authority()), (path, authority), "{text}");
        assert_eq!(url.origin(), format!("https://{authority}"));
    }
    assert_eq!(url("https://a.test"), url("https://A.TEST:443/"), "equal URLs have one text");
    assert!(
        matches!(url("https://127.1/").host(), Host::Ipv4(address) if address.is_loopback()),
        "an address is seen as one"
    );
}

#[covers("FED-16", "FED-18")]
#[test]
fn a_redirect_leads_to_an_endpoint_url_or_nowhere() {
    use EndpointUrlError as E;
    let from = url("https://a.test:8443/b/c?d");
    for (location, expected) in [
        ("https://b.test/", Ok("https://b.test/")),
        ("/e", Ok("https://a.test:8443/e")),
        ("e", Ok("https://a.test:8443/b/e")),
        ("../e?f", Ok("https://a.test:8443/e?f")),
        ("?f", Ok("https://a.test:8443/b/c?f")),
        ("//b.test/e", Ok("https://b.test/e")),
        ("/e#part", Ok("https://a.test:8443/e")),
        ("", Ok("https://a.test:8443/b/c?d")),
        ("/e@f:g", Ok("https://a.test:8443/e@f:g")),
        ("http://b.test/", Err(E::NotHttps)),
        ("HTTP://b.test/", Err(E::NotHttps)),
        ("ftp:e", Err(E::NotHttps)),
        ("https:e", Err(E::NotHttps)),
        ("javascript:e", Err(E::NotHttps)),
        ("https://user@b.test/", Err(E::UserInfo)),
        ("//user:word@b.test/", Err(E::UserInfo)),
        ("//@b.test/", Err(E::UserInfo)),
        ("https:////b.test/", Err(E::HostMissing)),
        ("//", Err(E::HostMissing)),
        ("/\\b.test/", Err(E::BadCharacter { at: 1 })),
        ("\\\\b.test/", Err(E::BadCharacter { at: 0 })),
        ("/\t/b.test/", Err(E::BadCharacter { at: 1 })),
        ("/é", Err(E::BadCharacter { at: 1 })),
    ] {
        let target = from.redirected(location);
        assert_eq!(target.as_ref().map(EndpointUrl::as_str), expected.as_ref().map(|text| *text), "{location:?}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "https:", "http:", "//", "/", "\\", "a.test", "user", "@", ":", "8443", "[::1]", "127.1", "?", "#", "..", "%2f", " ", "\t", "é", "b",
    ]);
    prop::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn whatever_is_taken_is_an_endpoint_url_with_one_text(text in texts()) {
        if let Ok(url) = text.parse::<EndpointUrl>() {
            prop_assert_eq!(url.as_str().parse(), Ok(url.clone()));
            prop_assert!(url.as_str().starts_with("https://") && !url.authority().contains('@') && !url.as_str().contains('#'));
            prop_assert!(url.path().starts_with('/') && url.port() != 0);
        }
    }

    #[test]
    fn no_redirect_leads_anywhere_else(text in texts(), odd in any::<String>()) {
        let from = url("https://a.test:8443/b/c?d");
        for location in [text, odd] {
            if let Ok(target) = from.redirected(&location) {
                prop_assert_eq!(target.as_str().parse(), Ok(target.clone()), "{:?}", location);
                prop_assert!(!target.authority().contains('@'));
            }
        }
    }
}
