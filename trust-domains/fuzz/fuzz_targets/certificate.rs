#![no_main]
//! Feeds `properties::certificate`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::certificate(data));
