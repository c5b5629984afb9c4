//! `troth svid mint`: tokens for an operator.

mod wit;

use clap::{Args, Subcommand};
use trust_domains::duration::TextDuration;
use trust_domains::wire::admin::{MintJwtRequest, MintedToken};

use crate::admin::{AdminClient, ServerPlace};
use crate::args::Global;
use crate::failure::Failure;

/// Mints a token as an operator.
#[derive(Debug, Subcommand)]
pub(crate) enum MintCommand {
    /// Mints a JWT-SVID and prints it: a bearer secret. The journal names who asked.
    #[command(after_help = "Example:\n  troth svid mint jwt --spiffe-id /backup --audience https://storage.example.org")]
    Jwt(JwtArgs),
    /// Mints a WIT-SVID for a new key and prints both: the token says who, the key proves it. The journal names who asked.
    #[command(after_help = "Examples:\n  troth svid mint wit --spiffe-id /backup\n  troth svid mint wit --spiffe-id /backup --ttl 15m --write ./credentials")]
    Wit(wit::WitArgs),
}

/// Mints a JWT-SVID.
#[derive(Debug, Args)]
pub(crate) struct JwtArgs {
    /// The identity: a SPIFFE ID, or its path. No entry is needed.
    #[arg(long, value_name = "ID")]
    spiffe_id: String,
    /// Whom the token is for; repeat it for more, though one is the rule.
    #[arg(long = "audience", value_name = "A", required = true)]
    audience: Vec<String>,
    /// Its life, from 10s to that of the server's longest class [default: 5m].
    #[arg(long, value_name = "D")]
    ttl: Option<TextDuration>,
    /// Says from when on the token is good (nbf).
    #[arg(long)]
    not_before: bool,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out a mint command.
pub(crate) async fn mint(command: MintCommand, global: &Global) -> Result<(), Failure> {
    match command {
        MintCommand::Jwt(args) => jwt(args, global).await,
        MintCommand::Wit(args) => wit::mint(args, global).await,
    }
}

async fn jwt(args: JwtArgs, global: &Global) -> Result<(), Failure> {
    let request = MintJwtRequest {
        spiffe_id: args.spiffe_id,
        audience: args.audience,
        ttl_s: args.ttl.map(|ttl| ttl.0.as_secs()),
        not_before: args.not_before,
    };
    let client = AdminClient::find(&args.place, global)?;
    let minted: MintedToken = client.post("/v1/admin/mint-jwt", &request).await?;
    // The token alone: it goes into a variable or a pipe.
    global.output().result(&minted, |minted| format!("{}\n", minted.token.as_str()))
}
