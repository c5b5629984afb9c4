//! What is made of a view, and when it is made anew.

use std::collections::BTreeMap;

use trust_domains::Timestamp;
use trust_domains::clock::{Clock as _, ManualClock};
use trust_domains::delivery::Format;

use super::*;
use crate::svids::RevocationLists;
use crate::svids::testing::{self, entry, held, revision};

fn material() -> Material {
    let (partner, set) = testing::with_empty_list("partner.test");
    let svid = held(&entry("web", 1), ManualClock::new(Timestamp::from_unix(1_000)).now()).svid;
    let view = IdentityView {
        svids: vec![svid],
        bundle: Arc::new(testing::bundle()),
        federated_crls: BTreeMap::from([(partner.trust_domain().clone(), Arc::new(RevocationLists::of(&set)))]),
        federated: BTreeMap::from([(partner.trust_domain().clone(), Arc::new(partner))]),
        crls: Arc::default(),
        revision: revision(1),
    };
    Material {
        view: Arc::new(view),
        tokens: Arc::default(),
    }
}

fn names(files: &[SetFile]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn the_lists_of_each_trust_domain_are_beside_its_roots() {
    let mut composer = Composer::new(SinkContents::default());
    let files = composer.files(&material(), |_| Ok(None)).unwrap();
    let expected = [
        "bundle.pem",
        "federated/partner.test.pem",
        "federated/partner.test.crl",
        "svid.pem",
        "svid_key.pem",
    ];
    assert_eq!(names(&files), expected);
    assert!(files[2].content.starts_with(b"-----BEGIN X509 CRL-----\n"));
}

#[test]
fn the_same_material_is_not_made_into_files_twice() {
    let mut composer = Composer::new(SinkContents::default());
    let first = material();
    let files = composer.files(&first, |_| Ok(None)).unwrap();
    assert!(Arc::ptr_eq(&files, &composer.files(&first.clone(), |_| Ok(None)).unwrap()));
    assert!(!Arc::ptr_eq(&files, &composer.files(&material(), |_| Ok(None)).unwrap()));
}

#[test]
fn a_password_is_generated_once_and_the_one_in_place_is_kept() {
    let contents = SinkContents {
        formats: vec![Format::Pkcs12],
        ..SinkContents::default()
    };
    let password = |files: &[SetFile]| files.iter().find(|file| file.name.as_str() == PASSWORD_FILE).unwrap().content.clone();
    let mut composer = Composer::new(contents.clone());
    let first = password(&composer.files(&material(), |_| Ok(None)).unwrap());
    assert_eq!(password(&composer.files(&material(), |_| panic!("it is known")).unwrap()), first);

    let restarted = Composer::new(contents.clone()).files(&material(), |_| Ok(Some(first.clone()))).unwrap();
    assert_eq!(password(&restarted), first);
    let spoilt = Composer::new(contents).files(&material(), |_| Ok(Some(Zeroizing::new(b"x".to_vec())))).unwrap();
    assert_ne!(password(&spoilt), first);
    assert_eq!(names(&spoilt), ["keystore.password", "truststore.p12", "keystore.p12"]);
}
