//! What an operator orders: recorded with who and why, stored, and then carried out by the plan.

use thiserror::Error;
use trust_domains::Timestamp;
use trust_domains::plan::authority::{
    Asked, AuthorityId, AuthorityKind, AuthorityProblem, AuthorityState, Beside, Extent, Order, OrderId, OrderRefused, Phase, TokenPolicy,
};
use trust_domains::problem::{Code, Coded};
use trust_domains::wire::authorities::{ClockAccepted, MAX_BECAUSE, ReplaceRequest};

use super::authorities::Authorities;
use super::held::{Change, Held};
use super::order_record::{OrderRecord, order_key};
use super::steps::StepError;
use super::unavailable::IssuerUnavailable;
use crate::decisions::Cause;
use crate::store::Commit;

/// An operator's order was not taken.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The reason is too long, or missing where one is asked for.
    #[error("the reason has {actual} characters; it needs 1 to {limit}")]
    Because {
        /// The longest.
        limit: usize,
        /// What it has.
        actual: usize,
    },
    /// There is no such authority.
    #[error("there is no authority {id}")]
    NotFound {
        /// What was named.
        id: String,
    },
    /// Only one that is prepared can be activated.
    #[error("authority {id} is {phase}, and only one that is prepared can be activated")]
    NotPrepared {
        /// Which.
        id: AuthorityId,
        /// What it is.
        phase: Phase,
    },
    /// No number was drawn.
    #[error("the system gives no random number")]
    Random,
    /// The state of the authorities forbids it.
    #[error(transparent)]
    Refused(#[from] OrderRefused),
    /// A step failed.
    #[error("the order cannot be taken")]
    Step(#[from] StepError),
    /// Nothing of that kind can be made here and now.
    #[error(transparent)]
    Unavailable(#[from] IssuerUnavailable),
}

impl Coded for OrderError {
    fn code(&self) -> Code {
        match self {
            Self::Because { .. } => Code::InvalidRequest,
            Self::NotFound { .. } | Self::Refused(OrderRefused::Nothing { .. }) => Code::AuthorityNotFound,
            Self::NotPrepared { .. } | Self::Refused(OrderRefused::Revoked { .. }) => Code::AuthorityState,
            Self::Random => Code::Internal,
            Self::Refused(OrderRefused::Running { .. }) => Code::ReplacementRunning,
            Self::Refused(OrderRefused::Signs { .. }) => Code::AuthorityInUse,
            Self::Step(error) => error.code(),
            Self::Unavailable(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Because { .. } => "say why in a sentence: --because \"...\"".to_owned(),
            Self::Refused(OrderRefused::Signs { kind, .. }) => {
                format!(
                    "its successor must sign first; that and all the rest is done by: troth authority replace --kind {kind} --compromised --because \"...\""
                )
            }
            Self::NotPrepared { .. } => "make one that can be: troth authority prepare --kind KIND".to_owned(),
            Self::Unavailable(error) => error.hint(),
            Self::NotFound { .. } | Self::Random | Self::Refused(_) | Self::Step(_) => self.code().facts().hint.to_owned(),
        }
    }
}

impl Authorities {
    /// Makes a successor ahead of its time, or marks the one that is prepared already: it is kept until it is activated.
    ///
    /// # Errors
    /// None of that kind can be made, or it could not be recorded or stored.
    pub async fn prepare(&self, kind: AuthorityKind, because: Option<&str>, cause: &Cause) -> Result<AuthorityId, OrderError> {
        let because = optional(because)?;
        let _one_at_a_time = self.looking.lock().await;
        self.refresh().await?;
        if let Some(prepared) = self.prepared_of(kind) {
            self.ask(&prepared, Asked::Kept, "authority_prepare_ordered", because, cause).await?;
            return Ok(prepared);
        }
        self.record(cause, "authority_prepare_ordered", kind, because).await?;
        let why = format!("an operator ordered it{}", because.map(|because| format!(": {because}")).unwrap_or_default());
        self.make(kind, why).await?;
        let made = self.prepared_of(kind).ok_or(IssuerUnavailable::NoTokenKey {
            kind,
            now: self.clock.now().wall,
        })?;
        self.mark(&made, Asked::Kept, None).await?;
        self.wake.notify_one();
        Ok(made)
    }

    async fn make(&self, kind: AuthorityKind, because: String) -> Result<(), OrderError> {
        let (policy, now) = (&self.settings.policy, self.clock.now().wall);
        let token_life = match kind {
            AuthorityKind::X509Root => return Ok(self.prepare_root(now + policy.root().life().life(), because).await?),
            AuthorityKind::X509Issuing => {
                let root = self
                    .set()
                    .root(now)
                    .map(|root| root.id().clone())
                    .ok_or(IssuerUnavailable::NoneActive { now })?;
                return Ok(self.prepare_issuing(root, now + policy.issuing().life(), because).await?);
            }
            AuthorityKind::Jwt => policy.jwt().life().life(),
            AuthorityKind::Wit => policy.wit().ok_or(IssuerUnavailable::WitDisabled)?.life().life(),
        };
        Ok(self.prepare_token(kind, self.algorithm_of(kind), now + token_life, because).await?)
    }

    /// Returns what a new token key signs with: what is configured, or what the one that signs does.
    fn algorithm_of(&self, kind: AuthorityKind) -> trust_domains::jws::TokenAlgorithm {
        let policy = &self.settings.policy;
        let configured = match kind {
            AuthorityKind::Wit => policy.wit().and_then(TokenPolicy::algorithm),
            AuthorityKind::Jwt | AuthorityKind::X509Issuing | AuthorityKind::X509Root => policy.jwt().algorithm(),
        };
        let signs = || self.set().token_key(kind, self.clock.now().wall).map(|key| key.algorithm());
        configured.or_else(signs).unwrap_or_default()
    }

    fn prepared_of(&self, kind: AuthorityKind) -> Option<AuthorityId> {
        let (set, now) = (self.set(), self.clock.now().wall);
        let going: Vec<_> = set.running().flat_map(|running| &running.replaces).collect();
        let is_next = |held: &&Held| held.kind() == kind && held.phase() == Phase::Prepared && now < held.not_after() && !going.contains(&held.id());
        set.held().filter(is_next).max_by_key(|held| held.not_after()).map(|held| held.id().clone())
    }

    /// Lets a prepared authority sign as soon as everybody who is waited for knows it.
    ///
    /// # Errors
    /// There is none, or it is not prepared; or it could not be recorded or stored.
    pub async fn activate_ordered(&self, id: &str, because: Option<&str>, cause: &Cause) -> Result<AuthorityId, OrderError> {
        let because = optional(because)?;
        let _one_at_a_time = self.looking.lock().await;
        self.refresh().await?;
        let (id, phase) = self.find(id).map(|state| (state.id, state.phase))?;
        match phase {
            Phase::Active => return Ok(id),
            Phase::Prepared => {}
            Phase::Old | Phase::Revoked | Phase::Tainted => return Err(OrderError::NotPrepared { id, phase }),
        }
        self.ask(&id, Asked::Activated, "authority_activate_ordered", because, cause).await?;
        Ok(id)
    }

    /// Orders that what an authority signed be replaced everywhere, and with [`Extent::Withdraw`] that it be believed no more.
    ///
    /// # Errors
    /// There is none, it signs, it is revoked, another order goes on; or it could not be recorded or stored.
    pub async fn take_away(&self, id: &str, extent: Extent, because: Option<&str>, cause: &Cause) -> Result<OrderId, OrderError> {
        let because = optional(because)?.unwrap_or("no reason was given");
        let _one_at_a_time = self.looking.lock().await;
        self.refresh().await?;
        let order = Order::about(fresh_id()?, &self.find(id)?, extent)?;
        self.give(order, because, cause).await
    }

    /// Orders that an issuing CA whose revocation list is too long be replaced and revoked as a whole, unless that goes on: its root's list names it then.
    ///
    /// # Errors
    /// It is no issuing CA, another order goes on; or it could not be recorded or stored.
    pub(crate) async fn relieve(&self, full: &AuthorityId, because: &str) -> Result<(), OrderError> {
        let goes = |record: &OrderRecord| record.extent != Extent::Replace && record.replaces.contains(full);
        if self.set().running().any(goes) {
            return Ok(());
        }
        let _one_at_a_time = self.looking.lock().await;
        self.refresh().await?;
        let order = Order::relieving(fresh_id()?, &self.find(full.as_str())?)?;
        let cause = Cause {
            actor: self.actor(),
            trace_id: String::new(),
        };
        self.give(order, because, &cause).await.map(|_| ())
    }

    /// Orders that the authorities of a kind be replaced.
    ///
    /// # Errors
    /// There is nothing to replace, another order goes on; or it could not be recorded or stored.
    pub async fn replace(&self, request: &ReplaceRequest, cause: &Cause) -> Result<OrderId, OrderError> {
        let because = optional(Some(&request.because))?.unwrap_or_default();
        let _one_at_a_time = self.looking.lock().await;
        self.refresh().await?;
        let order = self.replacement(request)?;
        self.give(order, because, cause).await
    }

    /// Returns the order that a request asks for, as things are; it is not given.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub(super) fn replacement(&self, request: &ReplaceRequest) -> Result<Order, OrderError> {
        if request.kind == AuthorityKind::Wit && self.settings.policy.wit().is_none() {
            return Err(IssuerUnavailable::WitDisabled.into());
        }
        let extent = match request.compromised {
            true => Extent::Withdraw,
            false => Extent::Replace,
        };
        let now = self.clock.now().wall;
        let order = Order::replacing(fresh_id()?, request.kind, extent, &self.states(now), now)?;
        self.superseded_by(&order)?;
        Ok(order)
    }

    /// Records and stores an order. A planned one that it is more urgent than comes to its end with it.
    async fn give(&self, order: Order, because: &str, cause: &Cause) -> Result<OrderId, OrderError> {
        let superseded = self.superseded_by(&order)?;
        let (id, now) = (order.id.clone(), self.clock.now().wall);
        let going: Vec<_> = order.replaces.iter().map(AuthorityId::as_str).collect();
        let text = format!("order {id} ({:?}) about {}: {because}", order.extent, going.join(", "));
        self.record(cause, "replacement_ordered", order.kind, Some(&text)).await?;
        let mut commit = Commit::new("replacement_ordered").absent(order_key(&id));
        for running in superseded {
            let ended = running.finished(now, Some(format!("order {id} took its place")));
            commit.writes.push(self.records.put(order_key(&running.id), &ended).map_err(StepError::from)?);
        }
        let record = OrderRecord::new(order, because.to_owned(), cause.actor.clone(), now);
        commit.writes.push(self.records.put(order_key(&id), &record).map_err(StepError::from)?);
        self.committed(commit).await?;
        self.wake.notify_one();
        Ok(id)
    }

    fn superseded_by(&self, order: &Order) -> Result<Vec<OrderRecord>, OrderRefused> {
        let set = self.set();
        let mut superseded = Vec::new();
        for running in set.running() {
            match order.judge_beside(&running.order())? {
                Beside::Both => {}
                Beside::Supersedes => superseded.push(running.clone()),
            }
        }
        Ok(superseded)
    }

    /// Takes an operator's word that the clock is right: what waited for that goes on.
    ///
    /// # Errors
    /// It could not be recorded or stored.
    pub async fn accept_clock(&self, because: Option<&str>, cause: &Cause) -> Result<ClockAccepted, OrderError> {
        let because = optional(because)?;
        let _one_at_a_time = self.looking.lock().await;
        let now = self.clock.now();
        let is_about_it = |problem: &&AuthorityProblem| matches!(problem, AuthorityProblem::ClockBehind { .. } | AuthorityProblem::ClockJumped { .. });
        let released = self.problems.borrow().iter().find(is_about_it).map(ToString::to_string);
        self.record(cause, "clock_accepted", now.wall, because).await?;
        self.commit_time(now.wall).await?;
        self.guard.accept(now);
        self.wake.notify_one();
        Ok(ClockAccepted { at: now.wall, released })
    }

    async fn ask(&self, id: &AuthorityId, asked: Asked, action: &'static str, because: Option<&str>, cause: &Cause) -> Result<(), OrderError> {
        self.record(cause, action, id, because).await?;
        self.mark(id, asked, because).await?;
        self.wake.notify_one();
        Ok(())
    }

    async fn mark(&self, id: &AuthorityId, asked: Asked, because: Option<&str>) -> Result<(), OrderError> {
        let set = self.set();
        let held = set.find(id).ok_or_else(|| OrderError::NotFound { id: id.to_string() })?;
        if held.notes().asked == asked {
            return Ok(());
        }
        let change = Change {
            asked: Some(asked),
            because: because.map(str::to_owned),
            ..Change::default()
        };
        Ok(self.change("authority_asked_for", vec![(held, change)]).await?)
    }

    fn find(&self, id: &str) -> Result<AuthorityState, OrderError> {
        let states = self.states(self.clock.now().wall);
        states.into_iter().find(|state| state.id.as_str() == id).ok_or_else(|| OrderError::NotFound {
            id: id.chars().take(64).collect(),
        })
    }

    async fn refresh(&self) -> Result<(), StepError> {
        Ok(self.reload().await?)
    }

    async fn record(&self, cause: &Cause, action: &str, subject: impl ToString, because: Option<&str>) -> Result<(), StepError> {
        let mut decision = cause.decision(action, subject);
        decision.reason = because.map(str::to_owned);
        let event = trust_domains::wire::audit::AuditEvent::Decided(decision);
        self.recorder.append(vec![event]).await.map_err(StepError::Journal)?;
        Ok(())
    }

    /// Returns the moment by the server's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}

/// Judges a reason: it goes into the journal and the store.
fn optional(because: Option<&str>) -> Result<Option<&str>, OrderError> {
    let refused = |because: &str| OrderError::Because {
        limit: MAX_BECAUSE,
        actual: because.chars().count(),
    };
    match because.map(str::trim) {
        Some(text) if text.is_empty() || text.chars().count() > MAX_BECAUSE || text.chars().any(char::is_control) => Err(refused(text)),
        because => Ok(because),
    }
}

fn fresh_id() -> Result<OrderId, OrderError> {
    platform::random::array::<8>().map(OrderId::from_octets).map_err(|_| OrderError::Random)
}
