//! Why nothing was fetched.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;
use trust_domains::federation::EndpointUrl;
use trust_domains::problem::{Code, Coded};

use super::address::AddressKind;
use super::limits::MAX_REDIRECTS;
use super::said::Said;
use super::web_roots::WebRootsError;

/// Why nothing was fetched.
///
/// `at` is the host and port that were asked: the configured ones, or those that a redirect led to. The causes are not kept as errors but as [`Said`]: they
/// quote what the endpoint sent, and nothing longer than that may reach a log or a terminal.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The endpoint's address is one to which nothing connects.
    #[error("{at} is at {address}, {kind}, {}", consequence(*kind))]
    AddressRefused {
        /// Who was asked.
        at: Said,
        /// The address that the name, or the literal, leads to.
        address: IpAddr,
        /// What it is.
        kind: AddressKind,
    },
    /// What answered is not HTTP, or not HTTP that can be taken.
    #[error("{at} does not answer in good HTTP: {reason}")]
    Malformed {
        /// Who was asked.
        at: Said,
        /// What is wrong.
        reason: Said,
    },
    /// The endpoint does not prove to be who it must be.
    #[error("{at} does not prove that it is the partner's endpoint: {reason}")]
    NotTrusted {
        /// Who was asked.
        at: Said,
        /// What is wrong with its certificates.
        reason: Said,
    },
    /// The endpoint redirects and the relationship does not allow it.
    #[error("{at} redirects to {location}, and this relationship follows no redirects")]
    RedirectsOff {
        /// Who was asked.
        at: Said,
        /// Where it led.
        location: Said,
    },
    /// The endpoint redirects to what is no URL of an endpoint (FED-16).
    #[error("{at} redirects to where no endpoint can be: {reason}")]
    RedirectRefused {
        /// Who was asked.
        at: Said,
        /// What is wrong with the target.
        reason: Said,
    },
    /// The endpoint answered with a status that brings no document.
    #[error("{at} answered with HTTP status {status}")]
    Status {
        /// Who was asked.
        at: Said,
        /// The status.
        status: u16,
    },
    /// The endpoint did not send its whole answer in time.
    #[error("{at} sent no whole answer within {} s", deadline.as_secs())]
    TimedOut {
        /// Who was asked, at first.
        at: Said,
        /// The time it had.
        deadline: Duration,
    },
    /// The document is longer than the limit, or far more was sent than it takes to send such a document.
    #[error("{at} sends more than the {limit} bytes that are taken")]
    TooLarge {
        /// Who was asked.
        at: Said,
        /// The most that is taken.
        limit: usize,
    },
    /// Redirects do not end.
    #[error("{at} redirects once more after {MAX_REDIRECTS} redirects")]
    TooManyRedirects {
        /// Who was asked last.
        at: Said,
    },
    /// Nobody answers there, or the connection broke.
    #[error("cannot reach {at}: {reason}")]
    Unreachable {
        /// Who was asked.
        at: Said,
        /// Why not.
        reason: Said,
    },
    /// There is nothing to believe an endpoint of the web by.
    #[error(transparent)]
    WebRoots(#[from] WebRootsError),
}

fn consequence(kind: AddressKind) -> &'static str {
    match kind.may_be_allowed() {
        true => "to which the server does not connect without --federation-allow-loopback",
        false => "to which the server never connects",
    }
}

impl FetchError {
    pub(super) fn unreachable(url: &EndpointUrl, why: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreachable {
            at: at(url),
            reason: Said::why(why),
        }
    }

    pub(super) fn malformed(url: &EndpointUrl, reason: impl std::fmt::Display) -> Self {
        Self::Malformed {
            at: at(url),
            reason: Said::of(reason),
        }
    }
}

/// Returns who is asked at a URL, as errors show it: its path may be long, and the operator knows it.
pub(super) fn at(url: &EndpointUrl) -> Said {
    Said::place(format_args!("{}:{}", url.host(), url.port()))
}

impl Coded for FetchError {
    fn code(&self) -> Code {
        match self {
            Self::AddressRefused { .. } => Code::EndpointAddressRefused,
            Self::Malformed { .. } | Self::Status { .. } => Code::EndpointAnswerUnexpected,
            Self::NotTrusted { .. } => Code::EndpointUntrusted,
            Self::RedirectRefused { .. } | Self::RedirectsOff { .. } | Self::TooManyRedirects { .. } => Code::EndpointRedirectRefused,
            Self::TimedOut { .. } => Code::EndpointTimeout,
            Self::TooLarge { .. } => Code::EndpointDocumentTooLarge,
            Self::Unreachable { .. } => Code::EndpointUnreachable,
            Self::WebRoots(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        let hint = match self {
            Self::AddressRefused { kind, .. } => match kind.may_be_allowed() {
                true => "ask the partner for an address that others reach; if it is on this machine, run the server with --federation-allow-loopback",
                false => "ask the partner for an address that others reach",
            },
            Self::RedirectsOff { .. } => "change the URL to where it leads, or allow redirects, with troth federation update TD",
            Self::WebRoots(error) => return error.hint(),
            _ => self.code().facts().hint,
        };
        hint.to_owned()
    }
}
