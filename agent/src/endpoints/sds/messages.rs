//! Puts secrets into the messages of Envoy.

use bytes::Bytes;
use prost::Message as _;
use trust_domains::TrustBundle;
use zeroize::Zeroizing;

use super::super::sds_api::messages::{
    Any, CertificateValidationContext, DataSource, Secret, SpiffeCertValidatorConfig, TlsCertificate, TypedExtensionConfig, data_source, secret,
    spiffe_cert_validator_config,
};
use super::super::sds_api::{SECRET_TYPE, SPIFFE_VALIDATOR, SPIFFE_VALIDATOR_TYPE};
use super::secrets::Trusted;
use crate::svids::{IssuedSvid, RevocationLists};

/// Returns a chain and its key.
pub(super) fn identity(name: &str, svid: &IssuedSvid) -> Any {
    let certificate = TlsCertificate {
        certificate_chain: Some(data(svid.chain_pem())),
        private_key: Some(source(Bytes::from_owner(svid.key_pem()))),
    };
    secret(name, secret::Type::TlsCertificate(certificate))
}

/// Returns the roots of one trust domain with its revocation lists, for any verifier.
pub(super) fn roots(name: &str, bundle: &TrustBundle, crls: &RevocationLists) -> Any {
    let context = CertificateValidationContext {
        trusted_ca: Some(data(bundle.to_pem())),
        crl: (!crls.is_empty()).then(|| data(crls.to_pem())),
        custom_validator_config: None,
    };
    secret(name, secret::Type::ValidationContext(context))
}

/// Returns the roots of trust domains, each with its revocation lists, for the verifier that picks them by the peer's SPIFFE ID.
pub(super) fn roots_by_domain(name: &str, trusted: &[Trusted]) -> Any {
    let trust_domains = trusted.iter().map(|Trusted { bundle, crls }| spiffe_cert_validator_config::TrustDomain {
        name: bundle.trust_domain().to_string(),
        // That verifier passes over the field `crl` of its context.
        trust_bundle: Some(data(bundle.to_pem() + &crls.to_pem())),
    });
    let config = SpiffeCertValidatorConfig {
        trust_domains: trust_domains.collect(),
    };
    let context = CertificateValidationContext {
        trusted_ca: None,
        crl: None,
        custom_validator_config: Some(TypedExtensionConfig {
            name: SPIFFE_VALIDATOR.to_owned(),
            typed_config: Some(Any {
                type_url: SPIFFE_VALIDATOR_TYPE.to_owned(),
                value: config.encode_to_vec().into(),
            }),
        }),
    };
    secret(name, secret::Type::ValidationContext(context))
}

fn secret(name: &str, contents: secret::Type) -> Any {
    let secret = Secret {
        name: name.to_owned(),
        r#type: Some(contents),
    };
    // Filled to its size, so that no smaller copy is left behind when it grows; wiped when the response is out.
    let mut octets = Zeroizing::new(Vec::with_capacity(secret.encoded_len()));
    secret.encode_raw(&mut *octets);
    Any {
        type_url: SECRET_TYPE.to_owned(),
        value: Bytes::from_owner(octets),
    }
}

fn data(text: String) -> DataSource {
    source(text.into())
}

fn source(octets: Bytes) -> DataSource {
    DataSource {
        specifier: Some(data_source::Specifier::InlineBytes(octets)),
    }
}
