//! `troth svid fetch bundles`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sidecar::source::WorkloadClient;
use trust_domains::problem::{Code, Coded as _};
use trust_domains::{TrustBundle, TrustDomain};

use super::super::credentials::Credentials;
use super::super::received_wit::wit_bundles_of;
use super::super::socket::SocketArgs;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::table;

/// Fetches bundles.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  troth svid fetch bundles --write ./bundles")]
pub(crate) struct BundlesArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Also writes TRUST-DOMAIN.pem, TRUST-DOMAIN.jwks.json and, where the WIT profile is on, TRUST-DOMAIN.wit.jwks.json to this directory.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

#[derive(Serialize)]
struct FetchedBundles {
    bundles: Vec<FetchedBundle>,
}

#[derive(Serialize)]
struct FetchedBundle {
    trust_domain: TrustDomain,
    x509_authorities: usize,
    jwt_authorities: usize,
    /// Nothing where the WIT profile is off.
    wit_authorities: Option<usize>,
}

/// Fetches the bundles of every kind.
pub(super) async fn fetch_bundles(args: &BundlesArgs, global: &Global) -> Result<(), Failure> {
    let mut client = WorkloadClient::connect(&args.socket.find()?).await.map_err(|error| Failure::of(&error))?;
    let mut bundles = client.bundles().await.map_err(|error| Failure::of(&error))?;
    for (trust_domain, keys) in client.jwt_bundles().await.map_err(|error| Failure::of(&error))? {
        let bundle = bundles.remove(&trust_domain).unwrap_or_else(|| TrustBundle::new(trust_domain.clone()));
        bundles.insert(
            trust_domain,
            keys.jwt_authorities().iter().cloned().fold(bundle, TrustBundle::with_jwt_authority),
        );
    }
    let wit_keys = match client.wit_bundles().await {
        Ok(response) => Some(wit_bundles_of(response)?),
        Err(error) if error.code() == Code::NotImplemented => None,
        Err(error) => return Err(Failure::of(&error)),
    };
    if let Some(folder) = &args.write {
        let credentials = Credentials::open(folder)?;
        for (trust_domain, bundle) in wit_keys.iter().flatten() {
            credentials.public(&format!("{trust_domain}.wit.jwks.json"), bundle.to_wit_jwks().as_bytes())?;
        }
        for (trust_domain, bundle) in &bundles {
            credentials.public(&format!("{trust_domain}.pem"), bundle.to_pem().as_bytes())?;
            credentials.public(&format!("{trust_domain}.jwks.json"), bundle.to_jwks().as_bytes())?;
        }
    }
    let bundles = bundles.into_iter().map(|(trust_domain, bundle)| FetchedBundle {
        wit_authorities: wit_keys
            .as_ref()
            .map(|all| all.get(&trust_domain).map_or(0, |bundle| bundle.wit_authorities().len())),
        trust_domain,
        x509_authorities: bundle.x509_authorities().len(),
        jwt_authorities: bundle.jwt_authorities().len(),
    });
    global.output().result(&FetchedBundles { bundles: bundles.collect() }, bundles_text)
}

fn bundles_text(fetched: &FetchedBundles) -> String {
    let rows: Vec<[String; 4]> = fetched
        .bundles
        .iter()
        .map(|item| {
            [
                item.trust_domain.to_string(),
                item.x509_authorities.to_string(),
                item.jwt_authorities.to_string(),
                item.wit_authorities.map_or_else(|| "off".to_owned(), |count| count.to_string()),
            ]
        })
        .collect();
    table(["TRUST DOMAIN", "X.509 AUTHORITIES", "JWT KEYS", "WIT KEYS"], &rows)
}
