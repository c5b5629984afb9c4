use conformance::covers;
use proptest::prelude::{any, proptest};
use rustls_pki_types::CertificateDer;

use super::{MAX_CHAIN_LEN, SvidError, X509Svid, split_der};
use crate::problem::{Code, Coded};
use crate::x509::testing::TestDomain;

type IsExpected = fn(&SvidError) -> bool;

const WEB: &str = "spiffe://example.org/web";

#[covers("WAPI-15")]
#[test]
fn a_chain_is_the_same_through_pem_and_through_concatenated_der() {
    let chain = TestDomain::new("example.org").chain(WEB);
    let svid = X509Svid::parse_chain(chain.clone()).unwrap();
    assert_eq!(svid.spiffe_id().as_str(), WEB);
    assert_eq!(X509Svid::from_pem(svid.to_pem().as_bytes()).unwrap(), svid);
    assert_eq!(X509Svid::from_concatenated_der(&svid.to_concatenated_der()).unwrap(), svid);
    assert_eq!(svid.chain(), chain);
    assert!(svid.to_pem().starts_with("-----BEGIN CERTIFICATE-----\n"));
}

#[test]
fn a_private_key_in_the_same_file_is_passed_over() {
    let svid = X509Svid::parse_chain(TestDomain::new("example.org").chain(WEB)).unwrap();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(X509Svid::from_pem(format!("{key}\n{}", svid.to_pem()).as_bytes()).unwrap(), svid);
}

#[test]
fn what_is_no_svid_is_refused_with_the_reason() {
    let domain = TestDomain::new("example.org");
    let chain = domain.chain(WEB);
    let garbage = || CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    let table: Vec<(&str, Vec<CertificateDer<'static>>, IsExpected)> = vec![
        ("nothing", vec![], |error| matches!(error, SvidError::Empty)),
        ("the chain the wrong way round", vec![chain[1].clone(), chain[0].clone()], |error| {
            matches!(error, SvidError::Leaf { .. })
        }),
        ("an unreadable leaf", vec![garbage()], |error| {
            matches!(error, SvidError::Certificate { position: 0, .. })
        }),
        ("an unreadable issuer", vec![chain[0].clone(), garbage()], |error| {
            matches!(error, SvidError::Certificate { position: 1, .. })
        }),
        (
            "too many",
            vec![chain[0].clone(); MAX_CHAIN_LEN + 1],
            |error| matches!(error, SvidError::TooLong { actual, .. } if *actual == MAX_CHAIN_LEN + 1),
        ),
    ];
    for (what, chain, is_expected) in table {
        let error = X509Svid::parse_chain(chain).unwrap_err();
        assert!(is_expected(&error), "{what}: {error:?}");
        assert_eq!(error.code(), Code::SvidInvalid, "{what}");
    }
    assert_eq!(X509Svid::from_pem(b"no certificate here"), Err(SvidError::Empty));
    assert_eq!(
        X509Svid::from_pem(b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n"),
        Err(SvidError::NotPem)
    );
}

#[test]
fn concatenated_der_that_does_not_divide_is_refused_where_it_breaks() {
    let der = X509Svid::parse_chain(TestDomain::new("example.org").chain(WEB)).unwrap().to_concatenated_der();
    let first = split_der(&der).unwrap()[0].len();
    assert_eq!(split_der(&der[..der.len() - 1]), Err(SvidError::NotDer { offset: first }));
    assert_eq!(split_der(&[der.as_slice(), &[0x30]].concat()), Err(SvidError::NotDer { offset: der.len() }));
    assert_eq!(split_der(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(SvidError::NotDer { offset: 0 }));
    assert_eq!(split_der(&[]), Ok(vec![]));
}

proptest! {
    #[test]
    fn no_input_makes_parsing_panic(bytes in any::<Vec<u8>>()) {
        let _ = X509Svid::from_pem(&bytes);
        let _ = X509Svid::from_concatenated_der(&bytes);
    }

    #[test]
    fn what_is_split_is_whole_and_bounded(bytes in proptest::collection::vec(proptest::sample::select(vec![0x30_u8, 0x00, 0x02, 0x81, 0x82]), 0..64)) {
        if let Ok(parts) = split_der(&bytes) {
            assert!(parts.len() <= MAX_CHAIN_LEN);
            assert_eq!(parts.iter().flat_map(|part| part.to_vec()).collect::<Vec<u8>>(), bytes);
        }
    }
}
