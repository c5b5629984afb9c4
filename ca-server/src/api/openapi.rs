//! The OpenAPI 3.1 description of the node and admin APIs: `GET /openapi.json` on the node listener. It says nothing secret and asks for no certificate.
//!
//! One table of calls; the shapes are those of `trust_domains::wire`. A test holds it against the routers.

mod document;

use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use trust_domains::SpiffeBundle;
use trust_domains::wire::admin::{
    ApplyEntries, ApplyOutcome, Count, CreateEntries, EntriesCreated, EntryChange, EntryDeleted, EntryView, Health, MintJwtRequest, MintWitRequest,
    MintedToken, NodeView, Page, RekeyRequest, Rekeyed, RevocationView, RevokeRequest, Revoked, TokenCreated, TokenRequest, TokenView, WaitOutcome,
    WaitRequest, WitChallenge,
};
use trust_domains::wire::audit::AuditRecord;
use trust_domains::wire::authorities::{AuthorityView, Because, ClockAccepted, OrderAnswer, PrepareRequest, ReplaceRequest, ReplacementView};
use trust_domains::wire::bundles::{BundleDeleted, BundleSet, BundleView, SetBundle};
use trust_domains::wire::crls::HandedBack;
use trust_domains::wire::federation::{
    AcceptLink, Accepted, CreateRelationship, FederationChanges, Invite, RelationshipDeleted, RelationshipSaved, RelationshipView, UpdateRelationship,
};
use trust_domains::wire::node::{Ack, AttestRequest, IssueRequest, IssueResponse, NodeCredential, RenewExpiredRequest, RenewRequest, SyncMessage};
use trust_domains::wire::tokens::{IssueJwtRequest, IssueTokensResponse, IssueWitRequest};
use trust_domains::wire::upstreams::{CrossSign, CrossView, Csr, CsrRequest};
use utoipa::openapi::HttpMethod::{Delete, Get, Patch, Post, Put};

use document::{Call, Document};

/// Where the description is.
pub const PATH: &str = "/openapi.json";

/// Returns the route of the description.
pub fn router() -> Router {
    Router::new().route(PATH, get(describe))
}

async fn describe() -> ([(HeaderName, &'static str); 1], Bytes) {
    // Made once, with the first question: most servers are never asked.
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| node_calls(admin_calls(Document::new())).into_json().into());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

/// Calls of agents; those that a stranger may make say so.
fn node_calls(document: Document) -> Document {
    document
        .node(
            Call::new(Post, "/v1/node/attest", "Admits a new node.")
                .of_strangers()
                .takes::<AttestRequest>()
                .gives::<NodeCredential>(),
        )
        .node(
            Call::new(Post, "/v1/node/renew", "Renews a node's SVID, with a new key.")
                .takes::<RenewRequest>()
                .gives::<NodeCredential>(),
        )
        .node(
            Call::new(Post, "/v1/node/renew-expired", "Renews a node's SVID after its end.")
                .of_strangers()
                .takes::<RenewExpiredRequest>()
                .gives::<NodeCredential>(),
        )
        .node(
            Call::new(Get, "/v1/node/sync", "Follows the entries of the node and the trust bundle.")
                .query(&["epoch", "after"])
                .streams::<SyncMessage>(),
        )
        .node(Call::new(Post, "/v1/node/ack", "Tells which commit the agent shows.").takes::<Ack>())
        .node(
            Call::new(Post, "/v1/node/issue", "Certifies a batch of public keys.")
                .takes::<IssueRequest>()
                .gives::<IssueResponse>(),
        )
        .node(
            Call::new(Post, "/v1/node/issue-jwt", "Issues a batch of JWT-SVIDs.")
                .takes::<IssueJwtRequest>()
                .gives::<IssueTokensResponse>(),
        )
        .node(
            Call::new(
                Post,
                "/v1/node/issue-wit",
                "Issues a batch of WIT-SVIDs, each for a key whose possession is proved.",
            )
            .takes::<IssueWitRequest>()
            .gives::<IssueTokensResponse>(),
        )
        .node(Call::new(Post, "/v1/node/crls", "Hands back revocation lists that the server has forgotten.").takes::<HandedBack>())
        .node(Call::new(Post, "/v1/node/leave", "Takes the node out of the trust domain."))
}

/// Calls of operators.
fn admin_calls(document: Document) -> Document {
    document
        .admin(
            Call::new(Post, "/v1/admin/tokens", "Makes a join token.")
                .takes::<TokenRequest>()
                .gives::<TokenCreated>(),
        )
        .admin(
            Call::new(Get, "/v1/admin/tokens", "Lists join tokens.")
                .query(&["limit", "after"])
                .gives::<Page<TokenView>>(),
        )
        .admin(Call::new(Delete, "/v1/admin/tokens/{id}", "Deletes a join token."))
        .admin(
            Call::new(Post, "/v1/admin/entries", "Makes entries: all are checked before any is written.")
                .takes::<CreateEntries>()
                .gives::<EntriesCreated>(),
        )
        .admin(
            Call::new(Get, "/v1/admin/entries", "Lists entries.")
                .query(&["limit", "after", "spiffe_id", "parent"])
                .gives::<Page<EntryView>>(),
        )
        .admin(Call::new(Get, "/v1/admin/entries/count", "Counts entries.").gives::<Count>())
        .admin(
            Call::new(Post, "/v1/admin/entries/apply", "Makes a set of entries true.")
                .takes::<ApplyEntries>()
                .gives::<ApplyOutcome>(),
        )
        .admin(Call::new(Get, "/v1/admin/entries/{id}", "Shows an entry.").gives::<EntryView>())
        .admin(
            Call::new(Patch, "/v1/admin/entries/{id}", "Changes an entry.")
                .takes::<EntryChange>()
                .gives::<EntryView>(),
        )
        .admin(Call::new(Delete, "/v1/admin/entries/{id}", "Deletes an entry.").gives::<EntryDeleted>())
        .admin(
            Call::new(Post, "/v1/admin/wait", "Waits until nodes show a commit.")
                .takes::<WaitRequest>()
                .gives::<WaitOutcome>(),
        )
        .admin(
            Call::new(Get, "/v1/admin/nodes", "Lists nodes.")
                .query(&["limit", "after"])
                .gives::<Page<NodeView>>(),
        )
        .admin(Call::new(Get, "/v1/admin/nodes/{name}", "Shows a node.").gives::<NodeView>())
        .admin(Call::new(Post, "/v1/admin/nodes/{name}/ban", "Bans a node: its streams end.").gives::<NodeView>())
        .admin(Call::new(Post, "/v1/admin/nodes/{name}/evict", "Forgets a node: it may join again.").gives::<NodeView>())
        .admin(
            Call::new(Post, "/v1/admin/revocations", "Revokes X509-SVIDs.")
                .takes::<RevokeRequest>()
                .gives::<Revoked>(),
        )
        .admin(
            Call::new(Get, "/v1/admin/revocations", "Lists what is revoked and has not ended.")
                .query(&["limit", "after"])
                .gives::<Page<RevocationView>>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/mint-jwt", "Mints a JWT-SVID for an operator.")
                .takes::<MintJwtRequest>()
                .gives::<MintedToken>(),
        )
        .admin(Call::new(Post, "/v1/admin/mint-wit/challenge", "Gives the challenge for a proof of possession.").gives::<WitChallenge>())
        .admin(
            Call::new(
                Post,
                "/v1/admin/mint-wit",
                "Mints a WIT-SVID for an operator, for a key whose possession is proved.",
            )
            .takes::<MintWitRequest>()
            .gives::<MintedToken>(),
        )
        .admin(Call::new(Get, "/v1/admin/bundle", "Shows the trust bundle.").gives::<SpiffeBundle>())
        .admin(
            Call::new(Get, "/v1/admin/bundles", "Lists the trust bundles: the own one, and those of partners.")
                .query(&["limit", "after"])
                .gives::<Page<BundleView>>(),
        )
        .admin(Call::new(Get, "/v1/admin/bundles/{trust_domain}", "Shows a trust bundle.").gives::<SpiffeBundle>())
        .admin(
            Call::new(Put, "/v1/admin/bundles/{trust_domain}", "Sets the bundle of a partner by hand.")
                .takes::<SetBundle>()
                .gives::<BundleSet>(),
        )
        .admin(
            Call::new(Delete, "/v1/admin/bundles/{trust_domain}", "Deletes the bundle of a partner.")
                .query(&["entries"])
                .gives::<BundleDeleted>(),
        )
        .admin(
            Call::new(Get, "/v1/admin/federation", "Lists the relationships with partners.")
                .query(&["limit", "after"])
                .gives::<Page<RelationshipView>>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/federation", "Sets up a relationship; an equal one is not set up twice.")
                .takes::<CreateRelationship>()
                .gives::<RelationshipSaved>(),
        )
        .admin(Call::new(Get, "/v1/admin/federation/{trust_domain}", "Shows a relationship, and how its fetching stands.").gives::<RelationshipView>())
        .admin(
            Call::new(Put, "/v1/admin/federation/{trust_domain}", "Changes a relationship: what is absent stays.")
                .takes::<UpdateRelationship>()
                .gives::<RelationshipSaved>(),
        )
        .admin(
            Call::new(
                Delete,
                "/v1/admin/federation/{trust_domain}",
                "Ends a relationship, and withdraws its bundle from every workload.",
            )
            .query(&["entries"])
            .gives::<RelationshipDeleted>(),
        )
        .admin(
            Call::new(
                Post,
                "/v1/admin/federation/{trust_domain}/refresh",
                "Fetches from a partner now, and shows how it stands then.",
            )
            .gives::<RelationshipView>(),
        )
        .admin(
            Call::new(
                Get,
                "/v1/admin/federation-invite",
                "Makes the link by which partners federate with this trust domain.",
            )
            .gives::<Invite>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/federation-accept", "Accepts a partner's link, or says what that would be.")
                .takes::<AcceptLink>()
                .gives::<Accepted>(),
        )
        .admin(
            Call::new(
                Get,
                "/v1/admin/federation-changes",
                "Waits until relationships or their fetching changed, and shows which.",
            )
            .query(&["since"])
            .gives::<FederationChanges>(),
        )
        .admin(Call::new(Get, "/v1/admin/authorities", "Lists the authorities.").gives::<Page<AuthorityView>>())
        .admin(
            Call::new(Post, "/v1/admin/authorities/prepare", "Makes a successor ahead of its time.")
                .takes::<PrepareRequest>()
                .gives::<AuthorityView>(),
        )
        .admin(
            Call::new(
                Post,
                "/v1/admin/authorities/replace",
                "Replaces the authorities of a kind, or says what would be done.",
            )
            .takes::<ReplaceRequest>()
            .gives::<ReplacementView>(),
        )
        .admin(Call::new(Get, "/v1/admin/authorities/replacements", "Lists replacements and how far they are.").gives::<Page<ReplacementView>>())
        .admin(
            Call::new(Post, "/v1/admin/authorities/clock-ok", "Takes an operator's word that the clock is right.")
                .takes::<Because>()
                .gives::<ClockAccepted>(),
        )
        .admin(
            Call::new(
                Post,
                "/v1/admin/authorities/{id}/activate",
                "Lets a prepared authority sign as soon as it is known.",
            )
            .takes::<Because>()
            .gives::<AuthorityView>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/authorities/{id}/taint", "Has everything replaced that an authority signed.")
                .takes::<Because>()
                .gives::<OrderAnswer>(),
        )
        .admin(
            Call::new(
                Post,
                "/v1/admin/authorities/{id}/revoke",
                "Takes an authority out of the bundle, once what it signed is replaced.",
            )
            .takes::<Because>()
            .gives::<OrderAnswer>(),
        )
        .admin(Call::new(Get, "/v1/admin/upstreams", "Lists the cross-certificates by upstream authorities.").gives::<Page<CrossView>>())
        .admin(
            Call::new(
                Post,
                "/v1/admin/upstreams/csr",
                "Makes a certificate request by a root, for an upstream authority.",
            )
            .takes::<CsrRequest>()
            .gives::<Csr>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/upstreams", "Takes a cross-certificate that an upstream authority returned.")
                .takes::<CrossSign>()
                .gives::<CrossView>(),
        )
        .admin(Call::new(Delete, "/v1/admin/upstreams/{id}", "Removes a cross-certificate."))
        .admin(
            Call::new(Get, "/v1/admin/audit", "Reads the journal, and follows it.")
                .query(&["after", "last", "follow", "limit"])
                .streams::<AuditRecord>(),
        )
        .admin(
            Call::new(Post, "/v1/admin/rekey", "Wraps the data key of the store by another key source.")
                .takes::<RekeyRequest>()
                .gives::<Rekeyed>(),
        )
        .admin(Call::new(Post, "/v1/admin/backup", "Makes a backup of the store, sealed to the recovery key.").gives_octets())
        .admin(Call::new(Get, "/v1/admin/health", "Says how the server is.").gives::<Health>())
}
