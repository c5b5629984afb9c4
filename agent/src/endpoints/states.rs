//! Streams of whole states.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Response, Status};

use super::identity_feed::{IdentityFeed, News};
use super::subject::Subject;
use crate::svids::IdentityView;

/// A server stream of whole states.
pub(super) type States<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Returns the stream of a first state and those that are news after it, until the first error, each as `message` writes it.
pub(super) async fn states<S, M, F>(feed: IdentityFeed<S>, news: News, mut message: F) -> Result<Response<States<M>>, Status>
where
    S: Subject,
    M: Send + 'static,
    F: FnMut(&IdentityView) -> M + Send + 'static,
{
    started(feed.changes(news).map(move |view| Ok(message(&*view?)))).await
}

/// Returns the stream of these states once the first is there: an error in its place is the answer to the call.
pub(super) async fn started<M: Send + 'static>(states: impl Stream<Item = Result<M, Status>> + Send + 'static) -> Result<Response<States<M>>, Status> {
    let mut states = Box::pin(states);
    let first = states.next().await.unwrap_or_else(|| Err(Status::unavailable("the agent is stopping")))?;
    Ok(Response::new(Box::pin(stream::iter([Ok(first)]).chain(states))))
}
