//! What the files of a sink hold.

use trust_domains::TrustBundle;
use trust_domains::delivery::SetFile;
use zeroize::Zeroizing;

use crate::svids::{IdentityView, IssuedSvid, RevocationLists};

/// The folder of partners' bundles.
const FEDERATED: &str = "federated";

const SVID: &str = "svid.pem";
const KEY: &str = "svid_key.pem";
const BUNDLE: &str = "bundle.pem";
const CRL: &str = "crl.pem";

/// Returns the whole set: the chain, leaf first; its key; the certificates to verify peers with, the revocation lists that go with them, and the certificates
/// and revocation lists for peers of each partner in files of their own.
///
/// There is no file of lists where none are delivered: programs that check revocation refuse everybody over an empty one.
/// A partner without roots has no file: programs refuse to start over an empty one, and nothing of it is trusted either way.
pub(super) fn files(svid: &IssuedSvid, view: &IdentityView) -> Vec<SetFile> {
    let chain = Zeroizing::new(svid.chain_pem().into_bytes());
    let own = [file(SVID, false, chain), file(KEY, true, svid.key_pem()), bundle(BUNDLE, &view.bundle)];
    let partners = view.federated.values().filter(|partner| !partner.x509_authorities().is_empty());
    own.into_iter()
        .flatten()
        .chain(lists(CRL, &view.crls))
        .chain(partners.flat_map(|partner| of_partner(partner, &view.crls_of(partner.trust_domain()))))
        .collect()
}

/// Returns a file; none if its name is one that a file cannot have.
fn file(name: &str, secret: bool, content: Zeroizing<Vec<u8>>) -> Option<SetFile> {
    let name = name.parse().ok()?;
    Some(SetFile { name, secret, content })
}

fn bundle(name: &str, bundle: &TrustBundle) -> Option<SetFile> {
    file(name, false, Zeroizing::new(bundle.to_pem().into_bytes()))
}

fn lists(name: &str, crls: &RevocationLists) -> Option<SetFile> {
    let content = (!crls.is_empty()).then(|| Zeroizing::new(crls.to_pem().into_bytes()))?;
    file(name, false, content)
}

/// Returns the files of a partner: its roots, and its revocation lists if any are delivered.
///
/// The names of both end differently, so that no partner's name makes one file of two: `a` and `a.crl` may both be trust domains.
fn of_partner(partner: &TrustBundle, crls: &RevocationLists) -> Vec<SetFile> {
    let Some(roots) = bundle(&format!("{FEDERATED}/{}.pem", partner.trust_domain()), partner) else {
        tracing::warn!(trust_domain = %partner.trust_domain(), "a partner's name is too long for a file; its bundle is left out of files");
        return Vec::new();
    };
    let lists = lists(&format!("{FEDERATED}/{}.crl", partner.trust_domain()), crls);
    std::iter::once(roots).chain(lists).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use trust_domains::clock::{Clock as _, ManualClock};
    use trust_domains::{Timestamp, TrustDomain};

    use super::*;
    use crate::svids::testing::{self, bundle_of, entry, held, revision};

    #[test]
    fn revocation_lists_are_a_file_and_without_any_there_is_none() {
        let svid = held(&entry("web", 1), ManualClock::new(Timestamp::from_unix(1_000)).now()).svid;
        let (_, set) = testing::with_empty_list("td.example");
        let view = |crls| IdentityView {
            svids: vec![Arc::clone(&svid)],
            bundle: Arc::new(testing::bundle()),
            federated: BTreeMap::new(),
            federated_crls: BTreeMap::new(),
            crls: Arc::new(crls),
            revision: revision(1),
        };
        let lists_in = |view: &IdentityView| files(&svid, view).into_iter().find(|file| file.name.as_str() == CRL);
        let pem = lists_in(&view(RevocationLists::of(&set))).unwrap();
        assert!(!pem.secret && pem.content.starts_with(b"-----BEGIN X509 CRL-----\n"));
        assert!(lists_in(&view(RevocationLists::default())).is_none());
    }

    #[test]
    fn a_partners_lists_are_a_file_of_their_own_that_is_no_other_partners_bundle() {
        let (partner, set) = testing::with_empty_list("a");
        let other = bundle_of("a.crl");
        let svid = held(&entry("web", 1), ManualClock::new(Timestamp::from_unix(1_000)).now()).svid;
        let view = IdentityView {
            svids: vec![Arc::clone(&svid)],
            bundle: Arc::new(testing::bundle()),
            federated_crls: BTreeMap::from([(partner.trust_domain().clone(), Arc::new(RevocationLists::of(&set)))]),
            federated: BTreeMap::from([partner, other].map(|partner| (partner.trust_domain().clone(), Arc::new(partner)))),
            crls: Arc::default(),
            revision: revision(1),
        };
        let files = files(&svid, &view);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).skip(3).collect();
        assert_eq!(names, ["federated/a.pem", "federated/a.crl", "federated/a.crl.pem"]);
        assert!(files[4].content.starts_with(b"-----BEGIN X509 CRL-----\n"));
    }

    #[test]
    fn each_partner_with_roots_has_a_file_whose_name_a_file_can_have() {
        let long = "a".repeat(TrustDomain::MAX_LEN);
        let empty = TrustBundle::new("empty.test".parse().unwrap());
        let partners = [bundle_of("one.test"), bundle_of("."), bundle_of(&long), empty];
        let svid = held(&entry("web", 1), ManualClock::new(Timestamp::from_unix(1_000)).now()).svid;
        let view = IdentityView {
            svids: vec![Arc::clone(&svid)],
            bundle: Arc::new(testing::bundle()),
            federated: BTreeMap::from(partners.clone().map(|partner| (partner.trust_domain().clone(), Arc::new(partner)))),
            federated_crls: BTreeMap::new(),
            crls: Arc::default(),
            revision: revision(1),
        };
        let files = files(&svid, &view);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["svid.pem", "svid_key.pem", "bundle.pem", "federated/..pem", "federated/one.test.pem"]);
        assert_eq!(*files[4].content, partners[0].to_pem().into_bytes());
        assert_eq!(files.iter().map(|file| file.secret).collect::<Vec<_>>(), [false, true, false, false, false]);
    }
}
