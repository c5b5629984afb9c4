//! `troth svid mint wit`: the key is made here, and only its public half and a proof of it leave this process.

use std::path::{Path, PathBuf};

use agent::node::KeyPair;
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use clap::Args;
use serde::Serialize;
use trust_domains::SpiffeId;
use trust_domains::duration::TextDuration;
use trust_domains::jwk::PrivateEcJwk;
use trust_domains::problem::Code;
use trust_domains::wire::admin::{MintWitRequest, MintedToken, WitChallenge, mint_wit_possession_message};
use trust_domains::wire::encoding::Base64;
use zeroize::Zeroizing;

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
    /// Writes wit.token and wit.key.json (0600 both) to this directory instead of printing the key.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    #[command(flatten)]
    place: ServerPlace,
}

/// A token, and the key without which it is worth nothing.
#[derive(Serialize)]
struct Minted {
    #[serde(flatten)]
    token: MintedToken,
    /// The private key as a JWK; absent where it was written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PrivateEcJwk>,
}

/// Carries out the command.
pub(super) async fn mint(args: WitArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let WitChallenge { challenge, .. } = client.post("/v1/admin/mint-wit/challenge", &()).await?;
    let key = KeyPair::generate().map_err(|error| Failure::of(&error))?;
    let request = request(&args, &key, challenge)?;
    let token: MintedToken = client.post("/v1/admin/mint-wit", &request).await?;
    let private = private_jwk(&key)?;
    let Some(folder) = &args.write else {
        let minted = Minted { token, key: Some(private) };
        return global.output().result(&minted, text);
    };
    written(folder, &token, &private)?;
    let files = folder.display().to_string();
    global
        .output()
        .result(&Minted { token, key: None }, |minted| written_text(&minted.token.spiffe_id, minted, &files))
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

fn private_jwk(key: &KeyPair) -> Result<PrivateEcJwk, Failure> {
    let failed = || Failure::new(Code::Internal, "the key cannot be written as a JWK");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.pkcs8()).map_err(|_| failed())?;
    let secret = pair.private_key().as_be_bytes().map_err(|_| failed())?;
    let octets = secret.as_ref().try_into().map(Zeroizing::new).map_err(|_| failed())?;
    Ok(PrivateEcJwk::es256(key.public(), &octets))
}

fn written(folder: &Path, token: &MintedToken, key: &PrivateEcJwk) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::from)?;
    let write = |name: &str, octets: &[u8]| platform::files::write_durable(&folder.join(name), octets, 0o600).map_err(|error| Failure::of(&error));
    write("wit.key.json", key.to_json().as_bytes())?;
    write("wit.token", token.token.as_str().as_bytes())
}

/// The token and the key, a line each: they go into two variables.
fn text(minted: &Minted) -> String {
    let key = minted.key.as_ref().map(PrivateEcJwk::to_json).unwrap_or_default();
    format!("{}\n{}\n", minted.token.token.as_str(), key.as_str())
}

fn written_text(spiffe_id: &SpiffeId, minted: &Minted, files: &str) -> String {
    fields(&[
        ("SPIFFE ID", spiffe_id.to_string()),
        ("expires at", minted.token.expires_at.to_string()),
        ("written to", format!("{files}: wit.token, wit.key.json")),
    ])
}
