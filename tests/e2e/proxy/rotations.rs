//! Ten rotations at both ends under steady load.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tests::wait::PATIENCE;

use super::World;
use super::program::echo;

/// Certificates of 10 s are replaced at half of it.
const LIFE: &str = "10s";
const ROTATIONS: usize = 10;

/// Ten take 50 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(180);

/// A connection begins that often.
const EVERY: Duration = Duration::from_millis(50);

/// Says something through both proxies on a new connection; the program adds whom it is told that it talks to.
fn ask(address: SocketAddr, line: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[test]
fn plain_programs_talk_through_ten_rotations_of_both_ends_with_no_failed_request() {
    let world = World::start("rotations.test", LIFE);
    let program = echo(true).to_string();
    let inbound = world.inbound(&program, &["--allow", "/client", "--proxy-protocol"]);
    let outbound = world.outbound(&inbound.listen, &["--allow", "/server"]);
    let client = world.id("/client");
    let (mut presented, mut asked) = (BTreeSet::new(), 0_u32);
    let began = Instant::now();
    while presented.len() <= ROTATIONS || inbound.serials().len() <= ROTATIONS {
        assert!(began.elapsed() < LIMIT, "{} and {} rotations", presented.len(), inbound.serials().len());
        let answer = ask(outbound.address(), &format!("request {asked}")).expect("no request fails");
        let serial = answer
            .strip_prefix(&format!("request {asked} {client} "))
            .expect("its own line, with who it is");
        presented.insert(serial.to_owned());
        asked += 1;
        std::thread::sleep(EVERY);
    }
    // Each certificate that a proxy was given was presented, and no other.
    let given = outbound.serials();
    assert!(presented.is_subset(&given), "{presented:?} {given:?}");
    assert!(presented.len() + 1 >= given.len(), "{presented:?} {given:?}");
    let of_server: BTreeSet<_> = outbound
        .records("closed")
        .iter()
        .filter_map(|record| record["peer_serial"].as_str().map(str::to_owned))
        .collect();
    assert!(of_server.is_subset(&inbound.serials()) && of_server.len() >= ROTATIONS, "{of_server:?}");
    let closed = inbound.records("closed");
    assert!(closed.len() + 1 >= asked as usize, "{} records of {asked}", closed.len());
    assert!(
        closed
            .iter()
            .all(|record| record["peer_id"] == client.as_str() && record["received"].as_u64() > Some(0))
    );
}
