//! The hostile partners, and what becomes of each.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::ServerConfig;

use super::documents;
use super::endpoints::Answer;
use super::issuing::Authority;

/// How a partner's endpoint proves itself, as a relationship has it.
pub(super) enum Profile {
    /// `https_spiffe`: the endpoint's ID, and the bundle at first.
    Spiffe { id: &'static str, bootstrap: String },
    /// `https_web`.
    Web,
}

/// One hostile partner.
pub(super) struct Hostile {
    /// Its trust domain, which is its host too.
    pub(super) name: &'static str,
    pub(super) profile: Profile,
    /// Its URL, where that is not its host.
    pub(super) url: Option<String>,
    /// What its endpoint shows; one that shows nothing accepts connections and stays silent.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) bundle: Box<dyn Fn(usize) -> Answer + Send + Sync>,
    pub(super) map: Option<Answer>,
    /// Where DNS says it is, beside where it is.
    pub(super) then: Option<Ipv4Addr>,
    /// Where its revocation lists are said to be.
    pub(super) lists: Option<&'static str>,
    /// What `federation show` says of it.
    pub(super) status: &'static str,
    /// And why.
    pub(super) code: Option<&'static str>,
    /// What an operator reads of it, in part.
    pub(super) says: &'static str,
}

impl Hostile {
    /// One that looks like any host of the web, until it answers.
    fn web(web: &Authority, name: &'static str, bundle: impl Fn(usize) -> Answer + Send + Sync + 'static, status: &'static str, code: &'static str) -> Self {
        Self {
            name,
            profile: Profile::Web,
            url: None,
            tls: Some(web.host(name)),
            bundle: Box::new(bundle),
            map: None,
            then: None,
            lists: None,
            status,
            code: Some(code),
            says: "",
        }
    }

    fn document(web: &Authority, name: &'static str, document: String, status: &'static str, code: &'static str) -> Self {
        Self::web(web, name, move |_| Answer::Document(document.clone()), status, code)
    }

    fn moved(web: &Authority, name: &'static str, location: &'static str, code: &'static str, says: &'static str) -> Self {
        Self {
            says,
            ..Self::web(web, name, move |_| Answer::Moved(location.to_owned()), "refused", code)
        }
    }

    /// One whose URL has an address in it.
    fn literal(web: &Authority, name: &'static str, url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..Self::web(web, name, |_| Answer::Slow, "refused", "endpoint_address_refused")
        }
    }

    /// One that is asked by a SPIFFE ID and shows something else.
    fn impostor(name: &'static str, id: &'static str, own: &Authority, shows: Arc<ServerConfig>, says: &'static str) -> Self {
        let document = own.bundle(name).to_spiffe_json();
        Self {
            name,
            profile: Profile::Spiffe {
                id,
                bootstrap: document.clone(),
            },
            url: None,
            tls: Some(shows),
            bundle: Box::new(move |_| Answer::Document(document.clone())),
            map: None,
            then: None,
            lists: None,
            status: "refused",
            code: Some("endpoint_untrusted"),
            says,
        }
    }
}

/// The name that first leads to its endpoint, and then to this machine.
pub(super) const REBINDING: &str = "rebinding.test";

/// The partner that plays back an old bundle.
pub(super) const REPLAYING: &str = "replaying.test";

/// The name that leads to this machine, wherever it is used.
pub(super) const INWARD: &str = "inward.test";

/// The partner whose Bundle Map says two things of one trust domain, and the one that says the same of it once.
pub(super) const DUPLICATING: &str = "duplicates.test";
pub(super) const MAPPING: &str = "mapping.test";

/// The partner whose revocation lists are said to be on this machine.
pub(super) const LISTING: &str = "listing.test";

/// Returns all of them; `own` is the name and the bundle of the trust domain whose partners they are.
pub(super) fn all(web: &Authority, own: (&str, &str)) -> Vec<Hostile> {
    [
        slow_and_endless(web),
        redirecting(web),
        addressed(web),
        impostors(web),
        senders(web),
        beside(web, own),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn slow_and_endless(web: &Authority) -> Vec<Hostile> {
    vec![
        Hostile::web(web, "slow.test", |_| Answer::Slow, "unreachable", "endpoint_timeout"),
        Hostile {
            tls: None,
            ..Hostile::web(web, "silent.test", |_| Answer::Slow, "unreachable", "endpoint_timeout")
        },
        Hostile::web(web, "endless.test", |_| Answer::Endless, "refused", "endpoint_document_too_large"),
    ]
}

fn redirecting(web: &Authority) -> Vec<Hostile> {
    let (redirect, address) = ("endpoint_redirect_refused", "endpoint_address_refused");
    vec![
        Hostile::moved(web, "to-http.test", "http://good.test/", redirect, "not an https one"),
        Hostile::moved(web, "to-user.test", "https://user:secret@good.test/", redirect, "a user name or a password"),
        Hostile::moved(web, "round.test", "https://round.test/again", redirect, "once more after 5 redirects"),
        Hostile::moved(web, "to-loopback.test", "https://127.0.0.1/", address, "127.0.0.1, a loopback address"),
        Hostile::moved(web, "to-loopback-6.test", "https://[::1]/", address, "::1, a loopback address"),
        Hostile::moved(
            web,
            "to-mapped.test",
            "https://[::ffff:127.0.0.1]/",
            address,
            "::ffff:127.0.0.1, a loopback address",
        ),
        Hostile::moved(web, "to-number.test", "https://2130706433/", address, "127.0.0.1, a loopback address"),
        Hostile::moved(
            web,
            "to-nobody.test",
            "https://0.0.0.0/",
            address,
            "an unspecified address, to which the server never connects",
        ),
        Hostile::moved(
            web,
            "to-metadata.test",
            "https://169.254.169.254/latest/meta-data/",
            address,
            "a link-local address",
        ),
        Hostile::moved(
            web,
            "to-name.test",
            "https://inward.test/",
            address,
            "inward.test:443 is at 127.0.0.1, a loopback address",
        ),
    ]
}

fn addressed(web: &Authority) -> Vec<Hostile> {
    let rebinding = web_bundle(REBINDING);
    vec![
        Hostile::literal(web, "at-loopback.test", "https://127.0.0.1/"),
        Hostile::literal(web, "at-metadata.test", "https://169.254.169.254/"),
        Hostile::literal(web, "at-name.test", "https://inward.test/"),
        Hostile {
            then: Some(Ipv4Addr::LOCALHOST),
            code: None,
            ..Hostile::document(web, REBINDING, rebinding, "current", "")
        },
    ]
}

fn impostors(web: &Authority) -> Vec<Hostile> {
    let (one, two, three) = (
        Authority::of("wrong-id.test"),
        Authority::of("wrong-domain.test"),
        Authority::of("wrong-root.test"),
    );
    vec![
        Hostile::impostor(
            "wrong-id.test",
            "spiffe://wrong-id.test/server",
            &one,
            one.svid("spiffe://wrong-id.test/somebody"),
            "the peer is spiffe://wrong-id.test/somebody, not spiffe://wrong-id.test/server",
        ),
        Hostile::impostor(
            "wrong-domain.test",
            "spiffe://wrong-domain.test/server",
            &two,
            one.svid("spiffe://wrong-id.test/server"),
            "spiffe://wrong-id.test/server is not of trust domain wrong-domain.test",
        ),
        Hostile::impostor(
            "wrong-root.test",
            "spiffe://wrong-root.test/server",
            &three,
            one.svid("spiffe://wrong-root.test/server"),
            "no valid path leads from spiffe://wrong-root.test/server to an authority of wrong-root.test",
        ),
        Hostile {
            tls: Some(web.host("other.test")),
            says: "not valid for name",
            ..Hostile::web(web, "wrong-name.test", |_| Answer::Slow, "refused", "endpoint_untrusted")
        },
    ]
}

fn senders(web: &Authority) -> Vec<Hostile> {
    let (invalid, large) = ("endpoint_document_invalid", "endpoint_document_too_large");
    let (first, second) = (Authority::of(REPLAYING).bundle(REPLAYING), Authority::of(REPLAYING).bundle(REPLAYING));
    let (newer, older) = (first.with_sequence(7).to_spiffe_json(), second.with_sequence(6).to_spiffe_json());
    let unknown = Authority::of("unknown.test").bundle("unknown.test");
    let beside = Authority::of("deep-beside.test").bundle("deep-beside.test");
    let pem = Authority::of("pem-inside.test").bundle("pem-inside.test");
    vec![
        Hostile {
            code: None,
            ..Hostile::web(
                web,
                REPLAYING,
                move |before| Answer::Document(if before == 0 { newer.clone() } else { older.clone() }),
                "current",
                "",
            )
        },
        Hostile::document(web, "many-keys.test", documents::small_keys(), "refused", large),
        Hostile::document(web, "many-large-keys.test", documents::large_keys(), "refused", large),
        Hostile::document(web, "deep.test", documents::deep(), "refused", invalid),
        Hostile {
            code: None,
            ..Hostile::document(web, "deep-beside.test", documents::deep_beside(&beside), "current", "")
        },
        Hostile::document(web, "pem.test", Authority::of("pem.test").pem(), "refused", invalid),
        Hostile {
            code: None,
            ..Hostile::document(web, "pem-inside.test", documents::with_pem_inside(&pem), "withdrawn", "")
        },
        Hostile {
            code: None,
            ..Hostile::document(web, "unknown.test", documents::with_unknown_keys(&unknown), "current", "")
        },
    ]
}

/// Those whose bundle is good, and what comes with it is not.
fn beside(web: &Authority, (own, bundle): (&str, &str)) -> Vec<Hostile> {
    let good = |name: &'static str| Hostile {
        code: None,
        ..Hostile::document(web, name, web_bundle(name), "current", "")
    };
    vec![
        Hostile {
            map: Some(Answer::Document(documents::map(own, bundle))),
            ..good(MAPPING)
        },
        Hostile {
            map: Some(Answer::Document(documents::map_with_duplicates(own, bundle))),
            ..good(DUPLICATING)
        },
        Hostile {
            lists: Some("https://inward.test/crls.pem"),
            ..good(LISTING)
        },
    ]
}

fn web_bundle(name: &str) -> String {
    Authority::of(name).bundle(name).to_spiffe_json()
}
