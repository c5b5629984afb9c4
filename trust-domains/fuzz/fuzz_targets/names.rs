#![no_main]
//! Feeds `properties::names`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::names(data));
