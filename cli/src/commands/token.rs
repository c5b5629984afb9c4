//! `troth token`: join links for new nodes.

use clap::{Args, Subcommand};
use serde::Serialize;
use trust_domains::duration::TextDuration;
use trust_domains::node::NodeName;
use trust_domains::wire::admin::{TokenCreated, TokenRequest, TokenView};

use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{List, fields, table};

/// Lets new nodes join.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Makes a join link for one node: it is a secret, works once and ends soon.
    Create(CreateArgs),
    /// Lists join tokens, without their text.
    List(ListArgs),
    /// Deletes a join token.
    Delete(DeleteArgs),
}

/// Makes a join link.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth token create --node-id web-1 --ttl 30m")]
pub(crate) struct CreateArgs {
    /// How long the link may be used: 10s to 7d.
    #[arg(long, default_value = "10m", value_name = "D")]
    ttl: TextDuration,
    /// The name that the node will have; a random one otherwise.
    #[arg(long, value_name = "NAME")]
    node_id: Option<NodeName>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Lists join tokens.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth token list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    place: ServerPlace,
}

/// Deletes a join token.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth token delete 5f3a9c")]
pub(crate) struct DeleteArgs {
    /// The token's id, as `troth token list` shows it.
    id: String,
    #[command(flatten)]
    place: ServerPlace,
}

#[derive(Serialize)]
struct Deleted {
    id: String,
}

/// Carries out a token command.
pub(crate) async fn run(command: TokenCommand, global: &Global) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(args, global).await,
        TokenCommand::List(args) => {
            let items: Vec<TokenView> = AdminClient::find(&args.place, global)?.pages("/v1/admin/tokens", &[], None).await?.items;
            global.output().result(&List { items, next: None }, |list| tokens_text(&list.items))
        }
        TokenCommand::Delete(args) => {
            let () = AdminClient::find(&args.place, global)?
                .delete(&format!("/v1/admin/tokens/{}", path_segment(&args.id)))
                .await?;
            global.output().result(&Deleted { id: args.id }, |deleted| format!("deleted {}", deleted.id))
        }
    }
}

async fn create(args: CreateArgs, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let request = TokenRequest {
        ttl_s: args.ttl.0.as_secs(),
        node_id: args.node_id,
    };
    let created: TokenCreated = client.post("/v1/admin/tokens", &request).await?;
    global.output().note(&format!(
        "the link leads to {} (from {}); it is a secret, works for one node and ends {}",
        created.server, created.server_from, created.expires_at
    ));
    global.output().result(&created, created_text)
}

fn created_text(created: &TokenCreated) -> String {
    let link = created.link.to_link();
    let mut text = fields(&[
        ("id", created.id.clone()),
        ("node", created.node_id.to_string()),
        ("expires", created.expires_at.to_string()),
        ("link", link.clone()),
    ]);
    text.push_str(&format!("\non the node, run:\n  echo '{}' | troth agent run --join -\n", link.as_str()));
    text
}

fn tokens_text(tokens: &[TokenView]) -> String {
    let rows: Vec<[String; 4]> = tokens
        .iter()
        .map(|token| {
            [
                token.id.clone(),
                token.node_id.to_string(),
                token.expires_at.to_string(),
                if token.used { "used" } else { "open" }.to_owned(),
            ]
        })
        .collect();
    table(["ID", "NODE", "EXPIRES", "STATE"], &rows)
}
