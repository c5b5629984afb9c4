//! What is read back from a set, and what of it is believed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use proptest::prelude::*;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, KeyPair, SerialNumber};

use super::super::{Credentials, DomainTrust, FileSetSpec, KeystorePassword, SetFile, compose};
use super::*;
use crate::crl::testing::{revoked, serial};
use crate::crl::{Crl, CrlIssuer};
use crate::x509::testing::{NOW, TestDomain};

const ID: &str = "spiffe://td.example/web";

/// A set in place, and what it is judged by.
struct World {
    domain: TestDomain,
    bundle: TrustBundle,
    id: SpiffeId,
}

/// One SVID of it.
struct Svid {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let domain = TestDomain::new("td.example");
        let bundle = TrustBundle::new("td.example".parse().unwrap()).with_x509_authority(&domain.root.der).unwrap();
        Self {
            domain,
            bundle,
            id: ID.parse().unwrap(),
        }
    }

    fn svid_of(&self, id: &str, ends_in: u64) -> Svid {
        let key = KeyPair::generate().unwrap();
        let leaf = self.domain.issuing.leaf_of(&key, id, |params| {
            params.not_after = (NOW + Duration::from_secs(ends_in)).to_offset_date_time();
            params.use_authority_key_identifier_extension = true;
            params.serial_number = Some(SerialNumber::from(vec![7; 16]));
        });
        Svid {
            chain: vec![leaf, self.domain.issuing.der.clone()],
            key: key.serialize_der(),
        }
    }

    fn files(&self, svid: &Svid, formats: &[Format]) -> BTreeMap<String, SetFile> {
        let spec = FileSetSpec {
            formats: formats.to_vec(),
            keystore_password: Some(KeystorePassword::kept(Zeroizing::new("correct horse".to_owned())).unwrap()),
            ..FileSetSpec::default()
        };
        let credentials = Credentials {
            spiffe_id: &self.id,
            chain: svid.chain.iter().map(|der| &**der).collect(),
            key: &svid.key,
            own: DomainTrust {
                bundle: &self.bundle,
                crls: Vec::new(),
            },
            federated: Vec::new(),
            tokens: BTreeMap::new(),
        };
        let files = compose(&spec, &credentials, &mut |octets| octets.fill(1)).unwrap();
        files.into_iter().map(|file| (file.name.to_string(), file)).collect()
    }

    fn found(&self, svid: &Svid, formats: &[Format]) -> Option<FoundSvid> {
        let files = self.files(svid, formats);
        let read = |name: &FileName| Ok::<_, Infallible>(files.get(name.as_str()).map(|file| file.content.clone()));
        FoundSvid::read(formats, read).unwrap()
    }

    fn judge(&self, found: FoundSvid, held_ends_in: u64, lists: &CrlSet) -> Result<LaterSvid, GivesWay> {
        let held = HeldSvid {
            spiffe_id: &self.id,
            expires_at: NOW + Duration::from_secs(held_ends_in),
        };
        let proof = Proof {
            bundle: &self.bundle,
            lists,
            now: NOW,
        };
        found.later_than(held, proof)
    }

    fn list_of(&self, number: u128) -> CrlSet {
        let params = CertificateRevocationListParams {
            this_update: NOW.to_offset_date_time(),
            next_update: (NOW + Duration::from_secs(60)).to_offset_date_time(),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked(serial(number), NOW)],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(self.domain.issuing.issuer()).unwrap();
        let issuer = CrlIssuer::parse(self.domain.issuing.der.to_vec()).unwrap();
        CrlSet::new([(issuer, Crl::parse(crl.der().to_vec()).unwrap())]).unwrap()
    }
}

#[test]
fn a_later_svid_is_read_back_from_every_format_but_key_stores() {
    let world = World::new();
    let svid = world.svid_of(ID, 100);
    for formats in [&[Format::Pem][..], &[Format::PemCombined], &[Format::Der], &[Format::Jks, Format::Der]] {
        let later = world.judge(world.found(&svid, formats).unwrap(), 50, &CrlSet::default()).unwrap();
        assert_eq!((&later.chain, &*later.key), (&svid.chain, &svid.key), "{formats:?}");
        assert_eq!(later.not_after, NOW + Duration::from_secs(100));
    }
    for formats in [&[Format::Jks][..], &[Format::Pkcs12], &[]] {
        assert!(world.found(&svid, formats).is_none(), "{formats:?}");
    }
}

#[test]
fn what_proves_nothing_gives_way() {
    let world = World::new();
    let judge = |svid: &Svid| world.judge(world.found(svid, &[Format::Pem]).unwrap(), 50, &CrlSet::default());
    let stranger = World::new().svid_of(ID, 100);
    assert!(matches!(judge(&stranger), Err(GivesWay::Unproven(_))), "of a CA that is none of ours");
    let neighbour = world.svid_of("spiffe://td.example/other", 100);
    assert!(matches!(judge(&neighbour), Err(GivesWay::Unproven(VerifyError::NotTheServer { .. }))));
    let mut torn = world.svid_of(ID, 100);
    torn.key = world.svid_of(ID, 100).key;
    assert_eq!(judge(&torn).unwrap_err(), GivesWay::OtherKey);
    torn.key = b"no key".to_vec();
    assert_eq!(judge(&torn).unwrap_err(), GivesWay::OtherKey);

    let svid = world.svid_of(ID, 100);
    let revoked = world.list_of(u128::from_be_bytes([7; 16]));
    let told = world.judge(world.found(&svid, &[Format::Pem]).unwrap(), 50, &revoked).unwrap_err();
    assert!(matches!(told, GivesWay::Unproven(VerifyError::Revoked { .. })), "{told}");
    assert!(world.judge(world.found(&svid, &[Format::Pem]).unwrap(), 50, &world.list_of(8)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn only_what_is_valid_and_ends_later_stays(ends_in in 0_u64..200, held_ends_in in 0_u64..200) {
        let world = World::new();
        let found = world.found(&world.svid_of(ID, ends_in), &[Format::PemCombined]).unwrap();
        let judged = world.judge(found, held_ends_in, &CrlSet::default());
        prop_assert_eq!(judged.is_ok(), ends_in > held_ends_in, "{:?}", judged);
    }

    #[test]
    fn no_content_of_a_file_panics(octets in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..2_000) {
        let world = World::new();
        let mut files = world.files(&world.svid_of(ID, 100), &[Format::Pem, Format::Der]);
        for file in files.values_mut() {
            let cut = cut.min(file.content.len());
            file.content = Zeroizing::new([&file.content[..cut], &octets].concat());
        }
        for formats in [&[Format::Pem][..], &[Format::Der]] {
            let read = |name: &FileName| Ok::<_, Infallible>(files.get(name.as_str()).map(|file| file.content.clone()));
            if let Some(found) = FoundSvid::read(formats, read).unwrap() {
                let _ = world.judge(found, 50, &CrlSet::default());
            }
        }
    }
}
