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
pub(super) async fn states<S, M, F>(mut feed: IdentityFeed<S>, news: News, mut message: F) -> Result<Response<States<M>>, Status>
where
    S: Subject,
    M: Send + 'static,
    F: FnMut(&IdentityView) -> M + Send + 'static,
{
    let first = Ok(message(&*feed.next(news).await?));
    let later = stream::unfold(Some((feed, message)), move |open| async move {
        let (mut feed, mut message) = open?;
        match feed.next(news).await {
            Ok(view) => Some((Ok(message(&view)), Some((feed, message)))),
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok(Response::new(Box::pin(stream::iter([first]).chain(later))))
}
