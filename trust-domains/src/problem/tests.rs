use super::*;

#[test]
fn words_are_sorted_unique_and_found_again() {
    for pair in Code::ALL.windows(2) {
        assert!(pair[0].word() < pair[1].word(), "{} before {}", pair[0], pair[1]);
    }
    for code in Code::ALL {
        assert_eq!(Code::from_word(code.word()), Some(*code));
    }
}

#[test]
fn a_code_is_said_once_though_the_cause_is_a_problem_itself() {
    #[derive(Debug, thiserror::Error)]
    #[error("the node could not join")]
    struct Outer(#[source] Problem);
    impl Coded for Outer {
        fn code(&self) -> Code {
            self.0.code()
        }
    }
    let problem = Problem::of(&Outer(Problem::new(Code::TokenUsed, "the token was used")));
    assert_eq!(problem.detail, "the node could not join: the token was used");
    assert_eq!(problem.to_string(), "the node could not join: the token was used (token_used)");
}

#[test]
fn every_code_has_a_hint_that_names_a_next_step() {
    const VERBS: &[&str] = &[
        "ask",
        "change",
        "check",
        "choose",
        "close",
        "compare",
        "connect",
        "copy",
        "correct",
        "free",
        "get",
        "give",
        "join",
        "lift",
        "list",
        "look",
        "make",
        "name",
        "on the node",
        "put",
        "run",
        "send",
        "split",
        "stop",
        "take",
        "try",
        "use",
        "write",
    ];
    for code in Code::ALL {
        let hint = code.facts().hint;
        assert!(VERBS.iter().any(|verb| hint.starts_with(verb)), "{code}: {hint}");
    }
}
