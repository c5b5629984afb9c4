//! What sets hold, for every choice of formats.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::jwt_svid::Audience;
use crate::x509::testing::TestCa;
use crate::x509::{X509Svid, to_pem};
use crate::{SpiffeId, TrustBundle};

/// A trust domain with a root, an issuing CA and one leaf, and octets in the place of what nothing here reads.
struct Domain {
    id: SpiffeId,
    chain: Vec<Vec<u8>>,
    bundle: TrustBundle,
    crls: Vec<Vec<u8>>,
}

impl Domain {
    fn new(name: &str) -> Self {
        let root = TestCa::root("root", name);
        let issuing = root.issuing("issuing", name);
        let id = format!("spiffe://{name}/web");
        let leaf = issuing.leaf(&id);
        Self {
            chain: vec![leaf.to_vec(), issuing.der.to_vec()],
            bundle: TrustBundle::new(name.parse().unwrap()).with_x509_authority(&root.der).unwrap(),
            crls: vec![format!("list of {name}").into_bytes()],
            id: id.parse().unwrap(),
        }
    }

    fn trust(&self) -> DomainTrust<'_> {
        DomainTrust {
            bundle: &self.bundle,
            crls: self.crls.iter().map(Vec::as_slice).collect(),
        }
    }
}

fn credentials<'a>(own: &'a Domain, partners: &'a [Domain]) -> Credentials<'a> {
    Credentials {
        spiffe_id: &own.id,
        chain: own.chain.iter().map(Vec::as_slice).collect(),
        key: b"the key",
        own: own.trust(),
        federated: partners.iter().map(Domain::trust).collect(),
        tokens: BTreeMap::from([("vault".parse().unwrap(), "head.body.signature")]),
    }
}

fn spec(formats: &[Format]) -> FileSetSpec {
    let password = Zeroizing::new("correct horse".to_owned());
    FileSetSpec {
        formats: formats.to_vec(),
        keystore_password: Some(KeystorePassword::kept(password).unwrap()),
        ..FileSetSpec::default()
    }
}

/// Chance that is none: each octet is one more than the last.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |octets| {
        for octet in octets {
            *octet = next;
            next = next.wrapping_add(1);
        }
    }
}

fn composed(spec: &FileSetSpec, credentials: &Credentials<'_>) -> Vec<SetFile> {
    compose(spec, credentials, &mut counting()).unwrap()
}

fn names(files: &[SetFile]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

fn content<'a>(files: &'a [SetFile], name: &str) -> &'a [u8] {
    &files
        .iter()
        .find(|file| file.name.as_str() == name)
        .unwrap_or_else(|| panic!("no {name}"))
        .content
}

#[test]
fn each_format_has_its_files_with_trust_first_and_the_key_last() {
    let (own, partners) = (Domain::new("td.example"), [Domain::new("partner.test")]);
    let credentials = credentials(&own, &partners);
    let trust = ["bundle.pem", "crl.pem", "federated/partner.test.pem", "federated/partner.test.crl"];
    let with_trust = |rest: &[&'static str]| [&trust, rest].concat();
    let table: [(Format, Vec<&str>); 7] = [
        (Format::Pem, with_trust(&["svid.pem", "svid_key.pem"])),
        (Format::PemCombined, with_trust(&["svid_combined.pem"])),
        (Format::Der, vec!["bundle/0.der", "crl/0.der", "chain/0.der", "svid.der", "svid_key.der"]),
        (Format::Pkcs12, vec!["keystore.password", "truststore.p12", "keystore.p12"]),
        (Format::Jks, vec!["keystore.password", "truststore.jks", "keystore.jks"]),
        (Format::Jwks, vec!["jwks.json"]),
        (Format::Spiffe, vec!["bundle.json"]),
    ];
    for (format, expected) in table {
        let files = composed(&spec(&[format]), &credentials);
        assert_eq!(names(&files), expected, "{format}");
        for file in files {
            let is_key = [
                "svid_key.pem",
                "svid_combined.pem",
                "svid_key.der",
                "keystore.p12",
                "keystore.jks",
                "keystore.password",
            ];
            assert_eq!(file.secret, is_key.contains(&file.name.as_str()), "{file:?}");
        }
    }
}

#[test]
fn what_is_in_the_files_is_what_programs_read_there() {
    let own = Domain::new("td.example");
    let credentials = credentials(&own, &[]);
    let files = composed(
        &spec(&[Format::Pem, Format::PemCombined, Format::Der, Format::Jwks, Format::Spiffe]),
        &credentials,
    );
    let svid = X509Svid::from_pem(content(&files, "svid.pem")).unwrap();
    assert_eq!((svid.spiffe_id(), svid.chain().len()), (&own.id, 2));
    assert_eq!(content(&files, "svid.pem"), [to_pem(&own.chain[0]), to_pem(&own.chain[1])].concat().as_bytes());
    let key = pem::parse(content(&files, "svid_key.pem")).unwrap();
    assert_eq!((key.tag(), key.contents()), ("PRIVATE KEY", &b"the key"[..]));
    let combined = [content(&files, "svid_key.pem"), content(&files, "svid.pem")].concat();
    assert_eq!(content(&files, "svid_combined.pem"), combined);
    assert_eq!(content(&files, "bundle.pem"), own.bundle.to_pem().as_bytes());
    assert_eq!(pem::parse(content(&files, "crl.pem")).unwrap().tag(), "X509 CRL");
    assert_eq!((content(&files, "svid.der"), content(&files, "chain/0.der")), (&*own.chain[0], &*own.chain[1]));
    let read = TrustBundle::parse_spiffe_json(&own.id.trust_domain(), content(&files, "bundle.json")).unwrap();
    assert!(read.has_same_keys(&own.bundle));
    assert_eq!(content(&files, "jwks.json"), own.bundle.to_jwks().as_bytes());
}

#[test]
fn a_named_partner_takes_the_place_of_the_own_trust_domain_in_every_trust_file() {
    let (own, partners) = (Domain::new("td.example"), [Domain::new("one.test"), Domain::new("two.test")]);
    let credentials = credentials(&own, &partners);
    let formats = [Format::Pem, Format::Der, Format::Spiffe];
    let of_partner = FileSetSpec {
        trust_domain: Some("two.test".parse().unwrap()),
        ..spec(&formats)
    };
    let files = composed(&of_partner, &credentials);
    assert_eq!(content(&files, "bundle.pem"), partners[1].bundle.to_pem().as_bytes());
    assert_eq!(content(&files, "crl/0.der"), b"list of two.test");
    assert_eq!(content(&files, "bundle.json"), partners[1].bundle.to_spiffe_json().as_bytes());

    let of_nobody = FileSetSpec {
        trust_domain: Some("three.test".parse().unwrap()),
        ..spec(&formats)
    };
    assert!(credentials.trust_of(&of_nobody).is_none());
    let files = composed(&of_nobody, &credentials);
    let trusting = names(&files).into_iter().find(|name| name.starts_with("bundle") || name.starts_with("crl"));
    assert_eq!(trusting, None, "what is not here is not trusted, and nothing else in its place");
    assert_eq!(content(&files, "svid.der"), own.chain[0]);
}

#[test]
fn without_lists_there_is_no_file_of_lists_and_a_partner_without_roots_has_none() {
    let mut own = Domain::new("td.example");
    own.crls.clear();
    let mut empty = Domain::new("empty.test");
    empty.bundle = TrustBundle::new("empty.test".parse().unwrap());
    let long = Domain {
        bundle: TrustBundle::new("a".repeat(255).parse().unwrap())
            .with_x509_authority(own.bundle.x509_ders().next().unwrap())
            .unwrap(),
        ..Domain::new("long.test")
    };
    let partners = [
        empty,
        long,
        Domain::new("a"),
        Domain {
            crls: Vec::new(),
            ..Domain::new("a.crl")
        },
        Domain {
            crls: Vec::new(),
            ..Domain::new(".")
        },
    ];
    let files = composed(&spec(&[Format::Pem]), &credentials(&own, &partners));
    let expected = [
        "bundle.pem",
        "federated/a.pem",
        "federated/a.crl",
        "federated/a.crl.pem",
        "federated/..pem",
        "svid.pem",
        "svid_key.pem",
    ];
    assert_eq!(names(&files), expected);
}

#[test]
fn a_token_that_is_not_here_is_no_file_and_holds_nothing_up() {
    let own = Domain::new("td.example");
    let token = |name: &str| TokenSpec {
        name: name.parse().unwrap(),
        audience: Audience::new(vec![format!("{name}.example")]).unwrap(),
    };
    let spec = FileSetSpec {
        tokens: vec![token("vault"), token("other")],
        ..spec(&[Format::Pem])
    };
    let files = composed(&spec, &credentials(&own, &[]));
    assert_eq!(names(&files), ["bundle.pem", "crl.pem", "svid.pem", "svid_key.pem", "jwt/vault.token"]);
    let token = files.last().unwrap();
    assert!(
        token.secret && &**token.content == b"head.body.signature",
        "without a line break: it is read whole"
    );
}

#[test]
fn a_password_is_a_file_only_where_nobody_was_told_it_otherwise() {
    let own = Domain::new("td.example");
    let credentials = credentials(&own, &[]);
    let given = FileSetSpec {
        keystore_password: Some(KeystorePassword::given(Zeroizing::new("correct horse".to_owned())).unwrap()),
        ..spec(&[Format::Pkcs12, Format::Jks])
    };
    assert_eq!(
        names(&composed(&given, &credentials)),
        ["truststore.p12", "keystore.p12", "truststore.jks", "keystore.jks"]
    );
    let generated = FileSetSpec {
        keystore_password: Some(KeystorePassword::generated(&mut counting())),
        ..given.clone()
    };
    let files = composed(&generated, &credentials);
    let password = generated.keystore_password.unwrap();
    assert_eq!(content(&files, "keystore.password"), password.as_str().as_bytes());
    assert!(!format!("{password:?}").contains(password.as_str()));
    let without = FileSetSpec {
        keystore_password: None,
        ..given
    };
    let refused = compose(&without, &credentials, &mut counting()).unwrap_err();
    assert_eq!(refused, ComposeError::NoPassword { format: Format::Pkcs12 });
    assert!(KeystorePassword::given(Zeroizing::new("short".to_owned())).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked for: each name once, keys and tokens secret, and only the octets of one trust domain outside of `federated`.
    #[test]
    fn a_set_has_each_name_once_and_never_pools_trust(
        formats in proptest::collection::vec(proptest::sample::select(&Format::ALL[..]), 0..8),
        partner in proptest::option::of(proptest::sample::select(&["one.test", "two.test", "td.example"][..])),
    ) {
        static DOMAINS: std::sync::LazyLock<(Domain, [Domain; 2])> =
            std::sync::LazyLock::new(|| (Domain::new("td.example"), [Domain::new("one.test"), Domain::new("two.test")]));
        let (own, partners) = &*DOMAINS;
        let spec = FileSetSpec { trust_domain: partner.map(|name| name.parse().unwrap()), ..spec(&formats) };
        let files = composed(&spec, &credentials(own, partners));
        let unique: BTreeSet<_> = files.iter().map(|file| &file.name).collect();
        prop_assert_eq!(unique.len(), files.len());
        let trusted = partner.unwrap_or("td.example");
        for file in files.iter().filter(|file| file.name.folder() != Some("federated")) {
            let text = String::from_utf8_lossy(&file.content);
            for (domain, other) in [("td.example", own), ("one.test", &partners[0]), ("two.test", &partners[1])] {
                let root = other.bundle.x509_ders().next().unwrap();
                let holds = text.contains(&to_pem(root)) || file.content.windows(root.len()).any(|window| window == &root[..]);
                let lists = text.contains(&format!("list of {domain}"));
                prop_assert!(domain == trusted || !(holds || lists), "{} holds trust of {}", file.name, domain);
            }
        }
    }
}
