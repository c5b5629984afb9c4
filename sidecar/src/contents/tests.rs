use std::collections::BTreeSet;

use agent::workload_api::messages::X509svidResponse;
use platform::clock::SystemClock;
use trust_domains::clock::Clock as _;
use trust_domains::delivery::FileName;

use super::*;
use crate::source::testing::Domain;

/// What an agent sends of its own trust domain and of these partners.
fn update(own: &Domain, partners: &[&Domain], lists: &[Vec<u8>]) -> X509Context {
    let federated = partners
        .iter()
        .map(|partner| (format!("spiffe://{}", partner.name), partner.root.clone().into()));
    let message = X509svidResponse {
        svids: vec![own.svid()],
        crl: lists.iter().map(|list| list.clone().into()).collect(),
        federated_bundles: federated.collect(),
    };
    X509Context::read(message, SystemClock.now().wall).unwrap()
}

fn contents(formats: &[Format]) -> Contents {
    Contents::new(formats, Vec::new(), None).unwrap()
}

fn composed(contents: &mut Contents, context: &X509Context) -> Vec<SetFile> {
    let set = contents.compose(context, context.default_svid(), &JwtKeys::default(), BTreeMap::new());
    set.unwrap().files
}

/// The lists of a file, in DER; none without the file.
fn lists_of(files: &[SetFile], name: &str) -> BTreeSet<Vec<u8>> {
    let name: FileName = name.parse().unwrap();
    let Some(file) = files.iter().find(|file| file.name == name) else {
        return BTreeSet::new();
    };
    let blocks = pem::parse_many(&file.content).unwrap();
    blocks.into_iter().map(pem::Pem::into_contents).collect()
}

fn set<const N: usize>(lists: [&Vec<u8>; N]) -> BTreeSet<Vec<u8>> {
    lists.into_iter().cloned().collect()
}

#[test]
fn a_file_of_lists_has_those_of_its_trust_domain_and_no_others_though_a_partner_copies_our_names() {
    let (own, partner) = (Domain::new("example.org"), Domain::new("partner.test"));
    let [ours, below] = [own.root_list(), own.issuing_list()];
    let [theirs, nobodys] = [partner.root_list(), partner.issuing_list()];
    let mut contents = contents(&[Format::Pem]);

    let files = composed(
        &mut contents,
        &update(&own, &[&partner], &[nobodys, theirs.clone(), below.clone(), ours.clone()]),
    );
    assert_eq!(lists_of(&files, "crl.pem"), set([&ours, &below]));
    assert!(
        lists_of(&files, "federated/partner.test.crl").is_empty(),
        "the list of its root alone would have its peers refused"
    );
    assert!(contents.is_unproved_said);

    let files = composed(&mut contents, &update(&own, &[&partner], &[ours.clone(), theirs.clone(), below.clone()]));
    assert_eq!(lists_of(&files, "crl.pem"), set([&ours, &below]));
    assert_eq!(lists_of(&files, "federated/partner.test.crl"), set([&theirs]));
}

#[test]
fn the_list_of_a_ca_that_signs_us_no_more_stays_in_the_file() {
    let (mut own, partner) = (Domain::new("example.org"), Domain::new("partner.test"));
    let mut contents = contents(&[Format::Pem]);
    let before = own.issuing_list();
    let _first = composed(&mut contents, &update(&own, &[&partner], std::slice::from_ref(&before)));
    own.replace_issuing();
    let after = own.issuing_list();
    let context = update(&own, &[&partner], &[before.clone(), after.clone()]);
    assert_eq!(lists_of(&composed(&mut contents, &context), "crl.pem"), set([&before, &after]));
    let mut fresh = self::contents(&[Format::Pem]);
    assert_eq!(lists_of(&composed(&mut fresh, &context), "crl.pem"), set([&after]), "it was never shown here");
}

#[test]
fn the_keys_of_tokens_are_in_the_bundle_of_their_trust_domain_alone_and_a_new_one_is_news() {
    let (own, partner) = (Domain::new("example.org"), Domain::new("partner.test"));
    let context = update(&own, &[&partner], &[]);
    let mut contents = contents(&[Format::Jwks, Format::Spiffe]);
    assert!(contents.needs_jwt_keys() && !self::contents(&[Format::Pem, Format::Jks]).needs_jwt_keys());
    let mut facts = Vec::new();
    for kids in [&["one"][..], &["one", "two"]] {
        let keys = JwtKeys::of(&[("example.org", kids), ("partner.test", &["theirs"])]);
        let set = contents.compose(&context, context.default_svid(), &keys, BTreeMap::new()).unwrap();
        let text = |name: &str| {
            let file = set.files.iter().find(|file| file.name.as_str() == name).unwrap();
            std::str::from_utf8(&file.content).unwrap().to_owned()
        };
        let (jwks, bundle) = (text("jwks.json"), text("bundle.json"));
        for kid in kids {
            assert!(jwks.contains(kid) && bundle.contains(kid), "{jwks} {bundle}");
        }
        assert!(!jwks.contains("theirs") && !bundle.contains("theirs") && bundle.contains("x509-svid") && !jwks.contains("x5c"));
        facts.push(set.facts);
    }
    assert_ne!(facts.first(), facts.last());
}
