//! What one process is entitled to at one moment, under the names that Envoy's users know.

use std::collections::BTreeMap;
use std::sync::Arc;

use trust_domains::TrustBundle;

use super::super::sds_api::messages::Any;
use super::catalog::{Catalog, Sent, Version};
use super::messages;
use crate::svids::{IdentityView, IssuedSvid};

/// The name of the process's first identity.
pub(super) const DEFAULT: &str = "default";

/// The name of the roots of the process's own trust domain.
pub(super) const OWN_ROOTS: &str = "ROOTCA";

/// The name of the roots of every trust domain that the process may verify.
pub(super) const ALL_ROOTS: &str = "ALL";

/// What is behind a name.
#[derive(Clone)]
enum Contents {
    /// A chain and its key.
    Identity(Arc<IssuedSvid>),
    /// The roots of the one trust domain whose names a verifier expects.
    Roots(Arc<TrustBundle>),
    /// Roots that each vouch for names of their own trust domain.
    RootsByDomain(Vec<Arc<TrustBundle>>),
}

/// The secrets of one process, as they are at one moment.
pub(super) struct Secrets {
    catalog: Catalog,
    contents: BTreeMap<String, Contents>,
}

impl Secrets {
    /// Returns what the view holds.
    pub(super) fn of(view: &IdentityView) -> Self {
        let mut secrets = Self {
            catalog: Catalog::default(),
            contents: BTreeMap::new(),
        };
        for svid in &view.svids {
            // Two entries may give one ID; the older one counts, as in the order of identities.
            secrets.add(svid.spiffe_id.as_str(), Sent::ToAll, Contents::Identity(Arc::clone(svid)));
        }
        if let Some(first) = view.svids.first() {
            secrets.add(DEFAULT, Sent::OnRequest, Contents::Identity(Arc::clone(first)));
        }
        secrets.add_roots(&view.bundle, &view.federated.values().cloned().collect::<Vec<_>>());
        secrets
    }

    /// Adds the roots of the own trust domain and of partners. Partners' go only to a verifier that asks for the peer's trust domain first: as bare roots
    /// they could vouch for names of ours.
    fn add_roots(&mut self, own: &Arc<TrustBundle>, partners: &[Arc<TrustBundle>]) {
        if has_roots(own) {
            self.add(own.trust_domain().id().as_str(), Sent::ToAll, Contents::Roots(Arc::clone(own)));
            self.add(OWN_ROOTS, Sent::OnRequest, Contents::Roots(Arc::clone(own)));
        }
        let partners = || partners.iter().filter(|bundle| has_roots(bundle));
        for partner in partners() {
            self.add(
                partner.trust_domain().id().as_str(),
                Sent::ToAll,
                Contents::RootsByDomain(vec![Arc::clone(partner)]),
            );
        }
        let all: Vec<_> = std::iter::once(own).filter(|own| has_roots(own)).chain(partners()).cloned().collect();
        if !all.is_empty() {
            self.add(ALL_ROOTS, Sent::OnRequest, Contents::RootsByDomain(all));
        }
    }

    fn add(&mut self, name: &str, sent: Sent, contents: Contents) {
        if self.catalog.add(name, contents.version(), sent) {
            self.contents.insert(name.to_owned(), contents);
        }
    }

    /// Returns the names, with their versions.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the secret of this name as it is sent.
    pub(super) fn resource(&self, name: &str) -> Option<Any> {
        Some(match self.contents.get(name)? {
            Contents::Identity(svid) => messages::identity(name, svid),
            Contents::Roots(bundle) => messages::roots(name, bundle),
            Contents::RootsByDomain(bundles) => messages::roots_by_domain(name, bundles),
        })
    }
}

impl Contents {
    fn version(&self) -> Version {
        match self {
            Self::Identity(svid) => Version::of(std::iter::once(&b"identity"[..]).chain(svid.chain.iter().map(AsRef::as_ref))),
            Self::Roots(bundle) => Version::of(std::iter::once(&b"roots"[..]).chain(parts(bundle))),
            Self::RootsByDomain(bundles) => Version::of(std::iter::once(&b"by domain"[..]).chain(bundles.iter().flat_map(|bundle| parts(bundle)))),
        }
    }
}

fn parts(bundle: &TrustBundle) -> impl Iterator<Item = &[u8]> {
    std::iter::once(bundle.trust_domain().as_str().as_bytes()).chain(bundle.x509_ders().map(AsRef::as_ref))
}

/// Returns whether there is any root: Envoy takes a validation context without one for "verify nothing".
fn has_roots(bundle: &TrustBundle) -> bool {
    !bundle.x509_authorities().is_empty()
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use trust_domains::TrustDomain;
    use trust_domains::clock::Reading;

    use super::*;
    use crate::svids::testing::{bundle, entry, held, revision};

    fn view(ids: &[&str], bundle: TrustBundle) -> IdentityView {
        let now = Reading {
            wall: trust_domains::Timestamp::from_unix(1_000_000),
            since_boot: std::time::Duration::ZERO,
        };
        IdentityView {
            svids: ids.iter().map(|id| held(&entry(id, 1), now).svid).collect(),
            bundle: Arc::new(bundle),
            federated: BTreeMap::new(),
            revision: revision(1),
        }
    }

    fn names(secrets: &Secrets) -> Vec<&str> {
        secrets.catalog().iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn names_are_those_that_users_of_envoy_know() {
        let secrets = Secrets::of(&view(&["web", "db"], bundle()));
        let expected = [
            "ALL",
            "ROOTCA",
            "default",
            "spiffe://td.example",
            "spiffe://td.example/db",
            "spiffe://td.example/web",
        ];
        assert_eq!(names(&secrets), expected);
        let to_all: Vec<_> = expected.into_iter().filter(|name| secrets.catalog().is_sent_to_all(name)).collect();
        assert_eq!(to_all, ["spiffe://td.example", "spiffe://td.example/db", "spiffe://td.example/web"]);
        for name in expected {
            assert!(secrets.resource(name).is_some(), "{name}");
        }
        for foreign in [
            "",
            "*",
            "Default",
            "rootca",
            "spiffe://td.example/",
            "spiffe://td.example/other",
            "spiffe://other.example",
            "/web",
        ] {
            assert!(secrets.resource(foreign).is_none() && secrets.catalog().version(foreign).is_none(), "{foreign}");
        }
    }

    #[covers("BUN-07")]
    #[test]
    fn an_empty_bundle_is_no_secret() {
        let secrets = Secrets::of(&view(&["web"], TrustBundle::new("td.example".parse().unwrap())));
        assert_eq!(names(&secrets), ["default", "spiffe://td.example/web"]);
    }

    #[test]
    fn a_partners_roots_are_for_the_verifier_that_asks_for_the_trust_domain() {
        let partner: TrustDomain = "partner.example".parse().unwrap();
        let der = bundle().x509_der_concat();
        let partner = Arc::new(TrustBundle::new(partner).with_x509_authority(&der).unwrap());
        let empty = Arc::new(TrustBundle::new("empty.example".parse().unwrap()));
        let federated = [partner, empty].map(|bundle| (bundle.trust_domain().clone(), bundle)).into();
        let secrets = Secrets::of(&IdentityView {
            federated,
            ..view(&[], bundle())
        });
        assert_eq!(names(&secrets), ["ALL", "ROOTCA", "spiffe://partner.example", "spiffe://td.example"]);
        assert!(matches!(&secrets.contents["spiffe://partner.example"], Contents::RootsByDomain(bundles) if bundles.len() == 1));
        assert!(matches!(&secrets.contents["ALL"], Contents::RootsByDomain(bundles) if bundles.len() == 2));
    }

    #[test]
    fn versions_tell_contents_apart_and_second_names_share_them() {
        let secrets = Secrets::of(&view(&["web"], bundle()));
        let version = |name: &str| secrets.catalog().version(name).unwrap().clone();
        assert_eq!(version("default"), version("spiffe://td.example/web"));
        assert_eq!(version("ROOTCA"), version("spiffe://td.example"));
        assert_ne!(version("ROOTCA"), version("ALL"));
        let again = Secrets::of(&view(&["web"], bundle()));
        assert_eq!(again.catalog().version("ALL"), Some(&version("ALL")));
    }
}
