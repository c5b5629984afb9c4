//! How the values that travel as text are described in OpenAPI: each under its own name.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::encoding::Base64;
use super::tokens::TokenText;
use crate::bundle::SpiffeBundle;
use crate::entry::EntryId;
use crate::federation::{EndpointUrl, FederationLink};
use crate::join_link::{JoinLink, JoinToken, RootHash};
use crate::jws::TokenAlgorithm;
use crate::node::NodeName;
use crate::plan::authority::AuthorityId;
use crate::plan::upstream::CrossId;
use crate::public_key::KeyHash;
use crate::revision::Revision;
use crate::selector::Selector;
use crate::serial::Serial;
use crate::spiffe_id::SpiffeId;
use crate::timestamp::Timestamp;
use crate::token_svid::TokenId;
use crate::trust_domain::TrustDomain;

/// Describes types that travel as text: what it says, and an example or, for secrets, none.
macro_rules! texts {
    ($($name:ty: $description:literal $(, $example:literal)?;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($description)$(.examples([$example]))?.into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

texts! {
    AuthorityId: "Names an authority: its key identifier in lower-case hex.", "0102030405060708090a0b0c0d0e0f1011121314";
    Base64: "Octets in standard base64 with padding (RFC 4648 section 4).";
    CrossId: "Names a cross-certificate: 16 lower-case hex digits.", "0102030405060708";
    EndpointUrl: "The URL of an endpoint: https, at most 2,048 octets.", "https://bundles.example.org/";
    EntryId: "Names an entry: 1 to 64 of a-z, 0-9 and -.", "8f14e45fceea167a5a36dedd4bea2543";
    FederationLink: "A federation link: troth://HOST:PORT/federation/TRUST_DOMAIN/PROFILE/ROOTHASH/ENDPOINT.";
    KeyHash: "The SHA-256 of a DER SubjectPublicKeyInfo: 64 hex digits.";
    JoinLink: "A join link: a secret.";
    JoinToken: "A join token: a secret of 43 characters.";
    NodeName: "Names a node: 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'.", "web-1";
    Revision: "A commit of the store: the epoch as 16 hex digits, a dot, and the commit's number.", "00c0ffee00c0ffee.42";
    RootHash: "The SHA-256 of a root certificate's DER: 64 hex digits.";
    Selector: "A proven fact, as type:value.", "unix:uid:1000";
    Serial: "A certificate's serial number in hex.", "01a1b2c3d40102030405060708090a0b";
    SpiffeId: "A SPIFFE ID.", "spiffe://example.org/web";
    Timestamp: "A time in UTC with whole seconds (RFC 3339).", "2026-11-22T09:00:00Z";
    TokenAlgorithm: "What a key signs tokens with: ES256 or RS256.", "ES256";
    TokenId: "The id of a token (jti): 32 hex digits.", "8f14e45fceea167a5a36dedd4bea2543";
    TokenText: "A token in JWS compact form: a secret.";
    TrustDomain: "The name of a trust domain.", "example.org";
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

impl PartialSchema for SpiffeBundle {
    fn schema() -> RefOr<Schema> {
        let document = Object::builder().description(Some(
            "The SPIFFE bundle document: a JWK set (RFC 7517) with spiffe_sequence and spiffe_refresh_hint.",
        ));
        let bundle = Object::builder().description(Some("A trust bundle and whose it is."));
        bundle
            .property("trust_domain", TrustDomain::schema())
            .required("trust_domain")
            .property("bundle", document)
            .required("bundle")
            .into()
    }
}

impl ToSchema for SpiffeBundle {}
