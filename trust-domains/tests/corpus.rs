//! Replays the kept corpus of every fuzz target.
#![allow(clippy::panic, missing_docs, unreachable_pub, reason = "a test")]

#[path = "../fuzz/src/properties.rs"]
mod properties;

use std::path::Path;

type Property = fn(&[u8]);

const TARGETS: &[(&str, Property)] = &[
    ("bundle_json", properties::bundle_json),
    ("bundle_map", properties::bundle_map),
    ("certificate", properties::certificate),
    ("endpoint_url", properties::endpoint_url),
    ("federation_link", properties::federation_link),
    ("join_link", properties::join_link),
    ("jwt_svid", properties::jwt_svid),
    ("names", properties::names),
    ("public_key", properties::public_key),
    ("svid_chain", properties::svid_chain),
    ("wire_admin", properties::wire_admin),
    ("wire_node", properties::wire_node),
    ("wit_svid", properties::wit_svid),
];

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"))
}

#[test]
fn the_corpus_of_every_target_holds() {
    for (name, property) in TARGETS {
        let mut replayed = 0;
        for file in std::fs::read_dir(corpus().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")) {
            property(&std::fs::read(file.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed >= 3, "{name} has a corpus of {replayed} files");
    }
}

#[test]
fn every_target_is_replayed() {
    let folders: Vec<_> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    for folder in folders {
        assert!(TARGETS.iter().any(|(name, _)| *name == folder), "{folder}");
    }
}
