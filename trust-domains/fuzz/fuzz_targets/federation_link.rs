#![no_main]
//! Feeds `properties::federation_link`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::federation_link(data));
