//! Refusals of the standard's table (Broker API section 4.8), with its reason beside the code.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Who names the reasons.
pub(super) const DOMAIN: &str = "spiffe.io";

/// Why nothing is given for a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is none, or not one that can be followed.
    Invalid,
    /// It leads to nobody.
    NotFound,
    /// Whom it leads to is given nothing.
    NotEntitled,
}

impl Reason {
    fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::NotEntitled => Code::PermissionDenied,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Invalid => "WORKLOAD_REFERENCE_INVALID",
            Self::NotFound => "WORKLOAD_NOT_FOUND",
            Self::NotEntitled => "WORKLOAD_NOT_ENTITLED",
        }
    }
}

/// Returns the status of a refusal, about this process if one is known.
pub(super) fn refusal(reason: Reason, message: impl Into<String>, pid: Option<i32>) -> Status {
    let metadata: HashMap<String, String> = pid.map(|pid| ("pid".to_owned(), pid.to_string())).into_iter().collect();
    let details = ErrorDetails::with_error_info(reason.word(), DOMAIN, metadata);
    Status::with_error_details(reason.code(), message, details)
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::*;

    #[covers("BRK-17")]
    #[test]
    fn each_refusal_has_the_code_and_the_reason_of_the_standard() {
        for (reason, code, word) in [
            (Reason::Invalid, Code::InvalidArgument, "WORKLOAD_REFERENCE_INVALID"),
            (Reason::NotFound, Code::NotFound, "WORKLOAD_NOT_FOUND"),
            (Reason::NotEntitled, Code::PermissionDenied, "WORKLOAD_NOT_ENTITLED"),
        ] {
            let status = refusal(reason, "why", Some(7));
            let details = status.get_details_error_info().unwrap();
            assert_eq!((status.code(), details.reason.as_str(), details.domain.as_str()), (code, word, "spiffe.io"));
            assert_eq!(details.metadata["pid"], "7");
        }
    }
}
