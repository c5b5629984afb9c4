//! `troth federation accept`: shown first, then asked, then believed.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use trust_domains::federation::{EndpointUrl, FederationLink};
use trust_domains::problem::Code;
use trust_domains::wire::bundles::BundleResult;
use trust_domains::wire::federation::{AcceptLink, Accepted};

use super::text;
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::commands::entry::wait::{WaitArgs, wait};
use crate::failure::Failure;
use crate::input::read_text;

/// Accepts a partner's link.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth federation accept troth://ca.partner.example:8444/federation/partner.example/https_spiffe/3b1f.../partner.example:troth:server\n  ssh partner troth federation invite | troth federation accept - --yes\n\nOne way: it makes us believe the partner's workloads. For the other way give the partner the link of: troth federation invite"
)]
pub(crate) struct AcceptArgs {
    /// The link that the partner's `troth federation invite` printed; - reads it from standard input.
    link: String,
    /// Does not ask; needed where there is no terminal to ask on.
    #[arg(long)]
    yes: bool,
    /// Replaces a relationship with the same trust domain that says something else; both are shown.
    #[arg(long)]
    replace: bool,
    /// Shows what would be believed, and changes nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Gives the partner's bundle to every entry, not only to those with --federates-with.
    #[arg(long)]
    all_entries: bool,
    /// Where the partner's revocation lists are: they are delivered with its bundle, and with no other.
    #[arg(long, value_name = "URL")]
    crl_url: Option<EndpointUrl>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Asks the server what the link comes to, shows it, asks, and accepts it.
pub(super) async fn run(args: AcceptArgs, global: &Global) -> Result<ExitCode, Failure> {
    let (output, link) = (global.output(), link(&args.link)?);
    let client = AdminClient::find(&args.place, global)?;
    let mut request = AcceptLink {
        link,
        replace: args.replace,
        dry_run: true,
        all_entries: args.all_entries,
        crl_url: args.crl_url.clone(),
    };
    let planned: Accepted = client.post(ACCEPT, &request).await?;
    if args.dry_run {
        output.result(&planned, text::acceptance)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = text::acceptance(&planned);
    match args.yes {
        true => output.note(shown.trim_end()),
        // Whoever is asked sees what about, however quiet it shall be.
        false => std::io::stderr().write_all(shown.as_bytes())?,
    }
    planned.warnings.iter().for_each(|warning| output.warn(warning));
    if text::replaced(&planned).is_some() && !args.replace {
        return Err(differs(&planned));
    }
    if planned.result != BundleResult::Unchanged {
        confirm(&planned, args.yes)?;
    }
    request.dry_run = false;
    let accepted: Accepted = client.post(ACCEPT, &request).await?;
    output.result(&accepted, text::accepted)?;
    output.note(&format!("the other way: {}", text::other_direction(&accepted.relationship)));
    wait(&client, &args.wait, accepted.revision, accepted.nodes, global).await
}

/// Where the admin API accepts links.
const ACCEPT: &str = "/v1/admin/federation-accept";

fn link(said: &str) -> Result<FederationLink, Failure> {
    let text = match said {
        "-" => read_text(Path::new("-"), FederationLink::MAX_LEN as u64)?,
        said => said.to_owned(),
    };
    text.parse().map_err(|error| Failure::of(&error))
}

fn differs(planned: &Accepted) -> Failure {
    let partner = &planned.relationship.trust_domain;
    Failure::new(
        Code::FederationExists,
        format!("there is a relationship with {partner} that says something else"),
    )
    .with_hint("compare both above; to replace it, the same command with --replace")
}

/// Asks whether to go on; where nobody can answer, `--yes` has to be the answer.
fn confirm(planned: &Accepted, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Err(Failure::new(Code::Unconfirmed, "nobody can be asked here, and nothing was changed").with_hint("compare what is shown, then give --yes"));
    }
    write!(output, "believe the workloads of {}? [y/N] ", planned.relationship.trust_domain)?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Unconfirmed, "nothing was changed").with_hint("answer y, or give --yes")),
    }
}
