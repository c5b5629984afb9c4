//! What both formats refuse, and what readers that are not ours find in PKCS#12. JKS is read by Java, in the end-to-end tests.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use proptest::prelude::*;

use super::*;
use crate::problem::Coded;
use crate::x509::testing::TestDomain;

const PASSWORD: &str = "correct horse";

/// Octets that are those of no other call.
fn counted() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |octets| {
        for octet in octets {
            next = next.wrapping_add(41);
            *octet = next;
        }
    }
}

/// A leaf and its issuing CA, and a key that is any octets: no format looks into it.
fn chain() -> Vec<Vec<u8>> {
    TestDomain::new("example.test")
        .chain("spiffe://example.test/web")
        .iter()
        .map(|der| der.to_vec())
        .collect()
}

fn some_key() -> Vec<u8> {
    rcgen::KeyPair::generate().unwrap().serialize_der()
}

#[test]
fn another_reader_finds_the_key_with_its_chain_under_its_alias() {
    let (chain, key) = (chain(), some_key());
    for alias in ["web", "Ünïcode 鍵"] {
        let store = pkcs12::key_store(alias, &chain, &key, PASSWORD, &mut counted()).unwrap();
        let read = KeyStore::from_pkcs12(&store, PASSWORD, Pkcs12ImportPolicy::Strict).unwrap();
        assert_eq!(read.entries_len(), 1);
        let Some(KeyStoreEntry::PrivateKeyChain(found)) = read.entry(alias) else {
            panic!("no key under {alias}")
        };
        assert_eq!(found.key().as_der(), key);
        assert_eq!(found.certs().iter().map(|cert| cert.as_der().to_vec()).collect::<Vec<_>>(), chain);
    }
}

#[test]
fn another_reader_finds_each_trusted_certificate_and_in_an_empty_store_none() {
    let trusted: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| (format!("root {number}"), TestDomain::new("example.test").root.der.to_vec()))
        .collect();
    let store = pkcs12::trust_store(&trusted, PASSWORD, &mut counted()).unwrap();
    let read = KeyStore::from_pkcs12(&store, PASSWORD, Pkcs12ImportPolicy::Strict).unwrap();
    assert_eq!(read.entries_len(), trusted.len());
    for (alias, der) in &trusted {
        let Some(KeyStoreEntry::Certificate(found)) = read.entry(alias) else {
            panic!("no certificate under {alias}")
        };
        assert_eq!(found.as_der(), der);
    }
    let empty = pkcs12::trust_store::<&str, &[u8]>(&[], PASSWORD, &mut counted()).unwrap();
    assert_eq!(KeyStore::from_pkcs12(&empty, PASSWORD, Pkcs12ImportPolicy::Strict).unwrap().entries_len(), 0);
}

#[test]
fn a_wrong_password_opens_nothing_and_a_changed_octet_is_seen() {
    let mut store = pkcs12::key_store("web", &chain(), &some_key(), PASSWORD, &mut counted()).unwrap();
    assert!(KeyStore::from_pkcs12(&store, "correct house", Pkcs12ImportPolicy::Relaxed).is_err());
    let middle = store.len() / 2;
    store[middle] ^= 1;
    assert!(KeyStore::from_pkcs12(&store, PASSWORD, Pkcs12ImportPolicy::Relaxed).is_err());
}

#[test]
fn the_key_is_in_no_store_in_the_clear_and_no_two_stores_are_equal() {
    let (chain, key) = (chain(), some_key());
    let mut chance = counted();
    let mut stores = Vec::new();
    for _ in 0..2 {
        stores.push(pkcs12::key_store("web", &chain, &key, PASSWORD, &mut chance).unwrap());
        stores.push(jks::key_store("web", &chain, &key, PASSWORD, &mut chance).unwrap());
    }
    // The number that is the key, without what is around it, of which certificates have parts too.
    let secret = &key[36..68];
    for store in &stores {
        assert!(!store.windows(16).any(|part| secret.windows(16).any(|secret| secret == part)));
        assert_eq!(stores.iter().filter(|other| *other == store).count(), 1);
    }
}

#[test]
fn a_password_that_a_reader_would_refuse_is_refused_without_being_shown() {
    let long = "p".repeat(MAX_PASSWORD_CHARACTERS + 1);
    for (password, expected) in [
        ("", KeyStoreError::PasswordShort { actual: 0 }),
        ("12345", KeyStoreError::PasswordShort { actual: 5 }),
        ("passwört", KeyStoreError::PasswordCharacter { position: 6 }),
        ("password\n", KeyStoreError::PasswordCharacter { position: 9 }),
        (&long, KeyStoreError::PasswordLong { actual: 513 }),
    ] {
        for result in [
            pkcs12::key_store("web", &chain(), b"key", password, &mut counted()),
            pkcs12::trust_store::<&str, &[u8]>(&[], password, &mut counted()),
            jks::key_store("web", &chain(), b"key", password, &mut counted()),
            jks::trust_store::<&str, &[u8]>(&[], password),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error, expected);
            assert_eq!(error.code().word(), "keystore_password_unacceptable");
            assert!(error.hint().contains("6 to 512"), "{}", error.hint());
        }
    }
}

#[test]
fn an_alias_that_java_would_lose_is_refused() {
    let chain = chain();
    for alias in ["", "a\0b", "a\nb", "🔑", &"a".repeat(256)] {
        for result in [
            pkcs12::key_store(alias, &chain, b"key", PASSWORD, &mut counted()),
            jks::key_store(alias, &chain, b"key", PASSWORD, &mut counted()),
        ] {
            assert!(matches!(result, Err(KeyStoreError::AliasUnacceptable { .. })), "{alias:?}");
        }
    }
    let twice = [("Root", &chain[0]), ("rOOT", &chain[1])];
    let expected = KeyStoreError::AliasTwice { alias: "rOOT".to_owned() };
    assert_eq!(pkcs12::trust_store(&twice, PASSWORD, &mut counted()).unwrap_err(), expected);
    assert_eq!(jks::trust_store(&twice, PASSWORD).unwrap_err(), expected);
}

#[test]
fn a_key_without_a_certificate_is_no_entry() {
    let none: [&[u8]; 0] = [];
    assert_eq!(
        pkcs12::key_store("web", &none, b"key", PASSWORD, &mut counted()),
        Err(KeyStoreError::ChainEmpty)
    );
    assert_eq!(jks::key_store("web", &none, b"key", PASSWORD, &mut counted()), Err(KeyStoreError::ChainEmpty));
}

#[test]
fn jks_names_the_certificate_that_it_cannot_date() {
    let chain = chain();
    let trusted = [("good", chain[0].as_slice()), ("bad", b"no certificate".as_slice())];
    assert_eq!(jks::trust_store(&trusted, PASSWORD), Err(KeyStoreError::CertificateMalformed { position: 2 }));
}

#[test]
fn a_generated_password_is_one_that_every_reader_takes() {
    let mut chance = counted();
    let (first, second) = (generated_password(&mut chance), generated_password(&mut chance));
    assert_ne!(first, second);
    for password in [first, second] {
        assert_eq!(password.len(), 32);
        check_password(&password).unwrap();
    }
}

proptest! {
    // Each case derives six keys, of ten thousand rounds each.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_alias_and_password_are_taken_another_reader_finds_the_key(
        alias in "[^\\p{C}\\x{10000}-\\x{10ffff}]{1,255}",
        password in "[ -~]{6,512}",
        octet in any::<u8>(),
    ) {
        let key = some_key();
        let store = pkcs12::key_store(&alias, &chain(), &key, &password, &mut |octets: &mut [u8]| octets.fill(octet)).unwrap();
        let read = KeyStore::from_pkcs12(&store, &password, Pkcs12ImportPolicy::Strict).unwrap();
        let Some(KeyStoreEntry::PrivateKeyChain(found)) = read.entry(&alias) else {
            panic!("no key under {alias}")
        };
        prop_assert_eq!(found.key().as_der(), key);
    }
}
