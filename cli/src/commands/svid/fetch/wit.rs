//! `troth svid fetch wit`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sidecar::source::WorkloadClient;
use trust_domains::ConfiguredId;
use trust_domains::problem::Code;
use trust_domains::wit_svid::{PROOF_HEADER, ProofAudience, WIT_HEADER};

use super::super::credentials::{Credentials, Numbered};
use super::super::received_wit::{ReceivedWit, wit_bundles_of};
use super::super::socket::SocketArgs;
use crate::args::Global;
use crate::failure::Failure;

/// The files of each WIT-SVID.
const KEY: Numbered = Numbered::new("wit", "key.json");
const TOKEN: Numbered = Numbered::new("wit", "token");

/// Fetches WIT-SVIDs.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  troth svid fetch wit\n  troth svid fetch wit --prove https://api.example.com/orders | curl --header @- https://api.example.com/orders\n  troth svid fetch wit --write ./credentials"
)]
pub(crate) struct WitArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// The identity to fetch a token of, whole or as /path [default: every one that this process has; with --prove its default identity].
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<ConfiguredId>,
    /// Also makes a proof of possession for this recipient: the URI of the request without query and fragment, or what the recipient goes by. It is good
    /// for a minute, and for one request. Both are printed as the HTTP header fields that carry them.
    #[arg(long, value_name = "AUDIENCE")]
    prove: Option<String>,
    /// Also writes wit.N.token and its private key wit.N.key.json (both 0600) to this directory, and removes those with higher
    /// numbers of an earlier fetch; nothing else shows the key.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

#[derive(Serialize)]
struct Fetched {
    svids: Vec<ReceivedWit>,
}

/// Fetches, checks, proves and writes.
pub(super) async fn fetch_wit(args: WitArgs, global: &Global) -> Result<(), Failure> {
    let audience = args.prove.as_deref().map(ProofAudience::new).transpose().map_err(|error| Failure::of(&error))?;
    let socket = args.socket.find()?;
    let asked = super::asked::whole(args.spiffe_id, &socket).await?;
    let mut client = WorkloadClient::connect(&socket).await.map_err(|error| Failure::of(&error))?;
    let response = client.wit_svids(asked.as_ref()).await.map_err(|error| Failure::of(&error))?;
    if response.svids.is_empty() {
        return Err(Failure::new(Code::WitSvidInvalid, "the agent sent a message without SVIDs"));
    }
    let bundles = wit_bundles_of(client.wit_bundles().await.map_err(|error| Failure::of(&error))?)?;
    let now = crate::environment::now();
    let read = response.svids.into_iter().map(|message| ReceivedWit::read(message, &bundles, now));
    let mut svids = read.collect::<Result<Vec<_>, _>>()?;
    if let Some(audience) = &audience {
        // A request is made as one identity.
        svids.truncate(1);
        svids.iter_mut().try_for_each(|svid| svid.prove(audience, now))?;
    }
    if let Some(folder) = &args.write {
        write_all(&Credentials::open(folder)?, &svids)?;
    }
    global.output().result(&Fetched { svids }, |fetched| text(&fetched.svids))
}

fn write_all(credentials: &Credentials, svids: &[ReceivedWit]) -> Result<(), Failure> {
    for (index, svid) in svids.iter().enumerate() {
        credentials.secret(&KEY.name(index), svid.key.jwk().as_bytes())?;
        credentials.secret(&TOKEN.name(index), svid.token.as_str().as_bytes())?;
    }
    credentials.keep_first(svids.len(), &[KEY, TOKEN])
}

/// A token, or the header fields of a request, and nothing else: what scripts take. Who it is of goes before it when there are several.
fn text(svids: &[ReceivedWit]) -> String {
    match svids {
        [svid] => match &svid.proof {
            Some(proof) => format!("{WIT_HEADER}: {}\n{PROOF_HEADER}: {}", svid.token.as_str(), proof.token.as_str()),
            None => svid.token.as_str().to_owned(),
        },
        several => {
            let lines = several
                .iter()
                .map(|svid| format!("{} until {}\n{}", svid.spiffe_id, svid.expires_at, svid.token.as_str()));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}
