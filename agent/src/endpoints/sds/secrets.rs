//! What one process is entitled to at one moment, under the names that Envoy's users know.

use std::collections::BTreeMap;
use std::sync::Arc;

use trust_domains::{SpiffeId, TrustBundle};

use super::super::sds_api::messages::Any;
use super::catalog::{Catalog, Sent, Version};
use super::messages;
use crate::svids::{IdentityView, IssuedSvid, RevocationLists};

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
    Roots(Trusted),
    /// Roots that each vouch for names of their own trust domain.
    RootsByDomain(Vec<Trusted>),
}

/// What peers of one trust domain are verified by.
#[derive(Clone)]
pub(super) struct Trusted {
    pub(super) bundle: Arc<TrustBundle>,
    /// Complete, or none.
    pub(super) crls: Arc<RevocationLists>,
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
        let own = Trusted {
            bundle: Arc::clone(&view.bundle),
            crls: Arc::clone(&view.crls),
        };
        let partners = view.federated.values().map(|bundle| Trusted {
            bundle: Arc::clone(bundle),
            crls: view.crls_of(bundle.trust_domain()),
        });
        secrets.add_roots(own, partners.collect());
        secrets
    }

    /// Adds the roots of the own trust domain and of partners. Partners' go only to a verifier that asks for the peer's trust domain first: as bare roots
    /// they could vouch for names of ours.
    fn add_roots(&mut self, own: Trusted, mut partners: Vec<Trusted>) {
        partners.retain(Trusted::has_roots);
        let mut all = Vec::with_capacity(1 + partners.len());
        if own.has_roots() {
            self.add(own.id().as_str(), Sent::ToAll, Contents::Roots(own.clone()));
            self.add(OWN_ROOTS, Sent::OnRequest, Contents::Roots(own.clone()));
            all.push(own);
        }
        for partner in &partners {
            self.add(partner.id().as_str(), Sent::ToAll, Contents::RootsByDomain(vec![partner.clone()]));
        }
        all.append(&mut partners);
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
            Contents::Roots(trusted) => messages::roots(name, &trusted.bundle, &trusted.crls),
            Contents::RootsByDomain(trusted) => messages::roots_by_domain(name, trusted),
        })
    }
}

impl Contents {
    fn version(&self) -> Version {
        match self {
            Self::Identity(svid) => Version::of(std::iter::once(&b"identity"[..]).chain(svid.chain.iter().map(AsRef::as_ref))),
            Self::Roots(trusted) => Version::of(std::iter::once(&b"roots"[..]).chain(trusted.parts())),
            Self::RootsByDomain(trusted) => Version::of(std::iter::once(&b"by domain"[..]).chain(trusted.iter().flat_map(Trusted::parts))),
        }
    }
}

impl Trusted {
    fn id(&self) -> SpiffeId {
        self.bundle.trust_domain().id()
    }

    /// Returns whether there is any root: Envoy takes a validation context without one for "verify nothing".
    fn has_roots(&self) -> bool {
        !self.bundle.x509_authorities().is_empty()
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let name = std::iter::once(self.bundle.trust_domain().as_str().as_bytes());
        name.chain(self.bundle.x509_ders().map(AsRef::as_ref))
            .chain(self.crls.ders().iter().map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use prost::Message as _;
    use trust_domains::TrustDomain;
    use trust_domains::clock::Reading;

    use super::*;
    use crate::endpoints::sds_api::messages::{Secret, SpiffeCertValidatorConfig, data_source, secret};
    use crate::svids::testing::{bundle, entry, held, revision, with_empty_list};

    fn view(ids: &[&str], bundle: TrustBundle) -> IdentityView {
        let now = Reading {
            wall: trust_domains::Timestamp::from_unix(1_000_000),
            since_boot: std::time::Duration::ZERO,
        };
        IdentityView {
            svids: ids.iter().map(|id| held(&entry(id, 1), now).svid).collect(),
            bundle: Arc::new(bundle),
            federated: BTreeMap::new(),
            federated_crls: BTreeMap::new(),
            crls: Arc::default(),
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
    fn revocation_lists_are_where_each_verifier_reads_them_and_make_another_version() {
        let (bundle, set) = with_empty_list("td.example");
        let without = Secrets::of(&view(&[], bundle.clone()));
        let with = Secrets::of(&IdentityView {
            crls: Arc::new(RevocationLists::of(&set)),
            ..view(&[], bundle)
        });
        let context = |secrets: &Secrets, name: &str| match Secret::decode(secrets.resource(name).unwrap().value).unwrap().r#type.unwrap() {
            secret::Type::ValidationContext(context) => context,
            secret::Type::TlsCertificate(_) => panic!("{name} is no validation context"),
        };
        for name in ["ALL", "ROOTCA", "spiffe://td.example"] {
            assert_ne!(with.catalog().version(name), without.catalog().version(name), "{name}");
        }
        assert!(context(&without, "ROOTCA").crl.is_none());
        assert!(context(&with, "ROOTCA").crl.is_some());
        let by_domain = context(&with, "ALL");
        assert!(by_domain.crl.is_none());
        let config = by_domain.custom_validator_config.unwrap().typed_config.unwrap();
        let config = SpiffeCertValidatorConfig::decode(config.value).unwrap();
        let Some(data_source::Specifier::InlineBytes(pem)) = config.trust_domains[0].trust_bundle.clone().unwrap().specifier else {
            panic!("no octets")
        };
        let text = String::from_utf8(pem.to_vec()).unwrap();
        assert_eq!((text.matches("BEGIN CERTIFICATE").count(), text.matches("BEGIN X509 CRL").count()), (1, 1));
    }

    #[covers("FED-06")]
    #[test]
    fn a_partners_lists_are_in_its_own_part_of_the_bundle_and_in_no_other() {
        let (one, set) = with_empty_list("one.example");
        let two = with_empty_list("two.example").0;
        let federated: BTreeMap<TrustDomain, Arc<TrustBundle>> = [one, two].map(|bundle| (bundle.trust_domain().clone(), Arc::new(bundle))).into();
        let without = Secrets::of(&IdentityView {
            federated: federated.clone(),
            ..view(&[], bundle())
        });
        let with = Secrets::of(&IdentityView {
            federated,
            federated_crls: BTreeMap::from([("one.example".parse().unwrap(), Arc::new(RevocationLists::of(&set)))]),
            ..view(&[], bundle())
        });
        for (name, changes) in [
            ("ALL", true),
            ("spiffe://one.example", true),
            ("spiffe://two.example", false),
            ("ROOTCA", false),
        ] {
            assert_eq!(with.catalog().version(name) != without.catalog().version(name), changes, "{name}");
        }
        let Contents::RootsByDomain(all) = &with.contents["ALL"] else {
            panic!("by domain")
        };
        let lists: Vec<_> = all
            .iter()
            .map(|trusted| (trusted.bundle.trust_domain().as_str(), trusted.crls.ders().len()))
            .collect();
        assert_eq!(lists, [("td.example", 0), ("one.example", 1), ("two.example", 0)]);
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
