//! What is fetched, from whom, and what came.

use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use trust_domains::bundle::TrustBundle;
use trust_domains::crl::CrlSet;
use trust_domains::federation::EndpointUrl;
use trust_domains::join_link::RootHash;
use trust_domains::spiffe_id::SpiffeId;

/// One document to fetch.
#[derive(Debug, Clone)]
pub struct FetchTarget {
    /// Where: always the configured URL, never one that an earlier redirect led to (FED-18).
    pub url: EndpointUrl,
    /// By what the endpoint is believed, at this URL and at every one that it redirects to.
    pub trust: EndpointTrust,
    /// Whether redirects are followed.
    pub redirects: bool,
    /// The entity tag of the document that the caller has, as [`Fetched::etag`] gave it: an endpoint that still has the same sends nothing.
    pub etag: Option<String>,
    /// The longest document that is taken, in octets.
    pub limit: usize,
}

/// By what an endpoint is believed. There is no way from one to another within a fetch.
#[derive(Debug, Clone)]
pub enum EndpointTrust {
    /// `https_spiffe` before there is a bundle: the endpoint has exactly this ID, and its chain leads to a root, sent along in it, that is one of these.
    Pinned {
        /// Whom the endpoint proves to be.
        id: SpiffeId,
        /// The SHA-256 of each root that is believed.
        roots: Vec<RootHash>,
    },
    /// `https_spiffe`: the endpoint has exactly this ID by the bundle of that ID's own trust domain (FED-24). No name of a host takes part.
    Spiffe {
        /// Whom the endpoint proves to be.
        id: SpiffeId,
        /// The newest bundle of the ID's trust domain (FED-25).
        bundle: Arc<TrustBundle>,
        /// The revocation lists that are held of it: an endpoint whose certificate is on one is not believed.
        lists: Arc<CrlSet>,
    },
    /// `https_web`: a certificate of the URL's host from a CA of the web (FED-17).
    Web,
}

/// What a fetch brought.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The document, or that it is still the same.
    pub content: Content,
    /// The document's entity tag, for the next fetch of the same URL.
    pub etag: Option<String>,
    /// The certificates of the endpoint that answered, leaf first, verified.
    pub peer_chain: Arc<[CertificateDer<'static>]>,
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The document, as it was sent: not longer than the limit, and not read yet.
    Document(Bytes),
    /// The document is the one whose entity tag was sent.
    NotModified,
}
