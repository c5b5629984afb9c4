#![no_main]
//! Feeds `properties::wit_svid`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::wit_svid(data));
