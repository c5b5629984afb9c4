//! `troth node`: the machines of the trust domain.

use clap::{Args, Subcommand};
use trust_domains::node::NodeState;
use trust_domains::wire::admin::NodeView;

use crate::admin::{AdminClient, ServerPlace, path_segment};
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{List, fields, table};

/// Shows, bans and evicts nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Lists nodes.
    #[command(after_help = "Example:\n  troth node list")]
    List(ListArgs),
    /// Shows one node.
    #[command(after_help = "Example:\n  troth node show web-1")]
    Show(NodeArgs),
    /// Stops serving a node at once; only `evict` lifts it.
    #[command(after_help = "Example:\n  troth node ban web-1")]
    Ban(NodeArgs),
    /// Forgets a node: it must join again with a new link, and a ban is lifted. Its entries stay.
    #[command(after_help = "Example:\n  troth node evict web-1")]
    Evict(NodeArgs),
}

/// Lists nodes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The most nodes to list.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    place: ServerPlace,
}

/// Names one node.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's name or SPIFFE ID.
    node: String,
    #[command(flatten)]
    place: ServerPlace,
}

/// Carries out a node command.
pub(crate) async fn run(command: NodeCommand, global: &Global) -> Result<(), Failure> {
    let output = global.output();
    match command {
        NodeCommand::List(args) => {
            let list: List<NodeView> = AdminClient::find(&args.place, global)?.pages("/v1/admin/nodes", &[], args.limit).await?;
            output.result(&list, |list| nodes_text(&list.items))
        }
        NodeCommand::Show(args) => {
            let client = AdminClient::find(&args.place, global)?;
            let node: NodeView = client.get(&format!("/v1/admin/nodes/{}", path_segment(&args.node))).await?;
            output.result(&node, node_text)
        }
        NodeCommand::Ban(args) => change(&args, "ban", global).await,
        NodeCommand::Evict(args) => change(&args, "evict", global).await,
    }
}

async fn change(args: &NodeArgs, verb: &str, global: &Global) -> Result<(), Failure> {
    let client = AdminClient::find(&args.place, global)?;
    let node: NodeView = client
        .post(&format!("/v1/admin/nodes/{}/{verb}", path_segment(&args.node)), &serde_json::json!({}))
        .await?;
    global.output().result(&node, |node| match verb {
        "ban" => format!(
            "banned {}; its streams are ended\nto lift the ban: troth node evict {}",
            node.spiffe_id, node.name
        ),
        _ => format!("evicted {}; to let it join again: troth token create --node-id {}", node.spiffe_id, node.name),
    })
}

fn state_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Active => "active",
        NodeState::Banned => "banned",
        NodeState::Expired => "expired",
    }
}

fn nodes_text(nodes: &[NodeView]) -> String {
    let rows: Vec<[String; 5]> = nodes
        .iter()
        .map(|node| {
            let connected = if node.connected { "yes" } else { "no" };
            [
                node.name.to_string(),
                state_word(node.state).to_owned(),
                connected.to_owned(),
                node.expires_at.to_string(),
                node.spiffe_id.to_string(),
            ]
        })
        .collect();
    table(["NAME", "STATE", "CONNECTED", "EXPIRES", "SPIFFE ID"], &rows)
}

fn node_text(node: &NodeView) -> String {
    fields(&[
        ("name", node.name.to_string()),
        ("SPIFFE ID", node.spiffe_id.to_string()),
        ("state", state_word(node.state).to_owned()),
        ("connected", if node.connected { "yes" } else { "no" }.to_owned()),
        ("attestation", node.attestation.clone()),
        ("selectors", node.selectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ("joined", node.joined_at.to_string()),
        ("expires", node.expires_at.to_string()),
        (
            "shows revision",
            node.acknowledged.map_or_else(|| "-".to_owned(), |revision| revision.to_string()),
        ),
    ])
}
