//! What of an identity's view the files of a sink show: nothing else makes a new set, or hooks run.

use std::sync::Arc;

use trust_domains::TrustDomain;

use super::config::SinkContents;
use crate::svids::IdentityView;

/// Narrows views down to what a sink delivers; one that brings nothing new to it is the one before.
#[derive(Debug, Default)]
pub(super) struct Share {
    last: Option<Arc<IdentityView>>,
}

impl Share {
    /// Returns the part of a view that a sink's files show.
    pub(super) fn of(&mut self, view: &Arc<IdentityView>, contents: &SinkContents) -> Arc<IdentityView> {
        let narrowed = narrowed(view, contents);
        match &self.last {
            Some(last) if last.same_contents(&narrowed) => Arc::clone(last),
            _ => Arc::clone(self.last.insert(Arc::new(narrowed))),
        }
    }
}

fn narrowed(view: &IdentityView, contents: &SinkContents) -> IdentityView {
    let own = view.bundle.trust_domain();
    let trusted = contents.trust_domain.as_ref().unwrap_or(own);
    let (with_lists, with_partners) = (contents.has_lists(), contents.has_partners());
    let is_shown = |partner: &TrustDomain| with_partners || partner == trusted;
    let federated = view.federated.iter().filter(|(partner, _)| is_shown(partner));
    let lists = view.federated_crls.iter().filter(|(partner, _)| with_lists && is_shown(partner));
    IdentityView {
        svids: view.svids.clone(),
        bundle: Arc::clone(&view.bundle),
        federated: federated.map(|(partner, bundle)| (partner.clone(), Arc::clone(bundle))).collect(),
        crls: if with_lists && trusted == own {
            Arc::clone(&view.crls)
        } else {
            Arc::default()
        },
        federated_crls: lists.map(|(partner, lists)| (partner.clone(), Arc::clone(lists))).collect(),
        revision: view.revision,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use trust_domains::crl::CrlSet;
    use trust_domains::delivery::Format;

    use super::*;
    use crate::svids::RevocationLists;
    use crate::svids::testing::{bundle, bundle_of};

    fn view() -> IdentityView {
        let partners = ["one.test", "two.test"].map(|name| (name.parse().unwrap(), Arc::new(bundle_of(name))));
        let lists = ["one.test", "two.test"].map(|name| (name.parse().unwrap(), Arc::new(RevocationLists::of(&CrlSet::default()))));
        IdentityView {
            svids: Vec::new(),
            bundle: Arc::new(bundle()),
            federated: BTreeMap::from(partners),
            crls: Arc::default(),
            federated_crls: BTreeMap::from(lists),
            revision: trust_domains::Revision { epoch: 1, counter: 1 },
        }
    }

    fn contents(formats: &[Format], trust_domain: Option<&str>) -> SinkContents {
        SinkContents {
            formats: formats.to_vec(),
            trust_domain: trust_domain.map(|name| name.parse().unwrap()),
            ..SinkContents::default()
        }
    }

    /// Which partners' bundles and lists a sink shows, and whether it shows the own trust domain's lists.
    fn shown(contents: &SinkContents) -> (usize, usize, bool) {
        let whole = view();
        let own = Arc::clone(&whole.crls);
        let narrowed = Share::default().of(&Arc::new(whole), contents);
        (narrowed.federated.len(), narrowed.federated_crls.len(), Arc::ptr_eq(&narrowed.crls, &own))
    }

    #[test]
    fn a_sink_shows_what_its_formats_and_its_trust_domain_have() {
        for (formats, trust_domain, expected) in [
            (&[Format::Pem][..], None, (2, 2, true)),
            (&[Format::PemCombined], Some("one.test"), (2, 2, false)),
            (&[Format::Der], None, (0, 0, true)),
            (&[Format::Der], Some("one.test"), (1, 1, false)),
            (&[Format::Pkcs12], None, (0, 0, false)),
            (&[Format::Jks], Some("two.test"), (1, 0, false)),
            (&[Format::Jks, Format::Pem], None, (2, 2, true)),
        ] {
            assert_eq!(shown(&contents(formats, trust_domain)), expected, "{formats:?} {trust_domain:?}");
        }
    }

    #[test]
    fn what_a_sink_does_not_show_makes_no_new_view() {
        let mut share = Share::default();
        let contents = contents(&[Format::Pkcs12], None);
        let first = view();
        let svidless = |view: &IdentityView| IdentityView {
            bundle: Arc::clone(&first.bundle),
            crls: Arc::new(RevocationLists::of(&CrlSet::default())),
            federated: BTreeMap::new(),
            svids: view.svids.clone(),
            federated_crls: view.federated_crls.clone(),
            revision: trust_domains::Revision { epoch: 1, counter: 2 },
        };
        let second = Arc::new(svidless(&first));
        let shown = share.of(&Arc::new(view_like(&first)), &contents);
        assert!(Arc::ptr_eq(&shown, &share.of(&second, &contents)), "only lists and partners differ");
        let other_roots = Arc::new(IdentityView {
            bundle: Arc::new(bundle()),
            ..svidless(&first)
        });
        assert!(!Arc::ptr_eq(&shown, &share.of(&other_roots, &contents)));
    }

    fn view_like(view: &IdentityView) -> IdentityView {
        narrowed(view, &contents(&[Format::Pem], None))
    }
}
