//! `troth authority activate`, `taint` and `revoke`: orders about one authority.

use std::process::ExitCode;

use clap::Args;
use trust_domains::problem::Code;
use trust_domains::wire::authorities::{AuthorityView, Because, OrderAnswer};

use super::follow::{FollowArgs, follow};
use super::replace::confirm;
use super::{all, text};
use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::Failure;

/// Names one authority.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// The authority's id, or its beginning where only one begins so.
    id: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// What is to become of the authority.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Revoke,
    Taint,
}

impl Order {
    const fn verb(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Taint => "taint",
        }
    }

    const fn consequence(self) -> &'static str {
        match self {
            Self::Revoke => "what it signed is replaced on every node, then believed no longer",
            Self::Taint => "what it signed is replaced on every node at once",
        }
    }
}

/// Lets a prepared authority sign.
pub(super) async fn activate(args: OrderArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let authority = find(&client, &args.id).await?;
    let because = Because { because: args.because };
    let activated: AuthorityView = client.post(&path(&authority, "activate"), &because).await?;
    global.output().result(&activated, |activated| {
        let (kind, id) = (activated.kind, &activated.id);
        match activated.state {
            trust_domains::plan::authority::Phase::Active => format!("{kind} {id} signs"),
            state => format!("{kind} {id} is {state}; it signs as soon as everybody who is waited for knows it: troth authority list"),
        }
    })
}

/// Taints or revokes, after it said what follows, and shows what the server does.
pub(super) async fn run(args: OrderArgs, order: Order, global: &Global) -> Result<ExitCode, Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let authority = find(&client, &args.id).await?;
    global.output().note(&format!(
        "{} {} {}, {}: {}",
        order.verb(),
        authority.kind,
        text::short(&authority.id),
        authority.state,
        order.consequence()
    ));
    confirm(&args.follow)?;
    let because = Because { because: args.because };
    let answer: OrderAnswer = client.post(&path(&authority, order.verb()), &because).await?;
    global.output().note(&text::plan(&answer.replacement));
    follow(&client, answer.replacement, &args.follow, global).await
}

fn path(authority: &AuthorityView, verb: &str) -> String {
    format!("/v1/admin/authorities/{}/{verb}", path_segment(authority.id.as_str()))
}

/// Finds the one authority whose id begins so.
pub(super) async fn find(client: &AdminClient, start: &str) -> Result<AuthorityView, Failure> {
    let known = all(client).await?.items;
    choose(known, start)
}

fn choose(known: Vec<AuthorityView>, start: &str) -> Result<AuthorityView, Failure> {
    let start = start.to_ascii_lowercase();
    let mut found = known
        .into_iter()
        .filter(|authority| !start.is_empty() && authority.id.as_str().starts_with(&start));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => Err(Failure::new(
            Code::InvalidRequest,
            format!("more than one authority begins with {start}: {} and {}", one.id, other.id),
        )
        .with_hint("give more of its id: troth authority list")),
        (None, _) => Err(Failure::new(Code::AuthorityNotFound, format!("there is no authority {start}"))),
    }
}
