//! Key stores and trust stores, read by OpenSSL and by Java's keytool.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use aws_lc_rs::rand::fill;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tests::domain::path_text;
use trust_domains::keystore::{jks, pkcs12};

const PASSWORD: &str = "changeit and 'quote' it";
const ALIAS: &str = "Wéb 鍵";

/// CAs above the leaf: many more than any chain of Troth has.
const LONG: usize = 9;

fn chance(octets: &mut [u8]) {
    fill(octets).expect("chance");
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A leaf without a subject, as SVIDs are, under a long chain; and the leaf's key.
fn long_chain() -> (Vec<Vec<u8>>, KeyPair) {
    let mut key = KeyPair::generate().expect("a key");
    let mut params = ca("CA 0");
    let mut chain = Vec::new();
    for number in 1..LONG {
        let issuer = Issuer::new(params, key);
        key = KeyPair::generate().expect("a key");
        params = ca(&format!("CA {number}"));
        chain.push(params.signed_by(&key, &issuer).expect("a CA").der().to_vec());
    }
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    leaf.subject_alt_names = vec![rcgen::SanType::URI("spiffe://td.example/web".try_into().expect("a URI"))];
    let key = KeyPair::generate().expect("a key");
    chain.push(leaf.signed_by(&key, &issuer).expect("a leaf").der().to_vec());
    chain.reverse();
    (chain, key)
}

fn ended(command: &mut Command) -> Output {
    // Arguments and answers of Java are in the encoding of the locale.
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output().expect("it starts")
}

fn told(command: &mut Command) -> String {
    let output = ended(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

fn keytool(arguments: &[&str]) -> Command {
    let mut command = Command::new("keytool");
    // Answers in English whatever the machine speaks, and as little Java as it takes.
    command
        .args(["-J-Duser.language=en", "-J-Dsun.stdout.encoding=UTF-8", "-J-XX:TieredStopAtLevel=1"])
        .args(arguments);
    command
}

fn listed(store: &Path, password: &str) -> Command {
    keytool(&["-list", "-v", "-keystore", path_text(store), "-storepass", password])
}

fn openssl(store: &Path, password: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(["pkcs12", "-info", "-nodes", "-in", path_text(store), "-passin", &format!("pass:{password}")]);
    command
}

/// The key that OpenSSL finds in a PKCS#12 file.
fn key_in(store: &Path) -> Vec<u8> {
    let text = told(&mut openssl(store, PASSWORD));
    let blocks = pem::parse_many(text).expect("PEM");
    let keys: Vec<_> = blocks.iter().filter(|block| block.tag() == "PRIVATE KEY").collect();
    assert_eq!(keys.len(), 1);
    keys[0].contents().to_vec()
}

/// A key is the same whichever program wrote its PKCS#8.
fn public_of(pkcs8: &[u8]) -> Vec<u8> {
    KeyPair::try_from(pkcs8).expect("a key").public_key_raw().to_vec()
}

struct Stores {
    folder: TempDir,
    chain: Vec<Vec<u8>>,
    key: KeyPair,
}

impl Stores {
    fn new() -> Self {
        let (chain, key) = long_chain();
        let folder = TempDir::new().expect("a directory");
        let stores = Self { folder, chain, key };
        let pkcs8 = stores.key.serialize_der();
        let mut chance = chance;
        stores.write(
            "key.p12",
            &pkcs12::key_store(ALIAS, &stores.chain, &pkcs8, PASSWORD, &mut chance).expect("a store"),
        );
        stores.write(
            "key.jks",
            &jks::key_store(ALIAS, &stores.chain, &pkcs8, PASSWORD, &mut chance).expect("a store"),
        );
        let trusted: Vec<_> = stores.chain.iter().enumerate().map(|(number, der)| (format!("Root {number}"), der)).collect();
        stores.write("trust.p12", &pkcs12::trust_store(&trusted, PASSWORD, &mut chance).expect("a store"));
        stores.write("trust.jks", &jks::trust_store(&trusted, PASSWORD).expect("a store"));
        let none: [(&str, &[u8]); 0] = [];
        stores.write("empty.p12", &pkcs12::trust_store(&none, PASSWORD, &mut chance).expect("a store"));
        stores.write("empty.jks", &jks::trust_store(&none, PASSWORD).expect("a store"));
        stores
    }

    fn place(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.place(name), content).expect("a file");
    }
}

#[test]
fn openssl_reads_pkcs12_without_legacy_ciphers_and_not_with_another_password() {
    let stores = Stores::new();
    assert_eq!(public_of(&key_in(&stores.place("key.p12"))), stores.key.public_key_raw());
    for (name, certificates) in [("key.p12", LONG), ("trust.p12", LONG), ("empty.p12", 0)] {
        let output = ended(&mut openssl(&stores.place(name), PASSWORD));
        assert!(output.status.success(), "{name}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), certificates, "{name}");
        let told = text + &String::from_utf8_lossy(&output.stderr);
        for expected in [
            "PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256",
            "MAC: sha256, Iteration 10000",
        ] {
            assert!(told.contains(expected), "{name}: {told}");
        }
        assert!(!ended(&mut openssl(&stores.place(name), "another one")).status.success(), "{name}");
    }
}

#[test]
fn keytool_lists_every_entry_of_both_formats_and_nothing_with_another_password() {
    let stores = Stores::new();
    for extension in ["p12", "jks"] {
        let key = told(&mut listed(&stores.place(&format!("key.{extension}")), PASSWORD));
        for expected in [
            "contains 1 entry",
            "PrivateKeyEntry",
            &format!("Certificate chain length: {LONG}"),
            &format!("Alias name: {}", ALIAS.to_lowercase()),
        ] {
            assert!(key.contains(expected), "{extension}: {expected} is not in {key}");
        }
        let trust = told(&mut listed(&stores.place(&format!("trust.{extension}")), PASSWORD));
        assert!(trust.contains(&format!("contains {LONG} entries")), "{extension}: {trust}");
        assert_eq!(trust.matches("trustedCertEntry").count(), LONG, "{extension}: {trust}");
        let empty = told(&mut listed(&stores.place(&format!("empty.{extension}")), PASSWORD));
        assert!(empty.contains("contains 0 entries"), "{extension}: {empty}");
        assert!(!ended(&mut listed(&stores.place(&format!("key.{extension}")), "another one")).status.success());
    }
}

#[test]
fn keytool_imports_the_key_of_both_formats_with_one_password() {
    let stores = Stores::new();
    for extension in ["p12", "jks"] {
        let (from, to) = (stores.place(&format!("key.{extension}")), stores.place(&format!("imported-{extension}.p12")));
        let passwords = ["-srcstorepass", PASSWORD, "-deststorepass", PASSWORD];
        let places = [
            "-importkeystore",
            "-noprompt",
            "-srckeystore",
            path_text(&from),
            "-destkeystore",
            path_text(&to),
            "-deststoretype",
            "PKCS12",
        ];
        let _ = told(&mut keytool(&[&places[..], &passwords].concat()));
        assert_eq!(public_of(&key_in(&to)), stores.key.public_key_raw(), "{extension}");
    }
}
