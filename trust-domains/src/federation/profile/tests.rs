use conformance::covers;

use super::*;

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[covers("FED-09", "FED-12", "FED-19")]
#[test]
fn each_profile_takes_exactly_the_parameters_that_it_needs() {
    use ProfileName::{HttpsSpiffe, HttpsWeb};
    let endpoint_id = id("spiffe://a.test/endpoint");
    assert_eq!(EndpointProfile::of(HttpsWeb, None), Ok(EndpointProfile::HttpsWeb));
    let spiffe = EndpointProfile::of(HttpsSpiffe, Some(endpoint_id.clone())).unwrap();
    assert_eq!(spiffe.endpoint_id(), Some(&endpoint_id));
    assert_eq!(
        EndpointProfile::of(HttpsSpiffe, None),
        Err(ProfileError::EndpointIdMissing),
        "FED-19, and no other profile instead of it"
    );
    let web = EndpointProfile::of(HttpsWeb, Some(endpoint_id.clone()));
    assert_eq!(web, Err(ProfileError::EndpointIdForWeb { endpoint_id }), "FED-12");
    let bare = id("spiffe://a.test");
    assert_eq!(
        EndpointProfile::of(HttpsSpiffe, Some(bare.clone())),
        Err(ProfileError::EndpointIdWithoutPath { endpoint_id: bare })
    );
}

#[test]
fn an_endpoint_is_self_serving_by_the_whole_name_of_its_trust_domain() {
    let profile = EndpointProfile::of(ProfileName::HttpsSpiffe, Some(id("spiffe://a.test/endpoint"))).unwrap();
    for (served, expected) in [("a.test", true), ("b.test", false), ("a.tes", false), ("a.test.b", false)] {
        assert_eq!(profile.is_self_serving(&served.parse().unwrap()), expected, "{served}");
    }
    assert!(!EndpointProfile::HttpsWeb.is_self_serving(&"a.test".parse().unwrap()));
}

#[test]
fn the_names_are_those_of_the_standard_in_text_and_in_json() {
    for (name, word) in [(ProfileName::HttpsSpiffe, "https_spiffe"), (ProfileName::HttpsWeb, "https_web")] {
        assert_eq!((name.to_string().as_str(), word.parse()), (word, Ok(name)));
        assert_eq!(serde_json::to_value(name).unwrap(), word);
    }
    for other in ["", "https", "HTTPS_WEB", "https-web"] {
        assert_eq!(other.parse::<ProfileName>(), Err(ParseProfileError), "{other}");
    }
}
