//! Join tokens: make, list, delete.

use axum::extract::State;
use http::StatusCode;
use platform::trace::{ApiError, ApiJson, ApiPath, ApiQuery};
use serde::Deserialize;
use thiserror::Error;
use trust_domains::join_link::{JoinLink, ParseJoinLinkError, RootHash};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::admin::{Page, TokenCreated, TokenRequest, TokenView};

use super::caller::Operator;
use super::{Api, page};
use crate::attestation::{NewToken, TokenId};

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    pub(super) limit: Option<usize>,
    pub(super) after: Option<String>,
}

/// A token cannot be handed out, or is not there.
#[derive(Debug, Error)]
pub(super) enum TokenCallError {
    /// The trust domain's roots do not fit into a link.
    #[error("the join link cannot be made")]
    Link(#[from] ParseJoinLinkError),
    /// There is no such token.
    #[error("there is no join token {id}")]
    NotFound {
        /// What was named.
        id: String,
    },
}

impl Coded for TokenCallError {
    fn code(&self) -> Code {
        match self {
            Self::Link(_) => Code::Internal,
            Self::NotFound { .. } => Code::TokenNotFound,
        }
    }
}

pub(super) async fn create(State(api): Api, Operator(cause): Operator, ApiJson(request): ApiJson<TokenRequest>) -> Result<ApiJson<TokenCreated>, ApiError> {
    let NewToken { id, token, node, expires_at } = api.tokens.create(&request).await?;
    let mut decision = cause.decision("token_created", &id);
    decision.reason = Some(format!("for node {node} until {expires_at}"));
    // The token is worth nothing yet: its text leaves with the answer, and the answer with the record.
    api.decisions.record(vec![decision]).await?;
    let roots: Vec<_> = api.authorities.join_roots().iter().map(|der| RootHash::of_der(der)).collect();
    let link = JoinLink::new(api.advertised.address.clone(), api.trust_domain.clone(), token.clone(), roots.clone()).map_err(TokenCallError::from)?;
    Ok(ApiJson(TokenCreated {
        id: id.to_string(),
        link,
        token,
        server: api.advertised.address.to_string(),
        server_from: api.advertised.from.to_owned(),
        root_sha256: roots.iter().map(ToString::to_string).collect(),
        expires_at,
        node_id: node,
    }))
}

pub(super) async fn list(State(api): Api, ApiQuery(query): ApiQuery<ListQuery>) -> Result<ApiJson<Page<TokenView>>, ApiError> {
    let limit = page::length(query.limit)?;
    let after = query
        .after
        .map(|after| TokenId::parse(&after).ok_or(page::PageRefused::After { after }))
        .transpose()?;
    let (items, more) = api.tokens.list(after.as_ref(), limit)?;
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(ApiJson(Page { items, next }))
}

pub(super) async fn delete(State(api): Api, Operator(cause): Operator, ApiPath(text): ApiPath<String>) -> Result<StatusCode, ApiError> {
    let missing = || TokenCallError::NotFound { id: text.clone() };
    let id = TokenId::parse(&text).ok_or_else(missing)?;
    api.decisions.record(vec![cause.decision("token_deleted", &id)]).await?;
    if api.tokens.delete(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing().into())
    }
}
