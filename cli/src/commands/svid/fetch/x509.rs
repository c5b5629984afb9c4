//! `troth svid fetch x509`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sidecar::source::{HeldSvid, X509Context};
use sidecar::supervisor::Choice;
use trust_domains::crl::Crl;
use trust_domains::{ConfiguredId, TrustDomain};

use super::super::credentials::{Credentials, Numbered};
use super::super::shown::ShownSvid;
use super::super::socket::SocketArgs;
use super::{file_set, first, partners, shown, svids_text};
use crate::args::Global;
use crate::commands::format::{FormatName, formats};
use crate::failure::Failure;

/// Where the bundles of partners are, in the directory of `--write`.
const FEDERATED: &str = "federated";

/// The ends of their files: roots, and revocation lists.
const ROOTS: &str = ".pem";
const LISTS: &str = ".crl";

/// The file of the own trust domain's revocation lists.
const CRLS: &str = "crl.pem";

/// The files of each X509-SVID: its key, its chain and the roots that go with it.
const SVID_KEY: Numbered = Numbered::new("svid", "key");
const SVID_CHAIN: Numbered = Numbered::new("svid", "pem");
const SVID_BUNDLE: Numbered = Numbered::new("bundle", "pem");

/// Fetches X509-SVIDs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth svid fetch x509\n  troth svid fetch x509 --write ./credentials\n  troth svid fetch x509 --format pkcs12,spiffe --write ./stores --spiffe-id spiffe://prod.example.org/web"
)]
pub(crate) struct X509Args {
    #[command(flatten)]
    socket: SocketArgs,
    /// Also writes svid.N.pem, svid.N.key (0600), bundle.N.pem, crl.pem where revocation lists are delivered and, for partners, federated/TRUST-DOMAIN.pem and
    /// .crl to this directory; those of an earlier fetch that are not given any more are removed.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Writes one identity in these forms instead, in the files that a sink and troth run have (docs/sinks.md), to a directory of their own.
    #[arg(long, value_name = "FORMAT,..", value_delimiter = ',', requires = "write")]
    format: Vec<FormatName>,
    /// The identity that is written with --format, of several, whole or as a path like /web [default: the agent's first].
    #[arg(long, value_name = "ID", conflicts_with = "hint", requires = "format")]
    spiffe_id: Option<ConfiguredId>,
    /// The same by its hint.
    #[arg(long, value_name = "HINT", requires = "format")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct Fetched {
    svids: Vec<ShownSvid>,
    /// The partner trust domains whose bundles came along.
    federates_with: Vec<TrustDomain>,
    /// How many revocation lists came along.
    crls: usize,
    /// Of how many of them nobody can be proved to have signed it: they are written to no file.
    crls_unproved: usize,
}

/// Fetches them once.
pub(super) async fn fetch_x509(args: X509Args, global: &Global) -> Result<(), Failure> {
    let socket = args.socket.find()?;
    let received = first(&socket).await?;
    let own = received.default_svid().spiffe_id().trust_domain();
    let lists = received.divided_lists(&own, &mut Vec::new());
    if let Some(folder) = &args.write {
        tell_unproved(lists.unproved().len(), global);
        if args.format.is_empty() {
            let credentials = Credentials::open(folder)?;
            write_svids(&credentials, received.svids())?;
            write_federated(&credentials, &received, |partner| lists.all_of(partner))?;
            write_lists(&credentials, CRLS, lists.of(&own))?;
        } else {
            let choice = Choice::of(args.spiffe_id, args.hint);
            file_set::write(folder, &formats(args.format), &choice, &received, &socket).await?;
        }
    }
    let fetched = Fetched {
        federates_with: partners(&received),
        crls: received.crls().len(),
        crls_unproved: lists.unproved().len(),
        svids: shown(&received),
    };
    global.output().result(&fetched, |fetched| svids_text(&fetched.svids))
}

fn tell_unproved(count: usize, global: &Global) {
    if count > 0 {
        global.output().warn(&format!(
            "{count} of the revocation lists are in no file, since nothing here proves who signed them; a file sink of the agent has them all (docs/run.md)"
        ));
    }
}

/// Writes the roots and lists of each partner, and takes away those of an earlier fetch that are not given any more: what is withdrawn is not to be trusted.
fn write_federated<'a>(credentials: &Credentials, received: &'a X509Context, lists: impl Fn(&TrustDomain) -> &'a [&'a Crl]) -> Result<(), Failure> {
    let bundles: Vec<_> = received.bundles().federated().collect();
    if bundles.is_empty() && !credentials.path(FEDERATED).exists() {
        return Ok(());
    }
    let federated = credentials.inner(FEDERATED)?;
    for bundle in &bundles {
        federated.public(&format!("{}{ROOTS}", bundle.trust_domain()), bundle.to_pem().as_bytes())?;
        write_lists(&federated, &format!("{}{LISTS}", bundle.trust_domain()), lists(bundle.trust_domain()))?;
    }
    for name in federated.names()? {
        let partner = name.strip_suffix(ROOTS).or_else(|| name.strip_suffix(LISTS));
        let partner: Option<TrustDomain> = partner.and_then(|partner| partner.parse().ok());
        if partner.is_some_and(|partner| !bundles.iter().any(|bundle| *bundle.trust_domain() == partner)) {
            federated.remove(&name)?;
        }
    }
    Ok(())
}

/// Writes the revocation lists of a trust domain; without any, takes away those of an earlier fetch.
fn write_lists(credentials: &Credentials, name: &str, lists: &[&Crl]) -> Result<(), Failure> {
    if !lists.is_empty() {
        let blocks: Vec<_> = lists.iter().map(|crl| pem::Pem::new("X509 CRL", crl.der().to_vec())).collect();
        let text = pem::encode_many_config(&blocks, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF));
        return credentials.public(name, text.as_bytes());
    }
    if credentials.path(name).exists() { credentials.remove(name) } else { Ok(()) }
}

fn write_svids(credentials: &Credentials, svids: &[HeldSvid]) -> Result<(), Failure> {
    for (index, svid) in svids.iter().enumerate() {
        let key = pem::encode_config(
            &pem::Pem::new("PRIVATE KEY", svid.key().to_vec()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        );
        credentials.secret(&SVID_KEY.name(index), key.as_bytes())?;
        credentials.public(&SVID_CHAIN.name(index), svid.svid().to_pem().as_bytes())?;
        credentials.public(&SVID_BUNDLE.name(index), svid.bundle().to_pem().as_bytes())?;
    }
    credentials.keep_first(svids.len(), &[SVID_KEY, SVID_CHAIN, SVID_BUNDLE])
}
