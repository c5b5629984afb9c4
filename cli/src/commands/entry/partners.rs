//! Partners that an entry names: what is missing of them is said, and nothing is refused.

use trust_domains::problem::Code;
use trust_domains::wire::federation::RelationshipView;
use trust_domains::{SpiffeBundle, TrustDomain};

use crate::admin::AdminClient;
use crate::args::Global;
use crate::commands::bundle::bundle_path;
use crate::commands::federation;
use crate::failure::Failure;

/// Warns when the server holds no bundle of a partner: nothing is refused, and nothing of it is trusted yet.
pub(super) async fn warn_without_bundle(client: &AdminClient, partner: &TrustDomain, global: &Global) -> Result<(), Failure> {
    let remedy = match client.get::<SpiffeBundle>(&bundle_path(partner)).await {
        Ok(_) => return Ok(()),
        Err(failure) if failure.code() == Code::BundleNotFound => remedy(client, partner).await?,
        Err(failure) => return Err(failure),
    };
    global.output().warn(&format!("there is no bundle of {partner} yet: {remedy}"));
    Ok(())
}

/// What to do for the bundle of a partner: there may be a relationship that has not fetched one yet.
async fn remedy(client: &AdminClient, partner: &TrustDomain) -> Result<String, Failure> {
    match client.get::<RelationshipView>(&federation::path(partner)).await {
        Ok(relationship) => Ok(format!("its status is {}: troth federation show {partner}", relationship.fetching.status)),
        Err(failure) if failure.code() == Code::FederationNotFound => {
            Ok(format!("troth federation accept LINK, or troth bundle set --trust-domain {partner} FILE"))
        }
        Err(failure) => Err(failure),
    }
}
