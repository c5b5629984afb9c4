//! The limits of the APIs, each with its reason. docs/operations.md lists them for operators.

use std::time::Duration;

use trust_domains::bundle::MAX_BUNDLE_BYTES;

/// The longest body of the node API: a batch of 500 keys is about 115 KiB, and agents of later versions may say a little more of each.
pub const NODE_BODY: usize = 256 * 1024;

/// The longest body of revocation lists that a node hands back: the largest set that may be configured, in base64.
pub const HANDED_BACK_BODY: usize = 12 * 1024 * 1024;

/// The longest body of the admin API's bulk calls: 200,000 entries at the 650 bytes of a generous one. Only the local operator gets this far.
pub const BULK_BODY: usize = 128 * 1024 * 1024;

/// The most entries of one bulk call: twice the file of the design's P8.
pub const BULK_ENTRIES: usize = 200_000;

/// The longest body that sets a bundle: a document of 1 MiB as JSON text, in which a quote or a line break takes two bytes.
pub const BUNDLE_BODY: usize = 2 * MAX_BUNDLE_BYTES + 64 * 1024;

/// The most octets of the bundles of all partners together: 5,000 usual ones. A node may need all of them, in one line of its stream, of which an agent
/// reads 16 MiB.
pub const PARTNER_BUNDLES: usize = 8 * 1024 * 1024;

/// The most relationships with partners: as many bundles as a Bundle Map of ours may have. Each is fetched by itself; a thousand cost a few percent of one core.
pub const RELATIONSHIPS: usize = trust_domains::federation::MAX_MAPPED_BUNDLES;

/// Fetches from partners at once: each takes up to 2.3 MiB while its document comes.
pub const FETCHES: usize = 64;

/// Of these for partners whose last fetch failed, or from whom none succeeded yet: however many of them take all the time that a fetch may have, the others are
/// fetched on time.
pub const FETCHES_OF_UNPROVEN: usize = 16;

/// The most octets of the revocation lists of all partners together. A node may need all of them, beside the bundles, in one line of its stream, of which an
/// agent reads 16 MiB; a workload's message has room for 2 MiB of both.
pub const PARTNER_CRLS: usize = 2 * 1024 * 1024;

/// Bulk calls at once: one of the largest takes some hundred MiB while it is checked and answered.
pub const BULK_CALLS: usize = 2;

/// The most entries of one commit. A batch is atomic, so a reader sees all of it or none, and small enough that other commits are not held up: about
/// 400 KiB, 20 ms of disk.
pub const ENTRIES_PER_COMMIT: usize = 1_000;

/// Commits of one bulk call on their way at once: the store syncs them as a group, and the registry stays within what the watch remembers.
pub const COMMITS_IN_FLIGHT: usize = 4;

/// Calls of the node API at once, sync streams not counted: with whole batches in each, 64 MiB of bodies and 4 s of signing wait here at most; whoever is
/// refused comes again with a jittered delay.
pub const NODE_CALLS: usize = 512;

/// Calls without a node's certificate at once: each costs two signature checks before it is believed, so strangers get a part of the machine only.
pub const STRANGERS_CALLS: usize = 64;

/// Calls of one node at once: an agent sends one batch after the other, and acknowledges and renews beside it.
pub const CALLS_PER_NODE: usize = 16;

/// Calls of the admin API at once: people and their scripts. Calls that wait for nodes count too.
pub const ADMIN_CALLS: usize = 256;

/// Connections to the node API at once: twice the 5,000 agents of the design's P9, since a node that renews has two for a moment. About 21 KB each when idle.
pub const NODE_CONNECTIONS: usize = 10_000;

/// Connections to the admin socket at once: as many as calls, and some that are idle.
pub const ADMIN_CONNECTIONS: usize = 300;

/// How long a stream may take for one message; one that is slower ends, and the agent starts again with what it then needs.
pub const SLOW_STREAM: Duration = Duration::from_secs(30);

/// How long a stream that was ended may take to deliver its last message before the connection is cut.
pub const STREAM_END_GRACE: Duration = Duration::from_secs(1);

/// The most entries of one message of a stream: about 350 KiB of JSON.
pub const ENTRIES_PER_MESSAGE: usize = 1_000;

/// The longest wait for nodes to show a commit.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The most nodes that one wait names: those of the largest fleet in the design.
pub const NODES_PER_WAIT: usize = 10_000;
