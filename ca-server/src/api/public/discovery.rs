//! The discovery document of OpenID Connect (Discovery 1.0 section 3), of an issuer that signs in nobody.

use std::collections::BTreeSet;

use serde::Serialize;
use trust_domains::bundle::PublicJwk;
use trust_domains::jwt_svid::IssuerUrl;

/// Where the document is, under the issuer.
pub(super) const PATH: &str = "/.well-known/openid-configuration";

/// Where the keys are, under the issuer.
pub(super) const KEYS_PATH: &str = "/keys";

/// The document. Relying parties take issuer and keys from it.
#[derive(Serialize)]
struct Discovery<'a> {
    issuer: &'a IssuerUrl,
    jwks_uri: String,
    /// Required by the standard, and libraries refuse a document without it. Nobody signs in here, so nothing answers there.
    authorization_endpoint: String,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    /// Those of the keys: while one takes over from another, both.
    id_token_signing_alg_values_supported: BTreeSet<&'a str>,
    claims_supported: [&'static str; 6],
}

/// Returns the document of an issuer with these keys.
#[expect(clippy::expect_used, reason = "texts and arrays of texts: serde_json cannot fail on them")]
pub(super) fn document(issuer: &IssuerUrl, keys: &[PublicJwk]) -> String {
    let document = Discovery {
        issuer,
        jwks_uri: issuer.join(KEYS_PATH),
        authorization_endpoint: issuer.join("/authorize"),
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: keys.iter().filter_map(PublicJwk::algorithm).collect(),
        claims_supported: ["aud", "exp", "iat", "iss", "jti", "sub"],
    };
    serde_json::to_string(&document).expect("a discovery document is always JSON")
}
