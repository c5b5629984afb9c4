#![no_main]
//! Feeds `properties::wire_node`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::wire_node(data));
