//! `troth quickstart --federated`: a second trust domain beside the first, and workloads of both that call each other.
//!
//! The order shows what makes the difference: nothing federates and both calls are refused; one side accepts the other's link and mutual TLS is refused still,
//! since trust goes one way; the other side accepts too, and both calls are answered.

mod call;
mod workload;

use trust_domains::wire::admin::EntryView;
use trust_domains::wire::federation::{Accepted, Invite};
use trust_domains::x509::VerifyError;
use trust_domains::{SpiffeId, TrustDomain};

use self::call::{Outcome, call};
use self::workload::Workload;
use super::directory::Directory;
use super::events::{Called, Show};
use super::parts::{Parts, call as run};
use super::setup::{self, Reach};
use super::watch;
use crate::failure::{Failure, usage};

/// The identity that each side's workload has.
const DEMO: &str = "/demo";

/// One side: where it is, and whose it is.
struct Side<'a> {
    directory: &'a Directory,
    trust_domain: TrustDomain,
}

/// Brings the partner up beside the trust domain that runs, lets both federate, and watches rotations with calls after each.
pub(super) async fn demonstrate(directory: &Directory, trust_domain: TrustDomain, rotations: u64, parts: &mut Parts, show: &mut Show) -> Result<(), Failure> {
    let partner_directory = directory.partner()?;
    let _held = partner_directory.hold()?;
    let name: TrustDomain = format!("partner.{trust_domain}").parse().map_err(|error| Failure::of(&error))?;
    let name = setup::bring_up(&partner_directory, name, Reach::Federated, parts, show).await?;
    let ours = Side { directory, trust_domain };
    let partner = Side {
        directory: &partner_directory,
        trust_domain: name,
    };
    federate(&ours, &partner, show).await?;
    let each = async |show: &mut Show| both_ways(&ours, &partner, Expected::Answered, show).await;
    watch::rotations(directory, &ours.trust_domain, rotations, parts, show, each).await
}

/// From no trust over one way to both ways; each state is seen by calls.
async fn federate(ours: &Side<'_>, partner: &Side<'_>, show: &mut Show) -> Result<(), Failure> {
    // An earlier run may have left them federated.
    ours.believes(None).await?;
    partner.believes(None).await?;
    show.step("no entry federates yet, so nobody believes anybody of the other trust domain:");
    both_ways(ours, partner, Expected::Refused, show).await?;

    ours.accept(partner, show).await?;
    ours.believes(Some(partner)).await?;
    show.step("that is one way, and mutual TLS needs both:");
    both_ways(ours, partner, Expected::Refused, show).await?;

    partner.accept(ours, show).await?;
    partner.believes(Some(ours)).await?;
    show.step("now both ways:");
    both_ways(ours, partner, Expected::Answered, show).await
}

impl Side<'_> {
    /// Accepts the link that the other side prints, as its operators would.
    async fn accept(&self, other: &Self, show: &mut Show) -> Result<(), Failure> {
        let theirs: Invite = run(&["federation", "invite", "--data-dir", &other.data()]).await?;
        let link = theirs.link.to_string();
        // The port of the endpoint may be another than in an earlier run.
        let accept = ["federation", "accept", &link, "--yes", "--replace", "--data-dir", &self.data()];
        let accepted: Accepted = run(&accept).await?;
        let roots: Vec<String> = accepted.bundle.roots.iter().map(|root| root.sha256.to_string()).collect();
        show.step(&format!(
            "{} accepted the link of {} (troth federation invite | troth federation accept -): it believes root {}",
            self.trust_domain,
            other.trust_domain,
            roots.join(", ")
        ));
        Ok(())
    }

    /// Gives the demo's entry the bundle of the other side, or of nobody, and waits until its workload has it.
    async fn believes(&self, other: Option<&Self>) -> Result<(), Failure> {
        let data = self.data();
        let mut update = vec!["entry", "update", DEMO, "--wait", "--data-dir", &data];
        match other {
            Some(other) => update.extend(["--federates-with", other.trust_domain.as_str()]),
            None => update.push("--no-federation"),
        }
        let _: EntryView = run(&update).await?;
        Ok(())
    }

    /// Fetches what the workload of this side has now.
    async fn workload(&self) -> Result<Workload, Failure> {
        let id = SpiffeId::expand(&self.trust_domain, DEMO).map_err(|error| Failure::of(&error))?;
        Workload::fetch(&self.directory.workload_socket(), id).await
    }

    fn data(&self) -> String {
        self.directory.server_data().display().to_string()
    }
}

/// What has to become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Answered,
    Refused,
}

/// Lets the workloads call each other in both directions; anything but what is expected ends the demonstration.
async fn both_ways(ours: &Side<'_>, partner: &Side<'_>, expected: Expected, show: &mut Show) -> Result<(), Failure> {
    let (one, other) = (ours.workload().await?, partner.workload().await?);
    for (caller, service) in [(&one, &other), (&other, &one)] {
        let outcome = call(caller, service).await?;
        show.called(&told(caller, service, &outcome));
        match (outcome, expected) {
            (Outcome::Answered, Expected::Answered) => {}
            (Outcome::Refused { because, .. }, Expected::Refused) if lacks_bundle(&because) => {}
            (Outcome::Answered, Expected::Refused) => {
                return Err(
                    usage(format!("{} was believed before anybody trusted its trust domain", caller.id)).with_hint("start anew: troth quickstart --remove")
                );
            }
            (Outcome::Refused { by, because }, Expected::Answered | Expected::Refused) => {
                return Err(Failure::of(&because).with_hint(format!("look what {by} believes: troth bundle list; to start anew: troth quickstart --remove")));
            }
        }
    }
    Ok(())
}

/// Whether the reason is the one that is shown: no bundle of the other trust domain.
fn lacks_bundle(because: &VerifyError) -> bool {
    matches!(because, VerifyError::NoAuthorities { .. })
}

fn told(caller: &Workload, service: &Workload, outcome: &Outcome) -> Called {
    let (refused_by, reason) = match outcome {
        Outcome::Answered => (None, None),
        Outcome::Refused { by, because } => (Some(by.clone()), Some(reason(because))),
    };
    Called {
        caller: caller.id.clone(),
        service: service.id.clone(),
        accepted: refused_by.is_none(),
        refused_by,
        reason,
    }
}

fn reason(because: &VerifyError) -> String {
    match because {
        VerifyError::NoAuthorities { trust_domain } => format!("it has no bundle of {trust_domain}"),
        other => other.to_string(),
    }
}
