//! A relying party by the `openidconnect` crate: discovery, keys and verification are the library's; only the HTTP client is here.

use std::path::Path;
use std::sync::Arc;

use openidconnect::core::{CoreGenderClaim, CoreIdTokenVerifier, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{ClientId, EmptyAdditionalClaims, HttpRequest, HttpResponse, IdToken, IssuerUrl, Nonce};
use rustls::RootCertStore;
use tests::admin::runtime;
use tests::https::{Anything, exchange, roots};

type Token = IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Verifies a token as a party that trusts this issuer, is this audience and takes this algorithm alone; returns the subject.
pub(super) fn subject(issuer: &str, ca: &Path, audience: &str, token: &str, algorithm: &str) -> Result<String, Anything> {
    let roots = roots(ca)?;
    let http = move |request: HttpRequest| fetch(Arc::clone(&roots), request);
    let issuer = IssuerUrl::new(issuer.to_owned())?;
    let metadata = runtime().block_on(CoreProviderMetadata::discover_async(issuer, &http))?;
    let algorithm: CoreJwsSigningAlgorithm = serde_json::from_value(algorithm.into())?;
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new(audience.to_owned()), metadata.issuer().clone(), metadata.jwks().clone());
    let verifier = verifier.set_allowed_algs([algorithm]);
    let token: Token = token.parse()?;
    // Nobody signed in, so no nonce was sent.
    let claims = token.claims(&verifier, |_: Option<&Nonce>| Ok(()))?;
    Ok(claims.subject().to_string())
}

async fn fetch(roots: Arc<RootCertStore>, request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let address = authority.parse().map_err(std::io::Error::other)?;
    exchange(roots, address, request).await.map_err(std::io::Error::other)
}
