//! What tests of tokens have in common, whatever the tokens: answers, records, and a key that waits for its nodes.

use platform::client::CallError;
use platform::tls::Connection;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::wire::audit::{AuditEvent, AuditRecord, TokenIssuance};
use trust_domains::wire::tokens::{IssueTokensResponse, IssuedToken, TokenResult};

use super::world::{Stream, World, acknowledge, until};

pub(super) fn refusal(result: &TokenResult) -> Option<Code> {
    match result {
        TokenResult::Issued(_) => None,
        TokenResult::Refused { problem, .. } => Some(problem.code()),
    }
}

pub(super) fn issued(result: &TokenResult) -> &IssuedToken {
    match result {
        TokenResult::Issued(token) => token,
        TokenResult::Refused { problem, .. } => panic!("{problem}"),
    }
}

/// Returns what the journal says of tokens.
pub(super) async fn recorded(world: &World) -> Vec<TokenIssuance> {
    let mut lines = world.admin.lines("/v1/admin/audit").await.unwrap();
    let mut recorded = Vec::new();
    while let Some(record) = lines.next::<AuditRecord>().await.unwrap() {
        if let AuditEvent::TokenIssued(issuance) = record.event {
            recorded.push(issuance);
        }
    }
    recorded
}

/// Lets a node acknowledge what it is told, each commit of an authority as every other, until a token is issued; nothing but a missing key is in the way of that.
pub(super) async fn issued_once_acknowledged(
    connection: &Connection,
    mut asked: impl AsyncFnMut() -> Result<IssueTokensResponse, CallError>,
) -> IssueTokensResponse {
    let mut stream = Stream::open(connection, None).await.unwrap();
    let acknowledging = async {
        let (revision, _) = stream.snapshot().await;
        acknowledge(connection, revision).await.unwrap();
        loop {
            let (revision, ..) = stream.delta().await;
            acknowledge(connection, revision).await.unwrap();
        }
    };
    let asking = until(async || match asked().await {
        Ok(response) => Some(response),
        Err(error) => {
            assert_eq!(error.code(), Code::IssuerUnavailable);
            None
        }
    });
    tokio::select! {
        response = asking => response,
        () = acknowledging => panic!("the stream does not end"),
    }
}
