//! What is said of an error that has causes.

/// Joins an error's text with those of its causes. One that passes its cause's text on says it once.
#[must_use]
pub fn with_causes(error: &(impl std::error::Error + ?Sized)) -> String {
    let text = error.to_string();
    let mut text = without_manual(&text).to_owned();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        let cause = without_manual(&cause);
        if !text.ends_with(cause) {
            text.push_str(": ");
            text.push_str(cause);
        }
    }
    text
}

/// Leaves out the address of a library's manual, which helps who writes a program and not who runs one.
fn without_manual(cause: &str) -> &str {
    cause.split_once(": https://docs.rs/").map_or(cause, |(said, _)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the pipe broke")]
        struct Lowest;
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Passing(#[from] Lowest);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write")]
        struct Upper(#[source] Lowest);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot go on: {0}")]
        struct Repeating(#[source] Lowest);
        assert_eq!(with_causes(&Upper(Lowest)), "cannot write: the pipe broke");
        assert_eq!(with_causes(&Passing(Lowest)), "the pipe broke");
        assert_eq!(with_causes(&Repeating(Lowest)), "cannot go on: the pipe broke");
    }

    #[test]
    fn the_manual_of_a_library_is_not_told_to_who_runs_a_program() {
        let said = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual/_03_howto/index.html#unexpected-eof";
        let lost = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, said);
        assert_eq!(with_causes(&lost), "peer closed connection without sending TLS close_notify");
    }
}
