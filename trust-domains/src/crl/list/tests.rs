use proptest::prelude::*;
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, RevocationReason};

use super::super::testing::{ListingCa, serial};
use super::*;
use crate::x509::testing::NOW;

#[test]
fn a_list_says_whose_it_is_its_number_times_and_serials() {
    let ca = ListingCa::root("a");
    let crl = ca.list(7, &[5, 1 << 127, 300]);
    assert_eq!((crl.issuer(), crl.number(), crl.len()), (ca.public.id(), 7, 3));
    assert_eq!((crl.this_update(), crl.next_update()), (NOW, ca.public.not_after()));
    assert!(crl.revokes(&serial(300)) && crl.revokes(&serial(1 << 127)) && !crl.revokes(&serial(301)));
    let listed: Vec<_> = crl.revoked().collect();
    assert_eq!(
        listed.iter().map(|entry| entry.serial).collect::<Vec<_>>(),
        [serial(5), serial(300), serial(1 << 127)]
    );
    assert!(listed.iter().all(|entry| entry.at == NOW));
    assert!(ca.list(8, &[]).is_empty() && !ca.list(8, &[]).revokes(&serial(5)));
}

#[test]
fn a_list_is_read_as_webpki_reads_it() {
    let ca = ListingCa::root("a");
    let crl = ca.list(u64::MAX, &(1..200).map(|number| (1 << 120) | (number << 90)).collect::<Vec<_>>());
    let other = webpki::OwnedCertRevocationList::from_der(crl.der()).unwrap();
    assert!(crl.revoked().all(|entry| {
        webpki::CertRevocationList::from(other.clone())
            .find_serial(entry.serial.as_bytes())
            .unwrap()
            .is_some()
    }));
    assert_eq!(crl.number(), u64::MAX);
}

#[test]
fn lists_of_a_limited_scope_and_unordered_ones_are_refused() {
    let ca = ListingCa::root("a");
    let partial = ca.list_der(1, &[], |params| {
        params.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint {
                uris: vec!["http://example.org/crl".to_owned()],
            },
            scope: None,
        });
    });
    assert_eq!(Crl::parse(partial), Err(ParseCrlError::Extension { oid: "551d1c".to_owned() }));
    for change in [
        |serials: &mut Vec<_>| serials.reverse(),
        |serials: &mut Vec<rcgen::RevokedCertParams>| serials.push(serials[1].clone()),
    ] {
        let unordered = ca.list_der(1, &[1, 2], |params| change(&mut params.revoked_certs));
        assert!(matches!(Crl::parse(unordered), Err(ParseCrlError::OutOfOrder { .. })));
    }
}

#[test]
fn a_reason_beside_a_serial_is_passed_over() {
    let ca = ListingCa::root("a");
    let der = ca.list_der(1, &[1, 2], |params| params.revoked_certs[0].reason_code = Some(RevocationReason::KeyCompromise));
    let crl = Crl::parse(der).unwrap();
    assert!(crl.revokes(&serial(1)) && crl.revokes(&serial(2)));
}

#[test]
fn a_list_cut_anywhere_or_followed_by_something_is_refused() {
    let der = ListingCa::root("a").list_der(1, &[1, 2], |_| {});
    for end in 0..der.len() {
        assert!(Crl::parse(&der[..end]).is_err(), "{end}");
    }
    assert!(Crl::parse([&der[..], &[0]].concat()).is_err());
    let too_large = vec![0; MAX_CRL_BYTES + 1];
    assert!(matches!(Crl::parse(too_large), Err(ParseCrlError::TooLarge { .. })));
}

#[test]
fn a_list_is_believed_only_under_the_ca_that_signed_it() {
    let (root, other) = (ListingCa::root("a"), ListingCa::root("b"));
    let issuing = root.issuing("c");
    for ca in [&root, &issuing] {
        assert_eq!(ca.public.verify(&ca.list(1, &[1])), Ok(()));
    }
    assert!(matches!(
        root.public.verify(&other.list(1, &[])),
        Err(super::super::CrlRefused::OtherIssuer { .. })
    ));
    let der = root.list_der(1, &[1, 2, 3], |_| {});
    let mut forged = 0;
    for place in 0..der.len() {
        let mut changed = der.clone();
        changed[place] ^= 1;
        if let Ok(read) = Crl::parse(changed) {
            assert!(root.public.verify(&read).is_err(), "octet {place}");
            forged += 1;
        }
    }
    assert!(forged > 60, "what is read and differs is refused by its signature: {forged}");
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Crl::parse(octets);
    }
}
