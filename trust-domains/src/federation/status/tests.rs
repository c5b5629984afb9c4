use super::*;

#[test]
fn the_word_says_how_the_last_fetch_ended_and_whether_anybody_should_look() {
    let fetched = |overdue, empty| Standing::Fetched { overdue, empty };
    for (standing, word, is_problem) in [
        (Standing::Never, "never_fetched", false),
        (fetched(false, false), "current", false),
        (fetched(false, true), "withdrawn", true),
        (fetched(true, false), "stale", true),
        (fetched(true, true), "stale", true),
        (Standing::Failed(Code::EndpointUnreachable), "unreachable", true),
        (Standing::Failed(Code::EndpointTimeout), "unreachable", true),
        (Standing::Failed(Code::EndpointAnswerUnexpected), "unreachable", true),
        (Standing::Failed(Code::EndpointAddressRefused), "refused", true),
        (Standing::Failed(Code::EndpointRedirectRefused), "refused", true),
        (Standing::Failed(Code::EndpointUntrusted), "refused", true),
        (Standing::Failed(Code::EndpointDocumentInvalid), "refused", true),
        (Standing::Failed(Code::EndpointDocumentTooLarge), "refused", true),
        (Standing::Failed(Code::BundleOutdated), "refused", true),
    ] {
        let state = PartnerState::from(standing);
        assert_eq!((state.as_str(), state.is_problem()), (word, is_problem), "{standing:?}");
        assert_eq!(serde_json::to_value(state).unwrap(), word);
        assert!(PartnerState::ALL.contains(&state));
    }
}

#[test]
fn what_is_not_known_is_null_in_json() {
    let status = serde_json::to_value(FetchStatus::never(None)).unwrap();
    for name in ["last_success", "last_attempt", "next_fetch", "last_error", "sequence"] {
        assert!(status[name].is_null() && status.as_object().unwrap().contains_key(name), "{name}");
    }
}
