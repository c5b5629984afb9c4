//! Compiles `proto/workload.proto` without protoc, and keeps its description for server reflection.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const PROTO_DIR: &str = "proto";
const PROTO_FILE: &str = "proto/workload.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_FILE}");
    let descriptors = protox::compile([PROTO_FILE], [PROTO_DIR])?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?);
    fs::write(out_dir.join("workload.descriptors"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // A chain or a bundle is handed to each stream; `Bytes` shares it instead of copying it.
        .bytes(".")
        // These hold keys and tokens: their `Debug` is written by hand.
        .skip_debug([".X509SVID", ".JWTSVID", ".WITSVID", ".ValidateJWTSVIDRequest"])
        .compile_fds(descriptors)?;
    Ok(())
}
