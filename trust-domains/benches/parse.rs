//! What a server and an agent read most: SPIFFE IDs, chains of peers, bundles. Beside one raw signature check, so that machines can be compared.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot set itself up has nothing to measure"
)]

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;
use trust_domains::x509::{Certificate, verify_svid};
use trust_domains::{SpiffeId, Timestamp, TrustBundle, TrustDomain};

/// 2026-11-22T09:00:00Z.
const NOW: Timestamp = Timestamp::from_unix(1_795_338_000);

const TRUST_DOMAIN: &str = "prod.example.org";

const ID: &str = "spiffe://prod.example.org/ns/payments/sa/api-gateway";

fn spiffe_id(c: &mut Criterion) {
    let mut group = c.benchmark_group("spiffe_id");
    group.bench_function("parse", |b| b.iter(|| SpiffeId::parse(black_box(ID.as_bytes()))));
    let longest = format!("spiffe://{TRUST_DOMAIN}/{}", "a/".repeat(2_048))
        .chars()
        .take(SpiffeId::MAX_LEN - 1)
        .collect::<String>();
    group.bench_function("parse_longest", |b| b.iter(|| SpiffeId::parse(black_box(longest.as_bytes()))));
    group.bench_function("refuse", |b| b.iter(|| SpiffeId::parse(black_box(b"spiffe://prod.example.org/ns/../payments"))));
    group.finish();
}

fn chain(c: &mut Criterion) {
    let (chain, root) = issue();
    let trust_domain: TrustDomain = TRUST_DOMAIN.parse().expect("a constant name");
    let bundle = TrustBundle::new(trust_domain.clone())
        .with_x509_authority(&root)
        .expect("a root of our own shape");
    let document = bundle.to_spiffe_json();
    let other: TrustDomain = "other.example.org".parse().expect("a constant name");
    let other_bundle = TrustBundle::new(other);

    let mut group = c.benchmark_group("x509");
    group.bench_function("parse_leaf", |b| b.iter(|| Certificate::parse(black_box(&chain[0]))));
    group.bench_function("verify_leaf_issuing_root", |b| {
        b.iter(|| verify_svid(black_box(&chain), &bundle, NOW).expect("a good chain"));
    });
    group.bench_function("refuse_other_trust_domain", |b| {
        b.iter(|| verify_svid(black_box(&chain), &other_bundle, NOW).expect_err("another domain"));
    });
    group.bench_function("parse_bundle", |b| {
        b.iter(|| TrustBundle::parse_spiffe_json(&trust_domain, black_box(document.as_bytes())));
    });
    group.finish();
}

/// The yardstick: one raw P-256 verification and one raw signature over 600 bytes.
fn raw(c: &mut Criterion) {
    let random = SystemRandom::new();
    let message = [7_u8; 600];
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("randomness");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("the key just made");
    let signature = key.sign(&random, &message).expect("randomness");
    let public_key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref());
    let mut group = c.benchmark_group("raw_p256");
    group.bench_function("sign", |b| b.iter(|| key.sign(&random, black_box(&message))));
    group.bench_function("verify", |b| b.iter(|| public_key.verify(black_box(&message), signature.as_ref())));
    group.finish();
}

/// Returns leaf and issuing CA, and their root, in the shapes of the design.
fn issue() -> (Vec<CertificateDer<'static>>, CertificateDer<'static>) {
    let root_key = KeyPair::generate().expect("randomness");
    let root_params = signing("root", BasicConstraints::Unconstrained);
    let root = root_params.self_signed(&root_key).expect("parameters of our own shape");
    let root_issuer = Issuer::new(root_params, root_key);
    let issuing_key = KeyPair::generate().expect("randomness");
    let issuing_params = signing("issuing", BasicConstraints::Constrained(0));
    let issuing = issuing_params.signed_by(&issuing_key, &root_issuer).expect("parameters of our own shape");
    let issuer = Issuer::new(issuing_params, issuing_key);
    let mut leaf_params = params(ID);
    leaf_params.is_ca = IsCa::ExplicitNoCa;
    leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf_params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = leaf_params
        .signed_by(&KeyPair::generate().expect("randomness"), &issuer)
        .expect("parameters of our own shape");
    (vec![leaf.der().clone(), issuing.der().clone()], root.der().clone())
}

fn signing(name: &str, path_len: BasicConstraints) -> CertificateParams {
    let mut params = params(&format!("spiffe://{TRUST_DOMAIN}"));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(path_len);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = (NOW - Duration::from_secs(60)).to_offset_date_time();
    params.not_after = (NOW + Duration::from_secs(5_400)).to_offset_date_time();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("a URI is ASCII"))];
    params
}

criterion_group!(benches, spiffe_id, chain, raw);
criterion_main!(benches);
