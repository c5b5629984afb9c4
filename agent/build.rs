//! Compiles the files of `proto` without protoc, and keeps their descriptions for server reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use tonic_prost_build::Builder;

const PROTO_DIR: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_DIR}");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?);
    let workload_api = tonic_prost_build::configure()
        // These hold keys and tokens: their `Debug` is written by hand.
        .skip_debug([".X509SVID", ".JWTSVID", ".WITSVID", ".ValidateJWTSVIDRequest"]);
    compile("workload", &["workload.proto"], workload_api, &out_dir)?;
    let broker = tonic_prost_build::configure()
        // Written by hand: it tells two references from one, which a protobuf reader merges.
        .extern_path(".spiffe.broker.WorkloadReference", "super::messages::WorkloadReference")
        // These hold keys and tokens: their `Debug` is written by hand.
        .skip_debug([".spiffe.broker.X509SVID", ".spiffe.broker.JWTSVID"]);
    compile("broker", &["broker.proto"], broker, &out_dir)?;
    let sds = tonic_prost_build::configure()
        // An `Any` of our own, whose octets are shared as those of every other message.
        .compile_well_known_types(true)
        // These hold keys: their `Debug` is written by hand.
        .skip_debug([".envoy.config.core.v3.DataSource", ".google.protobuf.Any"])
        .include_file("sds.rs");
    compile("sds", &["envoy/sds.proto", "envoy/tls.proto"], sds, &out_dir)
}

fn compile(name: &str, files: &[&str], builder: Builder, out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(files, [PROTO_DIR])?;
    fs::write(out_dir.join(name).with_extension("descriptors"), descriptors.encode_to_vec())?;
    // A chain or a bundle is handed to each stream; `Bytes` shares it instead of copying it.
    builder.bytes(".").compile_fds(descriptors)?;
    Ok(())
}
