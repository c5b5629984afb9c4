#![no_main]
//! Feeds `properties::bundle_map`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::bundle_map(data));
