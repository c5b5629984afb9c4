//! What a rotation costs in the formats of Java: a key store and a trust store, whose keys are derived from a password.

#![expect(clippy::expect_used, reason = "a bench that cannot set itself up has nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{CertificateParams, KeyPair};
use trust_domains::keystore::{jks, pkcs12};

const PASSWORD: &str = "correct horse battery staple";

fn stores(c: &mut Criterion) {
    let key = KeyPair::generate().expect("randomness");
    let certificate = CertificateParams::default().self_signed(&key).expect("default parameters");
    // The length of a leaf and its issuing CA; what is in them is nothing to a store.
    let chain = [certificate.der(), certificate.der()];
    let trusted = [("root-0", certificate.der())];
    let key = key.serialize_der();
    // Salts cost nothing beside the derivations.
    let mut salt = |octets: &mut [u8]| octets.fill(7);

    let mut group = c.benchmark_group("keystore");
    group.bench_function("pkcs12", |b| {
        b.iter(|| {
            pkcs12::key_store("svid", black_box(&chain), &key, PASSWORD, &mut salt).expect("a key store");
            pkcs12::trust_store(black_box(&trusted), PASSWORD, &mut salt).expect("a trust store")
        });
    });
    group.bench_function("jks", |b| {
        b.iter(|| {
            jks::key_store("svid", black_box(&chain), &key, PASSWORD, &mut salt).expect("a key store");
            jks::trust_store(black_box(&trusted), PASSWORD).expect("a trust store")
        });
    });
    group.finish();
}

criterion_group!(benches, stores);
criterion_main!(benches);
