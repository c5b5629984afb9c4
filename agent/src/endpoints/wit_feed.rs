//! What one open `FetchWITSVID` stream is told: the WIT-SVIDs of its process, as they and its identities change.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::select_all;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tonic::Status;
use trust_domains::SpiffeId;

use super::connection::Connection;
use super::identity_feed::{IdentityFeed, News};
use super::subject::Subject as _;
use super::tokens::refused;
use super::wit_messages::Labelled;
use crate::svids::{IdentityView, SvidCache};
use crate::wit_svids::{Followed, Look, WitCache};

/// One identity of the process.
struct Identity {
    spiffe_id: SpiffeId,
    hint: Option<String>,
    token: Followed,
}

/// The WIT-SVIDs of one process, as they change.
pub(super) struct WitFeed {
    entries: SvidCache,
    tokens: WitCache,
    connection: Arc<Connection>,
    /// The one identity that was asked for; all without.
    asked: Option<SpiffeId>,
    views: Pin<Box<dyn Stream<Item = Result<Arc<IdentityView>, Status>> + Send>>,
    /// In the order in which they are served.
    identities: Vec<Identity>,
    /// What was sent last.
    last: Vec<Labelled>,
}

impl WitFeed {
    pub(super) fn new(feed: IdentityFeed, connection: Arc<Connection>, entries: SvidCache, tokens: WitCache, asked: Option<SpiffeId>) -> Self {
        Self {
            entries,
            tokens,
            connection,
            asked,
            views: Box::pin(feed.changes(News::Identities)),
            identities: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Returns the present state the first time (waiting while tokens are being issued), then each that is news, whole and never empty; an error ends the
    /// stream.
    async fn next(&mut self) -> Result<Vec<Labelled>, Status> {
        loop {
            tokio::select! {
                biased;
                view = self.views.next() => self.take(&*view.unwrap_or_else(|| Err(Status::unavailable("the agent is stopping")))?)?,
                () = any_changed(&mut self.identities) => self.follow_anew(),
            }
            if let Some(tokens) = self.news()? {
                // Issuing takes its time: the process that asked may be another by now.
                self.connection.check_unchanged()?;
                self.last.clone_from(&tokens);
                return Ok(tokens);
            }
        }
    }

    /// Returns each state that is news, until an error, which ends the stream.
    pub(super) fn changes(self) -> impl Stream<Item = Result<Vec<Labelled>, Status>> + Send {
        stream::unfold(Some(self), |feed| async {
            let mut feed = feed?;
            match feed.next().await {
                Ok(tokens) => Some((Ok(tokens), Some(feed))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// Follows the tokens of the identities that the process has now, as far as it asked for them.
    fn take(&mut self, view: &IdentityView) -> Result<(), Status> {
        let mut before = std::mem::take(&mut self.identities);
        for svid in view
            .svids
            .iter()
            .filter(|svid| self.asked.as_ref().is_none_or(|asked| svid.spiffe_id == *asked))
        {
            // An entry that went in this moment is no identity any more.
            let Some(entry) = self.entries.entry(&svid.entry_id) else { continue };
            let token = match before.iter().position(|identity| *identity.token.entry() == entry.id) {
                Some(position) => before.swap_remove(position).token,
                None => self.tokens.follow(&entry),
            };
            self.identities.push(Identity {
                spiffe_id: svid.spiffe_id.clone(),
                hint: svid.hint.clone(),
                token,
            });
        }
        if self.identities.is_empty() {
            return Err(refused(&*self.connection, self.asked.as_ref()));
        }
        Ok(())
    }

    /// Follows an entry again that went and came back so soon that no view was without it.
    fn follow_anew(&mut self) {
        for identity in self.identities.iter_mut().filter(|identity| identity.token.is_gone()) {
            if let Some(entry) = self.entries.entry(identity.token.entry()) {
                identity.token = self.tokens.follow(&entry);
            }
        }
    }

    /// Returns what is to be sent now, if anything: those that cannot be had are left out, unless all are.
    fn news(&self) -> Result<Option<Vec<Labelled>>, Status> {
        let (mut tokens, mut coming, mut refused) = (Vec::with_capacity(self.identities.len()), false, None);
        for identity in &self.identities {
            match identity.token.look() {
                Look::Served(svid) if svid.spiffe_id == identity.spiffe_id => tokens.push((identity.hint.clone(), svid)),
                // Of the identity that the entry gives next, or gave before: the view of it is on its way.
                Look::Served(_) | Look::Coming => coming = true,
                Look::Nothing(reason) => refused = refused.or(Some(reason)),
            }
        }
        match refused {
            // The first message waits for all, a later one for the first that there is.
            _ if coming && (tokens.is_empty() || self.last.is_empty()) => Ok(None),
            Some(reason) if tokens.is_empty() => Err(Status::unavailable(format!("no WIT-SVID can be given out: {reason}"))),
            _ if same(&tokens, &self.last) => Ok(None),
            _ => Ok(Some(tokens)),
        }
    }
}

/// Waits until the token of one of them may have changed.
async fn any_changed(identities: &mut [Identity]) {
    if identities.is_empty() {
        return std::future::pending().await;
    }
    select_all(identities.iter_mut().map(|identity| identity.token.changed().boxed())).await;
}

fn same(one: &[Labelled], two: &[Labelled]) -> bool {
    one.len() == two.len()
        && one
            .iter()
            .zip(two)
            .all(|((hint, svid), (other_hint, other))| hint == other_hint && Arc::ptr_eq(svid, other))
}
