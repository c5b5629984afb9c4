use std::time::{Duration, Instant};
use ca_server::config::{RawServerConfig, ServerConfig};
use ca_server::init::{InitParams, RecoveryChoice, init};
use ca_server::server::Server;
use platform::clock::SystemClock;
use platform::sockets::SocketPath;
use platform::unix_http::UnixHttpClient;
use tokio_util::sync::CancellationToken;
use trust_domains::wire::admin::{CreateEntries, EntryDraft};

fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::main]
async fn main() {
    let n: usize = std::env::args().nth(2).map_or(100_000, |n| n.parse().unwrap());
    let dir = std::env::args().nth(1).unwrap();
    let data = format!("{dir}/server");
    let clock = SystemClock::shared();
    let fresh = !std::path::Path::new(&data).exists();
    if fresh {
        init(InitParams { trust_domain: "example.org".parse().unwrap(), data_dir: data.clone().into(), key_file: None, recovery: RecoveryChoice::None, clock: clock.clone() }).await.unwrap();
    }
    let raw = RawServerConfig { data_dir: Some(data), listen: Some("127.0.0.1:0".into()), telemetry_listen: Some("off".into()), ..RawServerConfig::default() };
    let config = ServerConfig::new(raw, &Default::default()).unwrap();
    let shutdown = CancellationToken::new();
    let before = rss();
    let t = Instant::now();
    let server = Server::start(config, clock, shutdown.clone()).await.unwrap();
    println!("start {:?} rss {} -> {} KiB", t.elapsed(), before, rss());
    let admin = UnixHttpClient::new(SocketPath::new(server.admin_socket()).unwrap(), Duration::from_secs(120));
    if fresh {
        let entries = (0..n).map(|i| EntryDraft { spiffe_id: format!("/workloads/team-{}/service-{i}", i % 100), parent_id: Some(format!("spiffe://example.org/troth/agent/join_token/node-{:04}", i % 1000)), selectors: vec![format!("unix:uid:{}", 1000 + i % 500), "unix:path:/usr/bin/service".into()], ..EntryDraft::default() }).collect();
        let t = Instant::now();
        let request = CreateEntries { entries };
        let created: serde::de::IgnoredAny = admin.post("/v1/admin/entries", &request).await.unwrap();
        let _ = created;
        println!("create {n} {:?} rss {} KiB", t.elapsed(), rss());
    }
    shutdown.cancel();
    server.ended().await;
}
