#![no_main]
//! Feeds `properties::public_key`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::public_key(data));
