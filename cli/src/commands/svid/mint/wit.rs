//! `troth svid mint wit`: the key is made here, and only its public half and a proof of it leave this process.

use std::path::{Path, PathBuf};

use agent::node::KeyPair;
use agent::wit_svids::PrivateJwk;
use clap::Args;
use serde::Serialize;
use trust_domains::duration::TextDuration;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{MintWitRequest, MintedToken, WitChallenge, mint_wit_possession_message};
use trust_domains::wire::encoding::Base64;
use zeroize::Zeroizing;

use super::super::credentials::Credentials;
use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::fields;

/// Mints a WIT-SVID.
#[derive(Debug, Args)]
pub(crate) struct WitArgs {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    #[arg(long, value_name = "ID")]
    spiffe_id: String,
    /// Its life, from 10s to that of the server's longest class [default: 1h].
    #[arg(long, value_name = "D")]
    ttl: Option<TextDuration>,
    /// Writes wit.0.token and wit.0.key.json (0600 both) to this directory instead of printing the key.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(flatten)]
    place: ServerPlace,
}

/// The file of the private key, and that of the token.
const KEY_FILE: &str = "wit.0.key.json";
const TOKEN_FILE: &str = "wit.0.token";

/// A token, and the key without which it is worth nothing.
#[derive(Serialize)]
struct Minted {
    #[serde(flatten)]
    token: MintedToken,
    /// The text of the private key as a JWK; absent where it was written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Zeroizing<String>>,
}

/// Carries out the command.
pub(super) async fn mint(args: WitArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let WitChallenge { challenge, .. } = client.post("/v1/admin/mint-wit/challenge", &()).await?;
    // Asked for, a token is in the journal for good: there must be a place for it first.
    let credentials = args.write.as_deref().map(place_for).transpose()?;
    let key = KeyPair::generate().map_err(|error| Failure::of(&error))?;
    let request = request(&args, &key, challenge)?;
    let token: MintedToken = client.post("/v1/admin/mint-wit", &request).await?;
    let private = PrivateJwk::of(&key).map_err(|error| Failure::of(&error))?;
    let (Some(folder), Some(credentials)) = (&args.write, credentials) else {
        let key = Some(Zeroizing::new(private.expose().to_owned()));
        return global.output().result(&Minted { token, key }, text);
    };
    credentials.secret(KEY_FILE, private.expose().as_bytes())?;
    credentials.secret(TOKEN_FILE, token.token.as_str().as_bytes())?;
    global.output().result(&Minted { token, key: None }, |minted| written_text(minted, folder))
}

fn request(args: &WitArgs, key: &KeyPair, challenge: Base64) -> Result<MintWitRequest, Failure> {
    let fresh = challenge.0.as_slice().try_into();
    let fresh = fresh.map_err(|_| {
        Failure::new(
            Code::Internal,
            "the server's challenge has another length; run the same version of troth on both sides",
        )
    })?;
    let message = mint_wit_possession_message(fresh, key.public().spki(), &args.spiffe_id);
    Ok(MintWitRequest {
        spiffe_id: args.spiffe_id.clone(),
        public_key: Base64(key.public().spki().to_vec()),
        challenge,
        proof: Base64(key.sign(&message).map_err(|error| Failure::of(&error))?),
        ttl_s: args.ttl.as_ref().map(|ttl| ttl.0.as_secs()),
    })
}

fn place_for(folder: &Path) -> Result<Credentials, Failure> {
    let credentials = Credentials::open(folder)?;
    credentials.can_take(&[KEY_FILE, TOKEN_FILE])?;
    Ok(credentials)
}

/// The token and the key, a line each: they go into two variables.
fn text(minted: &Minted) -> String {
    let key = minted.key.as_ref().map_or("", |key| key.as_str());
    format!("{}\n{key}\n", minted.token.token.as_str())
}

fn written_text(minted: &Minted, folder: &Path) -> String {
    fields(&[
        ("SPIFFE ID", minted.token.spiffe_id.to_string()),
        ("expires at", minted.token.expires_at.to_string()),
        ("written to", format!("{}: {TOKEN_FILE}, {KEY_FILE}", folder.display())),
    ])
}
