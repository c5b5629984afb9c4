#![no_main]
//! Feeds `properties::wire_admin`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::wire_admin(data));
