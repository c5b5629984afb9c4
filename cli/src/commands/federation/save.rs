//! `troth federation create` and `troth federation update`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use trust_domains::bundle::MAX_BUNDLE_BYTES;
use trust_domains::federation::{EndpointUrl, ProfileName};
use trust_domains::wire::bundles::{BundleFormat, SetBundle};
use trust_domains::wire::federation::{CreateRelationship, RelationshipSaved, UpdateRelationship};
use trust_domains::{SpiffeId, TrustDomain};

use super::{RELATIONSHIPS, path, text};
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::commands::entry::wait::{WaitArgs, wait};
use crate::failure::{Failure, usage};
use crate::input::read_text;

/// Sets up a relationship.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth federation create --trust-domain partner.example --url https://spire.partner.example:8443 --profile https_spiffe --endpoint-id /spire/server --bootstrap-bundle partner.json\n  troth federation create --trust-domain partner.example --url https://teleport.partner.example/webapi/spiffe/bundle.json --profile https_web\n\nOne way: it makes us believe the partner's workloads. docs/federation.md has the settings of other SPIFFE issuers for both ways."
)]
pub(crate) struct CreateArgs {
    /// The partner's trust domain: it is never taken from the URL or from what is fetched.
    #[arg(long, value_name = "TD")]
    trust_domain: TrustDomain,
    /// Where the partner's bundle is.
    #[arg(long, value_name = "URL")]
    url: EndpointUrl,
    /// How the endpoint proves itself: https_spiffe by an X509-SVID, https_web by a certificate of the public web.
    #[arg(long, value_name = "PROFILE")]
    profile: ProfileName,
    /// The SPIFFE ID that the endpoint proves, as spiffe://partner.example/spire/server or, in the partner's domain, /spire/server; for https_spiffe only.
    #[arg(long, value_name = "ID")]
    endpoint_id: Option<String>,
    /// The partner's bundle for the first fetch over https_spiffe: a SPIFFE bundle (JSON) or roots in PEM; - for standard input.
    #[arg(long, value_name = "FILE")]
    bootstrap_bundle: Option<PathBuf>,
    /// Gives the partner's bundle to every entry, not only to those with --federates-with.
    #[arg(long)]
    all_entries: bool,
    /// Where the partner's revocation lists are: they are delivered with its bundle, and with no other.
    #[arg(long, value_name = "URL")]
    crl_url: Option<EndpointUrl>,
    /// Follows no redirect of this endpoint.
    #[arg(long)]
    no_redirects: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Changes a relationship.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth federation update partner.example --url https://new.partner.example:8443\n  troth federation update partner.example --all-entries --wait\n  troth federation update partner.example --no-crl-url"
)]
pub(crate) struct UpdateArgs {
    /// The partner's trust domain.
    #[arg(value_name = "TD")]
    partner: TrustDomain,
    /// Another place of the partner's bundle.
    #[arg(long, value_name = "URL")]
    url: Option<EndpointUrl>,
    /// Another way in which the endpoint proves itself; https_spiffe needs --endpoint-id with it.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Another SPIFFE ID that the endpoint proves.
    #[arg(long, value_name = "ID")]
    endpoint_id: Option<String>,
    /// Another bundle for the next fetch, in place of the one that is held: for a partner that changed all its roots at once; - for standard input.
    #[arg(long, value_name = "FILE")]
    bootstrap_bundle: Option<PathBuf>,
    /// Gives the partner's bundle to every entry.
    #[arg(long)]
    all_entries: bool,
    /// Gives it to those with --federates-with only.
    #[arg(long, conflicts_with = "all_entries")]
    no_all_entries: bool,
    /// Where the partner's revocation lists are.
    #[arg(long, value_name = "URL")]
    crl_url: Option<EndpointUrl>,
    /// Fetches no revocation lists any more.
    #[arg(long, conflicts_with = "crl_url")]
    no_crl_url: bool,
    /// Follows redirects again.
    #[arg(long)]
    redirects: bool,
    /// Follows no redirect of this endpoint.
    #[arg(long, conflicts_with = "redirects")]
    no_redirects: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    place: ServerPlace,
}

/// Sets a relationship up. The first fetch follows by itself.
pub(super) async fn create(args: CreateArgs, global: &Global) -> Result<ExitCode, Failure> {
    let request = CreateRelationship {
        endpoint_id: endpoint_id(args.endpoint_id.as_deref(), &args.trust_domain)?,
        bootstrap: bootstrap(args.bootstrap_bundle.as_deref())?,
        trust_domain: args.trust_domain,
        url: args.url,
        profile: args.profile,
        redirects: !args.no_redirects,
        all_entries: args.all_entries,
        crl_url: args.crl_url,
    };
    let client = AdminClient::find(&args.place, global)?;
    let saved: RelationshipSaved = client.post(RELATIONSHIPS, &request).await?;
    told(&client, saved, &args.wait, global).await
}

/// Changes what is named.
pub(super) async fn update(args: UpdateArgs, global: &Global) -> Result<ExitCode, Failure> {
    let either = |on: bool, off: bool| (on || off).then_some(on);
    let request = UpdateRelationship {
        endpoint_id: endpoint_id(args.endpoint_id.as_deref(), &args.partner)?,
        bootstrap: bootstrap(args.bootstrap_bundle.as_deref())?,
        url: args.url,
        profile: args.profile,
        redirects: either(args.redirects, args.no_redirects),
        all_entries: either(args.all_entries, args.no_all_entries),
        crl_url: args.crl_url.map(|url| url.to_string()).or_else(|| args.no_crl_url.then(String::new)),
    };
    if is_empty(&request) {
        return Err(usage("nothing is named that should change").with_hint("see what can be: troth help federation update"));
    }
    let client = AdminClient::find(&args.place, global)?;
    let saved: RelationshipSaved = client.put(&path(&args.partner), &request).await?;
    told(&client, saved, &args.wait, global).await
}

fn is_empty(request: &UpdateRelationship) -> bool {
    let UpdateRelationship {
        url,
        profile,
        endpoint_id,
        redirects,
        all_entries,
        crl_url,
        bootstrap,
    } = request;
    url.is_none() && profile.is_none() && endpoint_id.is_none() && redirects.is_none() && all_entries.is_none() && crl_url.is_none() && bootstrap.is_none()
}

async fn told(client: &AdminClient, saved: RelationshipSaved, args: &WaitArgs, global: &Global) -> Result<ExitCode, Failure> {
    saved.warnings.iter().for_each(|warning| global.output().warn(warning));
    global.output().result(&saved, text::saved)?;
    global.output().note(&format!("the other way: {}", text::other_direction(&saved.relationship)));
    wait(client, args, saved.revision, saved.nodes, global).await
}

/// Reads a SPIFFE ID, or a path in the partner's trust domain.
fn endpoint_id(said: Option<&str>, partner: &TrustDomain) -> Result<Option<SpiffeId>, Failure> {
    let read = |text: &str| match text.starts_with('/') {
        true => SpiffeId::expand(partner, text),
        false => text.parse(),
    };
    said.map(read).transpose().map_err(|error| Failure::of(&error))
}

fn bootstrap(file: Option<&Path>) -> Result<Option<SetBundle>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let document = read_text(file, MAX_BUNDLE_BYTES as u64)?;
    let format = written_as(&document).ok_or_else(|| {
        usage(format!("{} is neither a SPIFFE bundle (JSON) nor PEM", file.display()))
            .with_hint("give what the partner's issuer prints of its bundle in one of the two")
    })?;
    Ok(Some(SetBundle { format, document }))
}

/// Tells the two ways in which bundles are written apart.
fn written_as(document: &str) -> Option<BundleFormat> {
    if document.trim_start().starts_with('{') {
        Some(BundleFormat::Spiffe)
    } else if document.contains("-----BEGIN CERTIFICATE-----") {
        Some(BundleFormat::Pem)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_bundle_says_itself_how_it_is_written() {
        let table = [
            ("\n{\"keys\":[]}", Some(BundleFormat::Spiffe)),
            ("subject=x\n-----BEGIN CERTIFICATE-----\nMII", Some(BundleFormat::Pem)),
            ("-----BEGIN PRIVATE KEY-----\nMII", None),
            ("", None),
        ];
        for (document, expected) in table {
            assert_eq!(written_as(document), expected, "{document:?}");
        }
    }

    #[test]
    fn an_endpoint_id_is_a_path_in_the_partners_domain_or_any_domains_whole_id() {
        let partner: TrustDomain = "partner.example".parse().unwrap();
        let read = |text: &str| endpoint_id(Some(text), &partner).ok().flatten().map(|id| id.to_string());
        assert_eq!(read("/spire/server").as_deref(), Some("spiffe://partner.example/spire/server"));
        assert_eq!(read("spiffe://hub.example/endpoint").as_deref(), Some("spiffe://hub.example/endpoint"));
        assert_eq!(read("spire/server"), None);
    }
}
