//! What one open stream is told: the identities of its process, as they change.

use std::sync::Arc;

use futures_util::{FutureExt as _, Stream, stream};
use tokio::sync::watch;
use tonic::Status;
use trust_domains::{EntryId, Revision, SelectorSet, SpiffeId, TrustBundle};

use super::asked::reads_more;
use super::connection::Connection;
use super::service::Authority;
use super::subject::Subject;
use crate::svids::{IdentityView, IssuedSvid, Subscription, WantedFacts};

/// The identities of one process, as they change.
pub(super) struct IdentityFeed<S = Connection> {
    authority: Arc<Authority>,
    subject: Arc<S>,
    subscription: Subscription,
    /// The process's ids, by which entries ask for more of it.
    proven: Proven,
    /// Changes with each commit that concerns this node.
    shown: watch::Receiver<Option<Revision>>,
    last: Option<Arc<IdentityView>>,
}

/// What of a state counts as news to a stream: what it sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    /// Which identities there are, in which order and under which labels; not how they are proved.
    Identities,
    /// The keys of JWT-SVIDs.
    JwtAuthorities,
    /// The keys of WIT-SVIDs.
    WitAuthorities,
    /// The roots, and the revocation lists.
    X509Authorities,
    /// X509-SVIDs, and the roots and revocation lists that come with them.
    X509Svids,
}

impl News {
    fn differs(self, before: &IdentityView, now: &IdentityView) -> bool {
        match self {
            Self::Identities => before.svids.iter().map(|svid| named(svid)).ne(now.svids.iter().map(|svid| named(svid))),
            Self::JwtAuthorities => keys_differ(before, now, TrustBundle::jwt_authorities),
            Self::WitAuthorities => keys_differ(before, now, TrustBundle::wit_authorities),
            Self::X509Authorities => !before.same_lists(now) || keys_differ(before, now, TrustBundle::x509_authorities),
            Self::X509Svids => !before.same_svids(now) || Self::X509Authorities.differs(before, now),
        }
    }
}

/// Returns which identity an SVID is of.
fn named(svid: &IssuedSvid) -> (&EntryId, &SpiffeId, Option<&str>) {
    (&svid.entry_id, &svid.spiffe_id, svid.hint.as_deref())
}

/// Returns whether the keys of one kind differ, of the own trust domain or of a partner; a partner that came or went differs too.
fn keys_differ<K: PartialEq>(before: &IdentityView, now: &IdentityView, keys: fn(&TrustBundle) -> &[K]) -> bool {
    let before = before.bundles().map(|bundle| (bundle.trust_domain(), keys(bundle)));
    before.ne(now.bundles().map(|bundle| (bundle.trust_domain(), keys(bundle))))
}

/// What was proved for a feed, and what had been asked.
struct Proven {
    ids: SelectorSet,
    asked: WantedFacts,
    selectors: SelectorSet,
}

impl<S: Subject> IdentityFeed<S> {
    /// Attests the process and subscribes to what it is entitled to.
    pub(super) async fn open(authority: Arc<Authority>, subject: Arc<S>) -> Result<Self, Status> {
        let shown = authority.cache.shown();
        let proven = prove(&authority, &*subject).await?;
        let subscription = authority.cache.subscribe(proven.selectors.clone());
        Ok(Self {
            authority,
            subject,
            subscription,
            proven,
            shown,
            last: None,
        })
    }

    /// Returns the present state the first time, then each that is news, whole; an error ends the stream.
    pub(super) async fn next(&mut self, news: News) -> Result<Arc<IdentityView>, Status> {
        loop {
            let view = tokio::select! {
                biased;
                last_word = self.subject.ending() => return Err(self.withdrawal().unwrap_or(last_word)),
                Ok(()) = self.shown.changed() => {
                    self.prove_what_is_newly_asked().await?;
                    continue;
                }
                view = self.subscription.next() => view,
            };
            match view {
                Ok(view) if self.last.as_ref().is_some_and(|last| !news.differs(last, &view)) => {}
                Ok(view) => return self.deliver(view),
                // The entry may have been replaced by one that asks for more, in the same commit.
                Err(unserved) => {
                    if !self.prove_what_is_newly_asked().await? {
                        return Err(self.subject.unserved(&unserved));
                    }
                }
            }
        }
    }

    /// Returns each state that is news, until an error, which ends the stream. What is under way stays in it when it is not polled to the end.
    pub(super) fn changes(self, news: News) -> impl Stream<Item = Result<Arc<IdentityView>, Status>> + Send {
        stream::unfold(Some(self), move |feed| async move {
            let mut feed = feed?;
            match feed.next(news).await {
                Ok(view) => Some((Ok(view), Some(feed))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// Returns whose identities these are.
    pub(super) fn subject(&self) -> &S {
        &self.subject
    }

    /// Returns what a process is told whose identities were all taken back: of an agent that then ends it hears why, not that it ends.
    fn withdrawal(&mut self) -> Option<Status> {
        let unserved = self.subscription.next().now_or_never()?.err()?;
        unserved.is_denied().then(|| self.subject.unserved(&unserved))
    }

    fn deliver(&mut self, view: Arc<IdentityView>) -> Result<Arc<IdentityView>, Status> {
        if self.last.is_some() {
            self.subject.check_unchanged()?;
        }
        self.last = Some(Arc::clone(&view));
        Ok(view)
    }

    /// Attests again when entries ask for facts that were not read. Returns whether more was proved.
    async fn prove_what_is_newly_asked(&mut self) -> Result<bool, Status> {
        let asked = self.authority.asked_of(&self.proven.ids);
        if !reads_more(asked, self.proven.asked) {
            return Ok(false);
        }
        let proven = prove(&self.authority, &*self.subject).await?;
        let changed = proven.selectors != self.proven.selectors;
        if changed {
            self.subscription = self.authority.cache.subscribe(proven.selectors.clone());
        }
        self.proven = proven;
        Ok(changed)
    }
}

async fn prove(authority: &Authority, subject: &impl Subject) -> Result<Proven, Status> {
    let (mut ids, mut asked) = (SelectorSet::from(Vec::new()), WantedFacts::default());
    let attesting = authority.attestor.attest(subject.process(), |proven| {
        ids = proven.clone();
        asked = authority.asked_of(proven);
        asked
    });
    let attested = attesting.await.map_err(|error| subject.unattested(&error))?;
    Ok(Proven {
        ids,
        asked,
        selectors: attested.selectors,
    })
}
