//! What must hold for any input of each parser: no panic, and what was accepted round-trips.
//!
//! The fuzz targets feed these functions, and a test of the crate replays the kept corpus through them.
#![allow(dead_code, reason = "each fuzz target uses one function of this file")]

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;

use trust_domains::bundle::TrustBundle;
use trust_domains::duration::TextDuration;
use trust_domains::entry::{EntryId, EntrySpec};
use trust_domains::federation::{EndpointUrl, FederationLink, ParsedBundleMap};
use trust_domains::join_link::{JoinLink, ServerAddress};
use trust_domains::jwt_svid::{Expectation, UnverifiedJwtSvid, verify_jwt_svid};
use trust_domains::node::NodeName;
use trust_domains::public_key::PublicKey;
use trust_domains::wire::{admin, node};
use trust_domains::wit_svid::{BoundTokens, ProofAudience, ProofExpectation, ProofLife, UnverifiedWitSvid, WitLeeway};
use trust_domains::x509::{Certificate, X509Svid, lint, verify_svid};
use trust_domains::{Revision, Selector, Serial, SpiffeId, Timestamp, TrustDomain};

/// A text that is accepted is written as itself, or as a text that means the same.
fn round_trips<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        let again = written.parse::<T>();
        assert!(
            again.as_ref().is_ok_and(|again| *again == value),
            "{text:?} was read as {value:?} and written as {written:?}"
        );
    }
}

fn example() -> TrustDomain {
    TrustDomain::from_str("example.org").unwrap_or_else(|error| panic!("{error}"))
}

/// Names and small texts. A SPIFFE ID and a trust domain are also written exactly as they were read.
pub fn names(data: &[u8]) {
    if let Ok(id) = SpiffeId::parse(data) {
        assert_eq!(id.as_str().as_bytes(), data);
        assert!(data.len() <= 2048 && id.trust_domain().as_str().len() <= 255);
        assert!(!id.path().ends_with('/') && !id.path().contains("//"));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = TrustDomain::from_str(text) {
        assert_eq!(name.as_str(), text);
        assert_eq!(name.id().as_str(), format!("spiffe://{text}"));
    }
    if let Ok(id) = SpiffeId::expand(&example(), text) {
        assert_eq!(id.trust_domain(), example());
    }
    round_trips::<Selector>(text);
    round_trips::<NodeName>(text);
    round_trips::<EntryId>(text);
    round_trips::<TextDuration>(text);
    round_trips::<Timestamp>(text);
    round_trips::<Revision>(text);
    round_trips::<Serial>(text);
    round_trips::<ServerAddress>(text);
}

/// Join links.
pub fn join_link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(link) = text.parse::<JoinLink>() {
        let written = link.to_link();
        let again: Result<JoinLink, _> = written.parse();
        assert!(again.is_ok_and(|again| *again.to_link() == *written), "{text:?}");
    }
}

/// SPIFFE bundle documents.
pub fn bundle_json(data: &[u8]) {
    if let Ok(bundle) = TrustBundle::parse_spiffe_json(&example(), data) {
        let written = bundle.to_spiffe_json();
        let again = TrustBundle::parse_spiffe_json(&example(), written.as_bytes());
        assert!(
            again.is_ok_and(|again| again.has_same_keys(&bundle) && again.sequence() == bundle.sequence()),
            "{written}"
        );
    }
}

/// Federation links: what is written needs no quotes in a shell.
pub fn federation_link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trips::<FederationLink>(text);
    if let Ok(link) = text.parse::<FederationLink>() {
        let written = link.to_string();
        assert!(
            written.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:/".contains(&octet)),
            "{written}"
        );
        assert!(written.len() <= FederationLink::MAX_LEN && link.profile().endpoint_id().is_none_or(|id| !id.path().is_empty()));
    }
}

/// An endpoint's URL and, behind a line break, the `Location` of a redirect from it: both keep the rules of FED-12.
pub fn endpoint_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (url, location) = text.split_once('\n').unwrap_or((text, text));
    round_trips::<EndpointUrl>(url);
    let Ok(url) = url.parse::<EndpointUrl>() else { return };
    for url in [Some(url.clone()), url.redirected(location).ok()].into_iter().flatten() {
        round_trips::<EndpointUrl>(url.as_str());
        assert!(
            url.as_str().parse::<EndpointUrl>().is_ok() && url.as_str().len() <= EndpointUrl::MAX_LEN,
            "{url}"
        );
        assert!(
            url.as_str().starts_with("https://") && !url.authority().contains('@') && !url.as_str().contains('#'),
            "{url}"
        );
        assert!(url.port() != 0 && url.path().starts_with('/') && !url.host().to_string().is_empty(), "{url}");
    }
}

/// Bundle Maps: no bundle in one has a refresh hint, and each stands under its own name.
pub fn bundle_map(data: &[u8]) {
    let Ok(ParsedBundleMap { map, .. }) = ParsedBundleMap::parse(data) else {
        return;
    };
    for bundle in map.iter() {
        assert!(bundle.refresh_hint().is_none() && map.get(bundle.trust_domain()) == Some(bundle));
    }
    let written = map.to_json();
    let again = ParsedBundleMap::parse(written.as_bytes());
    assert!(again.is_ok_and(|again| again.map == map && again.skipped.is_empty()), "{written}");
}

/// Certificates, alone.
pub fn certificate(data: &[u8]) {
    if let Ok(certificate) = Certificate::parse(data) {
        let _ = certificate.is_valid_at(certificate.not_before());
    }
    let _ = lint(&[data.to_vec().into()]);
}

/// Chains, in DER and in PEM; one that is accepted is verified against a bundle of nothing and of its own last certificate.
pub fn svid_chain(data: &[u8]) {
    let _ = X509Svid::from_pem(data);
    let Ok(svid) = X509Svid::from_concatenated_der(data) else { return };
    assert_eq!(svid.to_concatenated_der(), data);
    let now = svid.leaf().not_before();
    let empty = TrustBundle::new(svid.spiffe_id().trust_domain());
    assert!(verify_svid(svid.chain(), &empty, now).is_err(), "an empty bundle means trust nothing");
    if let Some(Ok(bundle)) = svid.chain().last().map(|last| empty.with_x509_authority(last)) {
        let _ = verify_svid(svid.chain(), &bundle, now);
    }
}

/// Public keys: one that is accepted is its own only encoding.
pub fn public_key(data: &[u8]) {
    if let Ok(key) = PublicKey::from_spki(data) {
        assert_eq!(key.spki(), data);
        assert!(PublicKey::from_sec1(key.sec1()).is_ok());
    }
}

/// JWT-SVIDs: what is read names a workload, and no bundle of nothing vouches for it.
pub fn jwt_svid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(unverified) = UnverifiedJwtSvid::parse(text) else { return };
    let claims = unverified.claims();
    assert!(!claims.subject().path().is_empty() && !claims.audience().is_empty());
    let (audience, now) = (claims.audience().join(""), claims.expires_at());
    let expected = Expectation {
        audience: &audience,
        now,
        leeway: Duration::from_secs(1),
    };
    let empty = TrustBundle::new(unverified.trust_domain());
    assert!(
        verify_jwt_svid(text, |_| Some(&empty), &expected).is_err(),
        "an empty bundle means trust nothing"
    );
    let jwks = br#"{"keys":[{"use":"jwt-svid","kid":"k1","kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    if let Ok(bundle) = TrustBundle::parse_spiffe_json(empty.trust_domain(), jwks) {
        let _ = verify_jwt_svid(text, |_| Some(&bundle), &expected);
    }
}

/// WIT-SVIDs with their proofs: the token, a line break, the proof. What is read names a workload, no bundle of nothing vouches for it, and no proof that
/// is not its holder's makes it anybody's.
pub fn wit_svid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (wit, proof) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(unverified) = UnverifiedWitSvid::parse(wit) else { return };
    assert!(!unverified.claims().subject().path().is_empty() && !unverified.claims().all().contains_key("aud"));
    let (now, trust_domain) = (Timestamp::from_unix(1_900_000_000), unverified.trust_domain());
    let empty = TrustBundle::new(trust_domain.clone());
    assert!(
        unverified.verify(&empty, now, WitLeeway::default()).is_err(),
        "an empty bundle means trust nothing"
    );
    // The issuer's key of the vectors: those of the corpus get past it.
    let keys = br#"{"keys":[{"use":"wit-svid","kid":"p256","kty":"EC","crv":"P-256","x":"LVkRrbCGfPZIYE_sSNELZL4p0D2Wy-94NxmMz-VxaLw","y":"AmNYYaFaAwR0rIG4y5rt-lxBrlf5mnDXUrqVl6m1Fmk"}]}"#;
    let (Ok(bundle), Ok(unverified)) = (TrustBundle::parse_spiffe_json(&trust_domain, keys), UnverifiedWitSvid::parse(wit)) else {
        return;
    };
    let Ok(unproven) = unverified.verify(&bundle, now, WitLeeway::default()) else {
        return;
    };
    let Ok(audience) = ProofAudience::new("https://api.example.org/v1/orders") else {
        return;
    };
    let (audiences, bound) = ([audience], BoundTokens::default());
    let expected = ProofExpectation {
        audiences: &audiences,
        now,
        leeway: WitLeeway::default(),
        longest: ProofLife::default(),
        bound: &bound,
    };
    if let Ok(proven) = unproven.prove(proof, &expected) {
        assert!(!proven.proof_id().is_empty() && proven.proof_expires_at() <= now + Duration::from_secs(60 + 30));
    }
}

/// Messages of the node API, both ways.
pub fn wire_node(data: &[u8]) {
    let _ = serde_json::from_slice::<node::AttestRequest>(data);
    let _ = serde_json::from_slice::<node::RenewRequest>(data);
    let _ = serde_json::from_slice::<node::IssueRequest>(data);
    let _ = serde_json::from_slice::<node::Ack>(data);
    let _ = serde_json::from_slice::<node::NodeCredential>(data);
    let _ = serde_json::from_slice::<node::IssueResponse>(data);
    if let Ok(message) = serde_json::from_slice::<node::SyncMessage>(data) {
        let written = serde_json::to_vec(&message).unwrap_or_else(|error| panic!("{error}"));
        assert!(serde_json::from_slice::<node::SyncMessage>(&written).is_ok());
    }
}

/// Messages of the admin API; a draft that passes the check names only what it may.
pub fn wire_admin(data: &[u8]) {
    let _ = serde_json::from_slice::<admin::EntryChange>(data);
    let _ = serde_json::from_slice::<admin::ApplyEntries>(data);
    let _ = serde_json::from_slice::<admin::TokenRequest>(data);
    let Ok(draft) = serde_json::from_slice::<admin::EntryDraft>(data) else {
        return;
    };
    let parent = SpiffeId::expand(&example(), "/troth/agent/join_token/n1").unwrap_or_else(|error| panic!("{error}"));
    if let Ok(spec) = EntrySpec::check(&draft, &example(), parent) {
        assert!(!spec.spiffe_id().is_reserved());
        assert_eq!(spec.spiffe_id().trust_domain(), example());
    }
}
