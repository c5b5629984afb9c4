//! What a supervised program finds in its environment.

use std::ffi::OsString;
use std::path::Path;

use trust_domains::delivery::{Format, PASSWORD_FILE};

use super::tokens::TokenSpec;

/// Returns the variables that are set, in the place of those that this process was given.
///
/// `SPIFFE_ENDPOINT_SOCKET`, as the standard names it (EP-01); `TROTH_SVID_DIR`, and for each file a variable with its path.
pub(super) fn variables(socket: &Path, directory: &Path, formats: &[Format], tokens: &[TokenSpec]) -> Vec<(String, OsString)> {
    let mut endpoint = OsString::from("unix://");
    endpoint.push(socket);
    let path = |name: &str| directory.join(name).into_os_string();
    let mut variables = vec![
        ("SPIFFE_ENDPOINT_SOCKET".to_owned(), endpoint),
        ("TROTH_SVID_DIR".to_owned(), directory.as_os_str().to_owned()),
    ];
    let stores = |end: &str| {
        vec![
            ("TROTH_KEYSTORE_FILE".to_owned(), path(&format!("keystore.{end}"))),
            ("TROTH_TRUSTSTORE_FILE".to_owned(), path(&format!("truststore.{end}"))),
            ("TROTH_KEYSTORE_PASSWORD_FILE".to_owned(), path(PASSWORD_FILE)),
        ]
    };
    for format in formats {
        variables.extend(match format {
            Format::Pem => vec![
                ("TROTH_BUNDLE_FILE".to_owned(), path("bundle.pem")),
                ("TROTH_SVID_FILE".to_owned(), path("svid.pem")),
                ("TROTH_SVID_KEY_FILE".to_owned(), path("svid_key.pem")),
            ],
            Format::Jks => stores("jks"),
            Format::Pkcs12 => stores("p12"),
            Format::Der => Vec::new(),
            Format::Jwks => vec![("TROTH_JWKS_FILE".to_owned(), path("jwks.json"))],
            Format::Spiffe => vec![("TROTH_SPIFFE_BUNDLE_FILE".to_owned(), path("bundle.json"))],
            Format::PemCombined => vec![
                ("TROTH_BUNDLE_FILE".to_owned(), path("bundle.pem")),
                ("TROTH_SVID_COMBINED_FILE".to_owned(), path("svid_combined.pem")),
            ],
        });
    }
    variables.extend(tokens.iter().map(|token| (token.variable(), path(token.file()))));
    variables
}
