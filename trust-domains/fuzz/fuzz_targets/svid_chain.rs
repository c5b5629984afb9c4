#![no_main]
//! Feeds `properties::svid_chain`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::svid_chain(data));
