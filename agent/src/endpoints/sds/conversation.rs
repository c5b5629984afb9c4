//! One open stream: what its client says and what its process is entitled to go in, what is to be sent comes out.
//!
//! Nothing is made before the transport asks for it: a client that does not read holds one response, and then gets the newest state.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tonic::{Code, Status, Streaming};

use super::super::connection::Connection;
use super::super::identity_feed::{IdentityFeed, News};
use super::super::sds_api::SECRET_TYPE;
use super::super::sds_api::messages::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource};
use super::super::subject::Subject as _;
use super::catalog::Catalog;
use super::delta::Delta;
use super::exchange::{Answer, Push};
use super::interest::TooMuch;
use super::secrets::Secrets;
use super::state_of_the_world::StateOfTheWorld;
use crate::metrics::SdsCounts;
use crate::svids::IdentityView;

/// The most of a client's reason that is logged.
const MAX_REASON: usize = 200;

/// A form of the protocol: what decides, with its messages.
pub(super) trait Form: Default + Send + 'static {
    type Request: prost::Message + Default + 'static;
    type Response: Send + 'static;

    fn type_url(request: &Self::Request) -> &str;
    fn hear(&mut self, request: Self::Request) -> Result<Option<Answer>, TooMuch>;
    fn push(&mut self, catalog: &Catalog) -> Option<Push>;
    fn response(push: Push, secrets: &Secrets) -> Self::Response;
}

/// The responses of one stream.
pub(super) type Responses<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// One open stream.
pub(super) struct Conversation<F: Form> {
    form: F,
    requests: Streaming<F::Request>,
    changes: BoxStream<'static, Result<Arc<IdentityView>, Status>>,
    connection: Arc<Connection>,
    secrets: Secrets,
    counts: SdsCounts,
    /// What comes next is because of a request: the caller was not looked at since.
    asked: bool,
    /// A rejection was logged.
    complained: bool,
}

impl<F: Form> Conversation<F> {
    /// Begins with what the process is entitled to now.
    pub(super) fn new(requests: Streaming<F::Request>, connection: Arc<Connection>, feed: IdentityFeed, first: &IdentityView, counts: SdsCounts) -> Self {
        Self {
            form: F::default(),
            requests,
            changes: feed.changes(News::X509Svids).boxed(),
            connection,
            secrets: Secrets::of(first),
            counts,
            asked: false,
            complained: false,
        }
    }

    /// Returns what is sent, until the client or the agent ends the stream.
    pub(super) fn responses(self) -> Responses<F::Response> {
        Box::pin(stream::unfold(Some(self), |open| async {
            let mut open = open?;
            match open.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(open))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<F::Response>, Status> {
        loop {
            if let Some(push) = self.form.push(self.secrets.catalog()) {
                if std::mem::take(&mut self.asked) {
                    self.connection.check_unchanged()?;
                }
                self.counts.pushed();
                return Ok(Some(F::response(push, &self.secrets)));
            }
            tokio::select! {
                biased;
                change = self.changes.next() => match change {
                    Some(view) => {
                        self.secrets = Secrets::of(&*view?);
                        self.asked = false;
                    }
                    None => return Ok(None),
                },
                request = self.requests.message() => match request.map_err(unreadable)? {
                    Some(request) => self.hear(request)?,
                    None => return Ok(None),
                },
            }
        }
    }

    fn hear(&mut self, request: F::Request) -> Result<(), Status> {
        check_type(F::type_url(&request))?;
        self.asked = true;
        if let Some(Answer::Rejected(reason)) = self.form.hear(request).map_err(too_much)? {
            self.counts.rejected();
            self.complain(&reason);
        }
        Ok(())
    }

    /// Logs why a client rejected a response: the first time where operators see it.
    fn complain(&mut self, reason: &str) {
        let pid = self.connection.peer().pid();
        let reason: String = reason.chars().take(MAX_REASON).collect();
        if std::mem::replace(&mut self.complained, true) {
            tracing::debug!(pid, reason = ?reason, "an SDS client rejected secrets again");
        } else {
            tracing::warn!(pid, reason = ?reason, "an SDS client rejected secrets; it keeps those that it had");
        }
    }
}

/// Refuses to speak of anything but secrets; a client of this service alone need not name them.
pub(super) fn check_type(type_url: &str) -> Result<(), Status> {
    if type_url.is_empty() || type_url == SECRET_TYPE {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("this service has resources of the type {SECRET_TYPE} only")))
}

pub(super) fn too_much(error: TooMuch) -> Status {
    Status::resource_exhausted(error.to_string())
}

/// Returns the status of a request that could not be read: one that is too large is too much, however it is found out.
fn unreadable(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message()),
        _ => status,
    }
}

impl Form for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn type_url(request: &DiscoveryRequest) -> &str {
        &request.type_url
    }

    fn hear(&mut self, request: DiscoveryRequest) -> Result<Option<Answer>, TooMuch> {
        self.hear(request)
    }

    fn push(&mut self, catalog: &Catalog) -> Option<Push> {
        self.push(catalog)
    }

    fn response(push: Push, secrets: &Secrets) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: push.version.to_string(),
            resources: push.resources.iter().filter_map(|(name, _)| secrets.resource(name)).collect(),
            type_url: SECRET_TYPE.to_owned(),
            nonce: push.nonce,
        }
    }
}

impl Form for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn type_url(request: &DeltaDiscoveryRequest) -> &str {
        &request.type_url
    }

    fn hear(&mut self, request: DeltaDiscoveryRequest) -> Result<Option<Answer>, TooMuch> {
        self.hear(request)
    }

    fn push(&mut self, catalog: &Catalog) -> Option<Push> {
        self.push(catalog)
    }

    fn response(push: Push, secrets: &Secrets) -> DeltaDiscoveryResponse {
        let resources = push.resources.into_iter().map(|(name, version)| Resource {
            version: version.to_string(),
            resource: secrets.resource(&name),
            name,
        });
        DeltaDiscoveryResponse {
            system_version_info: push.version.to_string(),
            resources: resources.collect(),
            type_url: SECRET_TYPE.to_owned(),
            nonce: push.nonce,
            removed_resources: push.removed,
        }
    }
}
