#![no_main]
//! Feeds `properties::endpoint_url`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::endpoint_url(data));
