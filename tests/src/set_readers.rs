//! A set of credential files as programs see it that are not ours: OpenSSL, Java's keytool, Python.

use std::path::Path;
use std::process::Command;

use crate::domain::path_text;

/// Runs a program that must succeed, and returns what it printed.
///
/// # Panics
///
/// When it is not there, or fails.
#[must_use]
pub fn told(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {text} {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Has OpenSSL verify the chain of a set under its bundle, and find one key in its PEM, DER and combined files. Returns the password of its key stores.
///
/// # Panics
///
/// When it is otherwise.
#[must_use]
pub fn verify_by_openssl(set: &Path) -> String {
    let file = |name: &str| path_text(&set.join(name)).to_owned();
    let verified = told(
        "openssl",
        &["verify", "-CAfile", &file("bundle.pem"), "-untrusted", &file("svid.pem"), &file("svid.pem")],
    );
    assert!(verified.contains(": OK"), "{verified}");
    let public = |key: &str| told("openssl", &["pkey", "-pubout", "-in", key]);
    let key = public(&file("svid_key.pem"));
    assert!(key == public(&file("svid_key.der")) && key == public(&file("svid_combined.pem")), "{key}");
    std::fs::read_to_string(file("keystore.password")).expect("a password")
}

/// Returns what keytool lists of a key store.
///
/// # Panics
///
/// When it cannot open it.
#[must_use]
pub fn listed_by_keytool(store: &Path, password: &str) -> String {
    let quick = ["-J-XX:TieredStopAtLevel=1", "-J-Duser.language=en"];
    told(
        "keytool",
        &[&quick[..], &["-list", "-storepass", password, "-keystore", path_text(store)]].concat(),
    )
}

/// Returns the uses of the keys in a JWK set, as Python reads it, in order with spaces between.
///
/// # Panics
///
/// When it is none.
#[must_use]
pub fn uses_by_python(set: &Path) -> String {
    let script = "import json,sys; print(*sorted({key['use'] for key in json.load(open(sys.argv[1]))['keys']}))";
    told("/usr/bin/python3", &["-c", script, path_text(set)]).trim().to_owned()
}
