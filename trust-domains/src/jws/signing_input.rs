//! What a key signs to make a token: header and claims, then the signature, in JWS compact form (RFC 7515 section 7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{TokenAlgorithm, TokenSignature};
use crate::plan::authority::AuthorityId;
use crate::wire::tokens::TokenText;

/// The header: exactly these (JWT-02, WIT-05).
#[derive(Serialize)]
struct Header<'a> {
    /// One of the nine algorithms (JWT-03, WIT-04).
    alg: &'static str,
    /// Which key of the bundle verifies it (JWT-05, WIT-02).
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a AuthorityId>,
    /// Which kind of token it is (JWT-06, WIT-03).
    typ: &'static str,
}

/// What a key signs to make a token: header and claims, complete and unsigned.
pub struct SigningInput(Zeroizing<String>);

impl SigningInput {
    /// Writes what a key signs that has this algorithm; without a key ID where the token itself says which key it is.
    #[must_use]
    #[expect(clippy::expect_used, reason = "texts, numbers and JSON values under text keys: serde_json cannot fail on them")]
    pub(crate) fn new(typ: &'static str, algorithm: TokenAlgorithm, kid: Option<&AuthorityId>, claims: &impl Serialize) -> Self {
        let header = serde_json::to_vec(&Header {
            alg: algorithm.name(),
            kid,
            typ,
        })
        .expect("a header is always JSON");
        let claims = Zeroizing::new(serde_json::to_vec(claims).expect("claims are always JSON"));
        // Room for the signature too, so that nothing is copied.
        let mut text = String::with_capacity((header.len() + claims.len() + algorithm.signature_len()) / 3 * 4 + 12);
        URL_SAFE_NO_PAD.encode_string(&header, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(&*claims, &mut text);
        Self(Zeroizing::new(text))
    }

    /// Returns the octets that are signed (RFC 7515 section 5.1).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Joins the signature to it.
    #[must_use]
    pub fn signed(mut self, signature: impl Into<TokenSignature>) -> TokenText {
        self.0.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.into().as_bytes(), &mut self.0);
        TokenText::from(std::mem::take(&mut *self.0))
    }
}

impl std::fmt::Debug for SigningInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningInput({} bytes)", self.0.len())
    }
}
