//! What the bundle endpoint costs beside TLS: an answer that is ready, one that says "you have it", and the making of a Bundle Map of a thousand partners, which
//! happens once a change.
//!
//! `cargo bench -p ca-server --bench bundle_endpoint`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a measuring program: it stops at the first error")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use ca_server::api::public::{PublicApi, router};
use criterion::{Criterion, Throughput};
use http::{Request, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt as _;
use trust_domains::TrustBundle;
use trust_domains::federation::BundleMap;

/// The partners of one server that federation is measured with.
const PARTNERS: usize = 1_000;

/// A bundle with two roots, as one has while a root changes.
fn bundle(trust_domain: &str) -> TrustBundle {
    let root = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into().unwrap())];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    };
    let empty = TrustBundle::new(trust_domain.parse().unwrap()).with_sequence(1);
    [root(), root()]
        .iter()
        .fold(empty, |bundle, root| bundle.with_x509_authority(root.der()).unwrap())
}

async fn asked(router: &axum::Router, tag: Option<&str>) -> (StatusCode, String) {
    let request = Request::get("/");
    let request = match tag {
        Some(tag) => request.header("if-none-match", tag),
        None => request,
    };
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    (response.status(), tag)
}

fn main() {
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(3)).configure_from_args();
    let runtime = Runtime::new().unwrap();
    let (_bundle, own) = watch::channel(Arc::new(bundle("example.org")));
    let router = router(PublicApi {
        bundle: own,
        registry: None,
        lists: None,
        issuer: None,
        url: None,
        refresh_hint: Duration::from_secs(300),
    });
    let (status, tag) = runtime.block_on(asked(&router, None));
    assert_eq!(status, StatusCode::OK);
    let mut group = criterion.benchmark_group("bundle endpoint");
    group.bench_function("the bundle", |bencher| bencher.iter(|| runtime.block_on(asked(&router, None))));
    group.bench_function("the bundle, known already", |bencher| {
        bencher.iter(|| runtime.block_on(asked(&router, Some(&tag))));
    });
    group.finish();

    let bundles: Vec<_> = (0..PARTNERS).map(|number| bundle(&format!("p{number}.test"))).collect();
    let map: BundleMap = bundles.iter().cloned().collect();
    let octets = map.to_json().len();
    let mut group = criterion.benchmark_group("bundle map of 1,000 partners");
    group.sample_size(20).throughput(Throughput::Bytes(u64::try_from(octets).unwrap()));
    group.bench_function("made", |bencher| {
        bencher.iter(|| {
            let map: BundleMap = black_box(&bundles).iter().cloned().collect();
            let document = map.to_json();
            black_box(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, document.as_bytes()));
            document
        });
    });
    group.finish();
    criterion.final_summary();
}
