#![no_main]
//! Feeds `properties::join_link`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::join_link(data));
