//! What a JWT-SVID costs: its size, its signature and its verification, ES256 as it is issued and RS256 (RSA-2048) beside it for comparison.
//!
//! `cargo bench -p ca-server --bench token`; sizes and CPU times are printed at the end.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program: it stops at the first error"
)]

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use trust_domains::Timestamp;
use trust_domains::jws::{Es256Signature, TokenAlgorithm};
use trust_domains::jwt_svid::{Audience, Claims, ExtraClaims};
use trust_domains::plan::authority::AuthorityId;
use trust_domains::plan::validity::Validity;
use trust_domains::token_svid::TokenId;

/// A token of the usual size: one audience, no issuer, no extra claims.
fn claims() -> Claims {
    let now = Timestamp::from_unix(1_795_338_000);
    let day = Duration::from_secs(86_400);
    Claims {
        sub: "spiffe://prod.example.org/web".parse().unwrap(),
        aud: Audience::new(vec!["spiffe://prod.example.org/db".to_owned()]).unwrap(),
        validity: Validity::plan(now, Duration::from_secs(300), now + day, None, Duration::from_secs(60)).unwrap(),
        nbf: false,
        jti: TokenId::new([7; 16]),
        iss: None,
        extra: ExtraClaims::default(),
    }
}

fn kid() -> AuthorityId {
    AuthorityId::from_key_id(&[0xab; 20]).unwrap()
}

/// The whole token: claims written, signed, and put together.
fn es256(key: &EcdsaKeyPair, random: &SystemRandom, claims: &Claims) -> String {
    let input = claims.signing_input(TokenAlgorithm::Es256, &kid());
    let signature = key.sign(random, input.as_bytes()).unwrap();
    input.signed(&Es256Signature::from_der(signature.as_ref()).unwrap()).as_str().to_owned()
}

/// The same claims under RS256.
fn rs256(key: &RsaKeyPair, random: &SystemRandom, claims: &Claims) -> String {
    let header = format!(r#"{{"alg":"RS256","kid":"{}","typ":"JWT"}}"#, kid());
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).unwrap(), &mut token);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, random, token.as_bytes(), &mut signature).unwrap();
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// A token's signed part and its signature.
fn parts(token: &str) -> (&[u8], Vec<u8>) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    (signed.as_bytes(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

fn cpu_of(times: u32, mut act: impl FnMut()) -> Duration {
    let now = || {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(u64::try_from(spec.tv_sec).unwrap(), u32::try_from(spec.tv_nsec).unwrap())
    };
    let before = now();
    (0..times).for_each(|_| act());
    (now() - before) / times
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (random, claims) = (SystemRandom::new(), claims());
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let (es_token, rs_token) = (es256(&ec, &random, &claims), rs256(&rsa, &random, &claims));
    let (es_signed, es_signature) = parts(&es_token);
    let (rs_signed, rs_signature) = parts(&rs_token);
    let ec_public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, ec.public_key().as_ref());
    let rsa_public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref());
    let es_sign = || drop(black_box(es256(&ec, &random, black_box(&claims))));
    let rs_sign = || drop(black_box(rs256(&rsa, &random, black_box(&claims))));
    let es_verify = || ec_public.verify(black_box(es_signed), &es_signature).unwrap();
    let rs_verify = || rsa_public.verify(black_box(rs_signed), &rs_signature).unwrap();

    let mut group = criterion.benchmark_group("token");
    group.bench_function("es256_sign", |bencher| bencher.iter(es_sign));
    group.bench_function("es256_verify", |bencher| bencher.iter(es_verify));
    group.bench_function("rs256_sign", |bencher| bencher.iter(rs_sign));
    group.bench_function("rs256_verify", |bencher| bencher.iter(rs_verify));
    group.finish();

    println!("CPU: es256 sign {:.1?} verify {:.1?}", cpu_of(2_000, es_sign), cpu_of(2_000, es_verify));
    println!("CPU: rs256 sign {:.1?} verify {:.1?}", cpu_of(500, rs_sign), cpu_of(2_000, rs_verify));
    println!("size: es256 {} bytes, rs256 {} bytes", es_token.len(), rs_token.len());
}
