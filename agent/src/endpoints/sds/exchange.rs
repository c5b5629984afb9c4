//! What both forms of a stream share: a push has a nonce, and the client answers it once.

use super::super::sds_api::messages::Status;
use super::catalog::Version;

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    /// Names this response on its stream.
    pub(super) nonce: String,
    /// The version of everything in it.
    pub(super) version: Version,
    /// The resources.
    pub(super) resources: Vec<(String, Version)>,
    /// Names that are asked for and that there is nothing behind, now or any more.
    pub(super) removed: Vec<String>,
}

/// How a client took what it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It uses it.
    Accepted,
    /// It goes on with what it had, and says why.
    Rejected(String),
}

/// What a request says about the last response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing: it only asks.
    Asks,
    /// It answers the last response.
    Answers(Answer),
    /// It was sent before the client saw the last response.
    Stale,
}

/// The responses of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Responses {
    sent: u64,
    answered: bool,
}

impl Responses {
    /// Returns the nonce of the next response: a number is enough, for nonces are compared within one stream only.
    pub(super) fn next_nonce(&mut self) -> String {
        self.sent += 1;
        self.answered = false;
        self.sent.to_string()
    }

    /// Relates a request to the last response. Each response is answered once; what repeats an answer only asks.
    pub(super) fn hear(&mut self, nonce: &str, error: Option<Status>) -> Heard {
        // Before the first response a nonce can only be one of an earlier stream.
        if nonce.is_empty() || self.sent == 0 {
            return Heard::Asks;
        }
        if nonce != self.sent.to_string() {
            return Heard::Stale;
        }
        if std::mem::replace(&mut self.answered, true) {
            return Heard::Asks;
        }
        Heard::Answers(error.map_or(Answer::Accepted, |error| Answer::Rejected(error.message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_is_answered_once_and_an_older_nonce_is_stale() {
        let mut responses = Responses::default();
        let rejection = |message: &str| {
            Some(Status {
                code: 13,
                message: message.to_owned(),
            })
        };
        assert_eq!(responses.hear("7", None), Heard::Asks, "of an earlier stream");
        let first = responses.next_nonce();
        let second = responses.next_nonce();
        assert_eq!(responses.hear(&first, None), Heard::Stale);
        assert_eq!(responses.hear("", None), Heard::Asks);
        assert_eq!(responses.hear(&second, rejection("no")), Heard::Answers(Answer::Rejected("no".to_owned())));
        assert_eq!(responses.hear(&second, rejection("no")), Heard::Asks);
        let third = responses.next_nonce();
        assert_eq!(responses.hear(&third, None), Heard::Answers(Answer::Accepted));
    }
}
