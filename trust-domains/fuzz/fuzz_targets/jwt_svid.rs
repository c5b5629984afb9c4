#![no_main]
//! Feeds `properties::jwt_svid`.

#[path = "../src/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::jwt_svid(data));
