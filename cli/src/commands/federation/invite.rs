//! `troth federation invite`.

use clap::Args;
use trust_domains::wire::federation::Invite;

use super::text;
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;

/// Prints the link for a partner.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth federation invite\n  troth federation invite | ssh partner troth federation accept - --yes\n\nThe link is no secret. Whoever could change it on its way could make the partner believe somebody else, so give it over a way that both of you trust.\nIt is good until none of its roots is ours any more."
)]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    place: ServerPlace,
}

/// Prints the link: alone on standard output, so that it can be piped to where it is accepted.
pub(super) async fn run(args: &InviteArgs, global: &Global) -> Result<(), Failure> {
    let invite: Invite = AdminClient::find(&args.place, global)?.get("/v1/admin/federation-invite").await?;
    global.output().note(&text::invited(&invite));
    global.output().result(&invite, |invite| invite.link.to_string())
}
