//! P7: the memory that processes hold when they have nothing to do.

use super::meter::resident_mb;
use super::node::{admin, create};
use super::report::{Figure, Value};
use super::workload_api::{Stream, first, own_uid};
use crate::admin::{draft, runtime};
use crate::domain::Domain;

/// Streams that are open at once.
const STREAMS: usize = 500;

/// P7.
pub(super) fn resident() -> Figure {
    let (mut domain, runtime) = (Domain::start("load.test"), runtime());
    let mut agent = domain.agent("n1");
    let (streams, idle) = runtime.block_on(async {
        create(&admin(&domain), vec![draft("/web".to_owned(), "n1", own_uid())]).await;
        drop(first(&agent.socket).await);
        let idle = resident_mb(agent.process());
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = Stream::open(&agent.socket).await.expect("a stream");
            stream.next().await.expect("an SVID");
            streams.push(stream);
        }
        (streams, idle)
    });
    let busy = resident_mb(agent.process());
    drop(streams);
    let server = resident_mb(domain.server());
    Figure {
        id: "P7",
        what: "resident memory",
        how: format!(
            "VmRSS, and of it RssAnon (the rest are pages of the program file, shared by all processes of it): an agent with one entry, then with {STREAMS} open streams, each on its own connection; its server"
        ),
        values: vec![
            Value::judged("agent idle", idle.all, "MB", 12.0),
            Value::plain("of it its own", idle.own, "MB"),
            Value::judged("with 500 streams", busy.all, "MB", 25.0),
            Value::plain("of it its own", busy.own, "MB"),
            Value::judged("server idle", server.all, "MB", 25.0),
            Value::plain("of it its own", server.own, "MB"),
        ],
    }
}
