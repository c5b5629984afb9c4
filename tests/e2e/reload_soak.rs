//! A thousand rotations of forty services by the built agent, with three of ten runs of their hooks failing.
//!
//! Each service is a thread here that serves TLS with what it read last, and reads its sink's files when it is told to, over HTTP. It is deaf three times of ten:
//! it answers 503 and reads nothing.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use platform::tls::provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tests::admin::{admin, create, draft, runtime};
use tests::domain::{Agent, Domain, path_text};
use tests::steady_load::{TlsClient, serial_in};
use tests::wait::{PATIENCE, within};
use trust_domains::class::CredentialClass;

const TRUST_DOMAIN: &str = "soak.test";

/// A certificate of 10 s is replaced after half of it, so that forty are eight rotations a second.
const SERVICES: usize = 40;
const LIFE_S: u64 = 10;

/// Of each service: a thousand of all.
const ROTATIONS: usize = 25;

/// They take 125 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(600);

/// Of ten runs so many fail.
const DEAF_OF_TEN: u64 = 3;

/// A caller that says nothing is let go after this.
const SILENCE: Duration = Duration::from_secs(10);

/// What a service came to.
#[derive(Default)]
struct Noted {
    /// What it serves with.
    serving: Option<Arc<ServerConfig>>,
    /// How often it was told to read, and how often it was deaf.
    told: u64,
    deaf: u64,
    /// The certificates that it served with.
    serials: BTreeSet<String>,
    /// How long each of them had lain in the sink.
    late: Vec<Duration>,
}

/// A program that knows its files and nothing of SPIFFE.
struct Service {
    sink: PathBuf,
    address: SocketAddr,
    noted: Mutex<Noted>,
    chance: RandomState,
}

impl Service {
    /// Starts it on a port of its own; it serves once it has read.
    fn start(sink: PathBuf) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let service = Arc::new(Self {
            sink,
            address: listener.local_addr().expect("its address"),
            noted: Mutex::default(),
            chance: RandomState::new(),
        });
        let serving = Arc::clone(&service);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        service
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handshake, and whatever comes until the caller has enough.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(SILENCE)).ok()?;
        let config = self.noted().serving.clone()?;
        let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
        while tls.read(&mut [0; 64]).ok()? > 0 {}
        Some(())
    }

    /// Reads its files, three times of ten not; returns whether it did.
    fn is_told(&self) -> bool {
        let mut noted = self.noted();
        noted.told += 1;
        if self.chance.hash_one(noted.told) % 10 < DEAF_OF_TEN {
            noted.deaf += 1;
            return false;
        }
        match read(&self.sink) {
            Some((config, serial, late)) => {
                noted.serving = Some(config);
                if noted.serials.insert(serial) {
                    noted.late.push(late);
                }
                true
            }
            None => false,
        }
    }
}

/// Reads one generation of a sink: what to serve with, its serial, and for how long it has lain there.
fn read(sink: &Path) -> Option<(Arc<ServerConfig>, String, Duration)> {
    let files = sink.join("..data").canonicalize().ok()?;
    let lain = SystemTime::now().duration_since(sink.join("..data").symlink_metadata().ok()?.modified().ok()?);
    let serial = serial_in(&files.join("svid.pem"))?;
    let chain = CertificateDer::pem_file_iter(files.join("svid.pem")).ok()?.collect::<Result<_, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_file(files.join("svid_key.pem")).ok()?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .ok()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .ok()?;
    Some((Arc::new(config), serial, lain.unwrap_or_default()))
}

/// Starts where services are told to read: `/NUMBER` of each.
fn telling(services: Vec<Arc<Service>>, listener: TcpListener) {
    let services = Arc::new(services);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let services = Arc::clone(&services);
            std::thread::spawn(move || answer(&services, stream));
        }
    });
}

fn answer(services: &[Arc<Service>], stream: TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(SILENCE)).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let request = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let number: usize = request.split(' ').nth(1)?.strip_prefix('/')?.parse().ok()?;
    let status = if services.get(number)?.is_told() {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let mut stream = stream;
    stream
        .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        .ok()
}

/// Starts the trust domain, with a sink and an entry for each service.
fn started() -> (Domain, Agent, Vec<Arc<Service>>) {
    let domain = Domain::start(TRUST_DOMAIN);
    let telling_at = TcpListener::bind("127.0.0.1:0").expect("a port");
    let told_at = telling_at.local_addr().expect("its address");
    let services: Vec<_> = (0..SERVICES)
        .map(|number| Service::start(domain.folder().join(format!("svid-{number}"))))
        .collect();
    telling(services.clone(), telling_at);
    let sinks = services.iter().enumerate().map(|(number, service)| {
        format!(
            "[[sink]]\nspiffe_id = \"spiffe://{TRUST_DOMAIN}/service/{number}\"\ndirectory = \"{}\"\n\
             [[sink.reload]]\nhttp = {{ url = \"http://{told_at}/{number}\" }}\nprobe = {{ address = \"{}\" }}\n",
            path_text(&service.sink),
            service.address
        )
    });
    let config = domain.folder().join("agent.toml");
    std::fs::write(&config, sinks.collect::<String>()).expect("the agent's configuration");
    let agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    let drafts = (0..SERVICES).map(|number| {
        let mut draft = draft(format!("/service/{number}"), "n1", nix::unistd::getuid().as_raw());
        draft.class = Some(CredentialClass::Fast);
        draft.x509_ttl_s = Some(LIFE_S);
        draft
    });
    let made = runtime().block_on(create(&admin(&domain, PATIENCE), drafts.collect()));
    let _ = made.expect("entries");
    (domain, agent, services)
}

/// Whether a service presents what its sink holds now, as its clients see it.
fn presents_the_newest(domain: &Domain, number: usize, service: &Service) -> bool {
    let client = TlsClient::new(
        &service.address.to_string(),
        &format!("spiffe://{}/service/{number}", domain.name),
        &service.sink.join("bundle.pem"),
    );
    let newest = serial_in(&service.sink.join("svid.pem"));
    newest.is_some() && client.connect().ok().map(|connection| connection.presented) == newest
}

/// Run by hand, for minutes: see tests/soak.
#[test]
#[ignore = "takes minutes: tests/soak/reloads"]
fn after_a_thousand_rotations_with_three_of_ten_hook_runs_failing_every_service_presents_its_newest_certificate() {
    let (domain, mut agent, services) = started();
    let began = Instant::now();
    let served = |service: &Arc<Service>| service.noted().serials.len();
    let done = within(LIMIT, || services.iter().all(|service| served(service) > ROTATIONS).then_some(()));
    assert!(done.is_some(), "{:?} in {LIMIT:?}", services.iter().map(served).collect::<Vec<_>>());
    let took = began.elapsed();
    for (number, service) in services.iter().enumerate() {
        let newest = within(PATIENCE, || presents_the_newest(&domain, number, service).then_some(()));
        assert!(newest.is_some(), "service {number}: {}", agent.process().log());
    }
    let sum = |of: fn(&Noted) -> u64| services.iter().map(|service| of(&service.noted())).sum::<u64>();
    let (told, deaf, presented) = (sum(|noted| noted.told), sum(|noted| noted.deaf), sum(|noted| noted.serials.len() as u64));
    assert!(deaf * 10 > told * 2, "{deaf} of {told} runs failed: it was not tried");
    let mut late: Vec<_> = services.iter().flat_map(|service| service.noted().late.clone()).collect();
    late.sort();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!(
        "{} rotations of {SERVICES} services in {took:.0?}: {told} hook runs, {deaf} of them failed ({} %); from the swap of the files to the service that has read \
         them {:.2?} in the middle, {:.2?} for 99 of 100, {:.2?} at most; each presented its newest certificate at the end",
        presented - SERVICES as u64,
        deaf * 100 / told,
        at(50),
        at(99),
        at(100)
    );
}
