//! What tests of the agent's rooms share: entries, SVIDs and a bundle, all of one trust domain.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SanType};
use trust_domains::class::CredentialClass;
use trust_domains::clock::Reading;
use trust_domains::crl::{Crl, CrlIssuer, CrlSet};
use trust_domains::plan::rotation::{HeldCredential, Jitter, RotationPolicy};
use trust_domains::wire::node::NodeEntry;
use trust_domains::{Revision, Serial, Timestamp, TrustBundle};
use zeroize::Zeroizing;

use crate::jwt_svids::testing::{KEY_ID, with_keys};

pub(crate) use super::saved::sealed_by;

use super::partners::Federated;
use super::slot::Held;
use super::state::{Outcome, Removed, Update};
use super::{IssuedSvid, SvidCache};

/// The life of the SVIDs here.
pub(crate) const TTL: Duration = Duration::from_secs(600);

/// The revision of the one epoch.
pub(crate) fn revision(counter: u64) -> Revision {
    Revision { epoch: 1, counter }
}

/// An entry `spiffe://td.example/ID` for `unix:uid:1000`, made at second `at`.
pub(crate) fn entry(id: &str, at: u64) -> NodeEntry {
    NodeEntry {
        id: id.parse().unwrap(),
        spiffe_id: format!("spiffe://td.example/{id}").parse().unwrap(),
        selectors: vec!["unix:uid:1000".parse().unwrap()],
        class: CredentialClass::Medium,
        x509_ttl_s: TTL.as_secs(),
        hint: None,
        federates_with: Vec::new(),
        dns_names: Vec::new(),
        subject_cn: None,
        created_at: Timestamp::from_unix(at.cast_signed()),
        expires_at: None,
        revision: revision(at),
    }
}

/// An SVID for the entry, as if issued now; its chain is no certificate.
pub(crate) fn held(entry: &NodeEntry, now: Reading) -> Held {
    let svid = IssuedSvid {
        entry_id: entry.id.clone(),
        spiffe_id: entry.spiffe_id.clone(),
        hint: entry.hint.clone(),
        chain: vec![Bytes::from_static(b"leaf"), Bytes::from_static(b"issuer")],
        key_pkcs8: Zeroizing::new(b"key".to_vec()),
        serial: Serial::from_parts([0; 4], [1; 11]),
        issued_at: now.wall,
        expires_at: now.wall + TTL,
        next_renewal: now.wall + TTL / 2,
        is_of_earlier_run: false,
    };
    let times = HeldCredential::issued(now, TTL, now.wall + TTL, Jitter::NONE, &RotationPolicy::default());
    Held {
        svid: Arc::new(svid),
        entry_revision: entry.revision,
        times,
    }
}

/// A bundle of td.example with one root and one JWT key.
pub(crate) fn bundle() -> TrustBundle {
    static BUNDLE: std::sync::OnceLock<TrustBundle> = std::sync::OnceLock::new();
    BUNDLE.get_or_init(|| with_keys(&bundle_of("td.example"), &[KEY_ID])).clone()
}

/// A bundle of a trust domain with one root: another each time.
pub(crate) fn bundle_of(trust_domain: &str) -> TrustBundle {
    let key = KeyPair::generate().unwrap();
    let root = root_params(trust_domain).self_signed(&key).unwrap();
    TrustBundle::new(trust_domain.parse().unwrap()).with_x509_authority(root.der()).unwrap()
}

fn root_params(trust_domain: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into().unwrap())];
    params
}

/// A bundle of a trust domain with one root, and the set with the root's empty list.
pub(crate) fn with_empty_list(trust_domain: &str) -> (TrustBundle, CrlSet) {
    let key = KeyPair::generate().unwrap();
    let params = root_params(trust_domain);
    let root = params.self_signed(&key).unwrap();
    let bundle = TrustBundle::new(trust_domain.parse().unwrap()).with_x509_authority(root.der()).unwrap();
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2036, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::new(params, key)).unwrap();
    let list = Crl::parse(list.der().to_vec()).unwrap();
    (bundle, CrlSet::new([(CrlIssuer::parse(root.der().to_vec()).unwrap(), list)]).unwrap())
}

/// A snapshot with these entries.
pub(crate) fn snapshot(counter: u64, entries: Vec<NodeEntry>) -> Update {
    Update {
        revision: revision(counter),
        upserted: entries,
        removed: Removed::Others,
        bundle: Some(bundle()),
        federated_crls: Vec::new(),
        federated: Some(Federated::default()),
        tainted: Some(Vec::new()),
        crls: Some(CrlSet::default()),
    }
}

/// A change of these entries.
pub(crate) fn delta(counter: u64, upserted: Vec<NodeEntry>, removed: &[&str]) -> Update {
    let removed = removed.iter().map(|id| id.parse().unwrap()).collect();
    Update {
        revision: revision(counter),
        upserted,
        removed: Removed::These(removed),
        bundle: None,
        federated: None,
        federated_crls: Vec::new(),
        tainted: None,
        crls: None,
    }
}

/// Issues everything that is due, as a server would at once. Returns how many.
pub(crate) fn issue_all(cache: &SvidCache, now: Reading) -> usize {
    let mut issued = 0;
    loop {
        let due = cache.due(&RotationPolicy::default());
        if due.issue.is_empty() {
            return issued;
        }
        issued += due.issue.len();
        cache.settle(
            due.issue.into_iter().map(|entry| (entry.clone(), Outcome::Issued(held(&entry, now)))).collect(),
            Jitter::NONE,
        );
    }
}
