//! What the command line says of itself: help, codes, completions, what may have been meant, and errors as scripts read them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tests::command::run;
use tests::domain::Domain;
use trust_domains::problem::Code;

use super::{has_fields, text_of, typed};

#[test]
fn errors_are_rfc_9457_documents_with_code_and_hint() {
    let domain = Domain::start("errors.test");
    let refused = domain.operator(&["entry", "show", "nothing"]).exits(3);
    let document = refused.json();
    has_fields(&document, &["type", "title", "status", "detail", "code", "hint"]);
    assert_eq!((text_of(&document, "code"), &document["status"]), ("entry_not_found", &404.into()));
    assert!(text_of(&document, "type").ends_with("/entry_not_found"));
    assert_eq!(text_of(&document, "trace_id").len(), 32, "the server's trace id is lost");
    assert!(
        !text_of(&document, "detail").contains("entry_not_found"),
        "the code is no part of the detail: {document}"
    );
    assert!(!refused.stderr.contains("error:"), "it is said twice: {refused:?}");
    let text = typed(&domain, &["entry", "show", "nothing"]).exits(3);
    assert!(
        text.stdout.is_empty() && text.stderr.starts_with("error: ") && text.stderr.contains("\nhint: "),
        "{text:?}"
    );
}

#[test]
fn where_nobody_answers_the_exit_code_is_4_and_the_hint_names_the_next_step() {
    for (arguments, step) in [
        (&["entry", "list"][..], "troth server run"),
        (&["entry", "create", "--spiffe-id", "/a", "--selector", "unix:uid:1"], "troth server run"),
        (&["node", "list"], "troth server run"),
        (&["token", "create"], "troth server run"),
        (&["bundle", "show"], "troth server run"),
        (&["federation", "list"], "troth server run"),
        (&["federation", "list", "--watch"], "troth server run"),
        (&["audit", "tail"], "troth server run"),
        (&["health", "server"], "troth server run"),
        (&["health", "agent"], "troth agent run"),
        (&["agent", "status"], "troth agent run"),
        (&["agent", "leave"], "troth agent run"),
        (&["explain"], "troth agent run"),
    ] {
        let refused = run(&[&["--output", "json"], arguments, &["--data-dir", "/nowhere/troth"]].concat()).exits(4);
        assert_eq!(refused.problem(), "cannot_reach", "{arguments:?}");
        assert!(text_of(&refused.json(), "hint").contains(step), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn mistyped_commands_and_those_of_other_systems_draw_what_was_meant() {
    for (typed, meant) in [
        (&["entyr", "list"][..], "troth entry"),
        (&["entry", "craete"], "troth entry create"),
        (&["entry", "list", "--limti", "3"], "troth entry list --limit"),
        (&["agent", "list"], "troth node list"),
        (&["x509", "mint"], "troth svid fetch x509"),
        (&["token", "generate"], "troth token create"),
        (&["federation", "craete"], "troth federation create"),
        (&["federation", "create", "-trustDomain", "b.test"], "troth federation create --trust-domain TD"),
        (&["federation", "show", "-trustDomain", "b.test"], "troth federation show TD"),
    ] {
        let text = run(typed).exits(2);
        assert!(
            text.stdout.is_empty() && text.stderr.contains(&format!("did you mean: {meant}")),
            "{typed:?}: {text:?}"
        );
        let json = run(&[&["--output", "json"], typed].concat()).exits(2);
        assert_eq!(json.problem(), "usage");
        assert_eq!(text_of(&json.json(), "hint"), format!("did you mean: {meant}"), "{typed:?}");
    }
    let nothing = run(&["--output", "json", "svid", "fetch", "jwt"]).exits(2);
    assert_eq!(nothing.problem(), "usage");
    assert_eq!(
        text_of(&nothing.json(), "detail"),
        "the following required arguments were not provided: --audience <A>",
        "what is missing is named"
    );
    assert_eq!(run(&["--output", "json", "entry", "create"]).exits(2).problem(), "usage");
    assert_eq!(run(&[]).code, 2);
}

#[test]
fn every_code_is_explained() {
    for code in Code::ALL {
        let word = code.word();
        let told = run(&["--output", "json", "help", word]).exits(0).json();
        has_fields(&told, &["code", "meaning", "hint", "exit", "http_status", "retry"]);
        assert_eq!(told["code"], word);
    }
    let text = run(&["help", "entry_exists"]).exits(0).stdout;
    assert!(text.contains("troth entry update"), "{text}");
    assert!(run(&["help", "entry", "create"]).exits(0).stdout.contains("--selector"));
    assert!(run(&["help"]).exits(0).stdout.contains("quickstart"));
    let unknown = run(&["--output", "json", "help", "entry_exsits"]).exits(2).json();
    assert_eq!(text_of(&unknown, "hint"), "did you mean: troth help entry_exists");
}

#[test]
fn completions_are_scripts_that_their_shell_reads() {
    let bash = run(&["completions", "bash"]).exits(0).stdout;
    let mut child = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash starts");
    child.stdin.take().expect("a pipe").write_all(bash.as_bytes()).expect("it reads");
    let read = child.wait_with_output().expect("its end");
    assert!(read.status.success() && bash.contains("quickstart"), "{read:?}");
    for shell in ["zsh", "fish"] {
        assert!(run(&["completions", shell]).exits(0).stdout.contains("quickstart"), "{shell}");
    }
    assert_eq!(run(&["completions", "no-such-shell"]).code, 2);
}

#[test]
fn help_and_version_are_results() {
    let version = run(&["--output", "json", "version"]).exits(0).json();
    has_fields(&version, &["version"]);
    assert!(run(&["version"]).exits(0).stdout.starts_with("troth "));
    let help = run(&["--help"]).exits(0);
    assert!(help.stderr.is_empty() && help.stdout.contains("Exit codes"), "{help:?}");
    assert!(run(&["entry", "create", "--help"]).exits(0).stdout.contains("Example"));
    // What this version does not do is not offered.
    for absent in ["--downstream", "server migrate"] {
        assert!(
            !help.stdout.contains(absent) && !run(&["entry", "create", "--help"]).stdout.contains(absent),
            "{absent}"
        );
    }
}
