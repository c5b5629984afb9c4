//! The JWS compact form (RFC 7515 section 7.1): three parts of base64url, joined by dots (JWT-01).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::JwsError;

/// The three parts of a token as they stand in it.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header, dot and payload: what is signed.
    pub(crate) signed: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits a token. A JWE has five parts, and JSON serialisation has no dots: both end here.
    pub(crate) fn split(token: &'a str) -> Result<Self, JwsError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::NotCompact)?;
        if payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }

    pub(crate) fn header(&self) -> Result<Vec<u8>, JwsError> {
        decode(self.header).ok_or(JwsError::HeaderUnreadable)
    }

    pub(crate) fn payload(&self) -> Result<Vec<u8>, JwsError> {
        decode(self.payload).ok_or(JwsError::PayloadUnreadable)
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, JwsError> {
        decode(self.signature).ok_or(JwsError::SignatureUnreadable)
    }
}

/// Decodes base64url without padding; left-over bits must be zero, so that each part has one text only.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
