//! Mistyped commands, and commands that people know from SPIRE and step: what they are called here.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use trust_domains::problem::Code;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Format;

/// Words of other systems, and the command here.
const KNOWN_ELSEWHERE: &[(&[&str], &str)] = &[
    (&["agent", "list"], "troth node list"),
    (&["agent", "show"], "troth node show NAME"),
    (&["agent", "ban"], "troth node ban NAME"),
    (&["agent", "evict"], "troth node evict NAME"),
    (&["agent", "count"], "troth node list"),
    (&["agent", "api"], "troth svid fetch x509"),
    (&["agent", "healthcheck"], "troth health agent"),
    (&["server", "healthcheck"], "troth health server"),
    (&["server", "token"], "troth token create"),
    (&["server", "entry"], "troth entry create"),
    (&["token", "generate"], "troth token create"),
    (&["x509", "mint"], "troth svid fetch x509"),
    (&["api", "fetch"], "troth svid fetch x509"),
    (&["api", "watch"], "troth svid watch"),
    (&["ca", "init"], "troth server init --trust-domain NAME"),
    (&["ca", "certificate"], "troth svid fetch x509"),
    (&["ca", "root"], "troth bundle show --format pem"),
    (&["ca", "roots"], "troth bundle show --format pem"),
    (&["ca", "health"], "troth health server"),
    (&["ca", "bootstrap"], "troth agent run --join LINK"),
    (&["localauthority", "x509", "show"], "troth authority list"),
    (&["localauthority", "x509", "prepare"], "troth authority prepare --kind x509-root"),
    (&["localauthority", "x509", "activate"], "troth authority activate ID"),
    (&["localauthority", "x509", "taint"], "troth authority taint ID"),
    (&["localauthority", "x509", "revoke"], "troth authority revoke ID"),
    (&["localauthority", "jwt", "show"], "troth authority list"),
    (&["localauthority", "jwt", "prepare"], "troth authority prepare --kind jwt"),
    (&["localauthority", "jwt", "activate"], "troth authority activate ID"),
    (&["localauthority", "jwt", "taint"], "troth authority taint ID"),
    (&["localauthority", "jwt", "revoke"], "troth authority revoke ID"),
    (&["localauthority"], "troth authority list"),
    (&["upstreamauthority"], "troth authority list"),
    (&["authority", "rotate"], "troth authority replace --kind KIND --because TEXT"),
    (&["authority", "show"], "troth authority list"),
    (&["ca", "rekey"], "troth authority replace --kind KIND --because TEXT"),
    (&["rotate"], "troth authority replace --kind KIND --because TEXT"),
    (&["federation", "add"], "troth federation accept LINK"),
    (&["federation", "get"], "troth federation show TD"),
    (&["federation", "set"], "troth federation update TD"),
    (&["federation", "remove"], "troth federation delete TD"),
    (&["federate"], "troth federation accept LINK"),
    (&["certificate", "inspect"], "troth svid lint FILE"),
    (&["certificate", "lint"], "troth svid lint FILE"),
    (&["validate"], "troth config check FILE"),
    (&["run"], "troth server run"),
    (&["healthcheck"], "troth health server"),
];

/// Options of SPIRE's commands, and what they are here: a single dash there.
const OPTIONS_ELSEWHERE: &[(&[&str], &str, &str)] = &[
    (&["federation", "create"], "trustDomain", "--trust-domain TD"),
    (&["federation", "update"], "trustDomain", "TD"),
    (&["federation", "show"], "trustDomain", "TD"),
    (&["federation"], "id", "TD"),
    (&["federation"], "bundleEndpointURL", "--url URL"),
    (&["federation"], "bundleEndpointProfile", "--profile https_spiffe|https_web"),
    (&["federation"], "endpointSpiffeID", "--endpoint-id ID"),
    (&["federation"], "trustDomainBundlePath", "--bootstrap-bundle FILE"),
    (&["federation"], "trustDomainBundleFormat", "--bootstrap-bundle FILE"),
    (&["bundle"], "id", "--trust-domain TD"),
    (&["bundle"], "path", "FILE"),
    (&["entry"], "spiffeID", "--spiffe-id ID"),
    (&["entry"], "parentID", "--parent NODE"),
    (&["entry"], "selector", "--selector TYPE:VALUE"),
    (&["entry"], "federatesWith", "--federates-with TD"),
    (&["entry"], "x509SVIDTTL", "--x509-ttl D"),
    (&["entry"], "jwtSVIDTTL", "--jwt-ttl D"),
    (&["entry"], "dns", "--dns NAME"),
    (&["entry"], "hint", "--hint TEXT"),
];

/// Prints help, or says what is wrong with the command line and what may have been meant.
pub(crate) fn explain(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Help that was asked for is a result; a closed pipe is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let meant = known_elsewhere(words)
        .filter(|_| error.kind() == ErrorKind::InvalidSubcommand)
        .map(str::to_owned)
        .or_else(|| option_elsewhere(words))
        .or_else(|| nearest(error, words));
    let failure = match meant {
        Some(meant) => Failure::new(Code::Usage, mistake(error)).with_hint(format!("did you mean: {meant}")),
        None if wants_json(words) => Failure::new(Code::Usage, mistake(error)),
        _ => {
            let _ = error.print();
            return ExitCode::from(Code::Usage.facts().exit);
        }
    };
    failure.report(if wants_json(words) { Format::Json } else { Format::Text });
    ExitCode::from(failure.exit())
}

fn known_elsewhere(words: &[OsString]) -> Option<&'static str> {
    let plain = plain_words(words);
    KNOWN_ELSEWHERE.iter().find(|(known, _)| plain.starts_with(known)).map(|(_, here)| *here)
}

/// The first option that is spelled as in SPIRE, and the whole command that it is here.
fn option_elsewhere(words: &[OsString]) -> Option<String> {
    let plain = plain_words(words);
    let spelled = words
        .iter()
        .filter_map(|word| word.to_str()?.strip_prefix('-'))
        .filter(|word| !word.starts_with('-'));
    let mut names = spelled.map(|word| word.split('=').next().unwrap_or_default());
    names.find_map(|name| {
        let known = OPTIONS_ELSEWHERE
            .iter()
            .find(|(command, there, _)| *there == name && plain.starts_with(command))?;
        let verb = plain.get(1).filter(|_| plain.len() > 1)?;
        Some(format!("troth {} {verb} {}", plain.first()?, known.2))
    })
}

/// The words of a command line without options, and without the values of those that every command has.
fn plain_words(words: &[OsString]) -> Vec<&str> {
    let global = Cli::command();
    let takes_value = |word: &str| {
        word.starts_with("--")
            && global
                .get_arguments()
                .any(|arg| arg.get_action().takes_values() && word.get(2..) == arg.get_long())
    };
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let pairs = texts.iter().zip(texts.iter().skip(1));
    pairs
        .filter(|(before, word)| !word.starts_with('-') && !takes_value(before))
        .map(|(_, word)| *word)
        .collect()
}

/// What clap finds nearest to a mistyped command or option, with the command that it belongs to; or to a mistyped value.
fn nearest(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let suggested = |kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.clone()),
        ContextValue::Strings(near) => near.first().cloned(),
        _ => None,
    };
    if let Some(value) = suggested(ContextKind::SuggestedValue) {
        return Some(value);
    }
    let word = suggested(ContextKind::SuggestedSubcommand).or_else(|| suggested(ContextKind::SuggestedArg))?;
    let mut command = crate::args::command();
    let mut meant = String::from("troth");
    for name in plain_words(words) {
        if let Some(sub) = command.find_subcommand(name) {
            meant = format!("{meant} {name}");
            command = sub.clone();
        }
    }
    Some(format!("{meant} {word}"))
}

/// What clap says of the mistake, as one line: a sentence, and below it the options or values that it is about. Tips and usage follow those; they are hints.
fn mistake(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let is_hint = |line: &&str| ["tip:", "Usage:", "For more information"].iter().any(|start| line.starts_with(start));
    let mut lines = text.lines().map(str::trim).take_while(|line| !is_hint(line)).filter(|line| !line.is_empty());
    let sentence = lines.next().unwrap_or_default();
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    let about = lines.collect::<Vec<_>>().join(", ");
    format!("{sentence} {about}").trim_end().to_owned()
}

/// The command line did not parse, so the format is read off its words, else off the environment.
fn wants_json(words: &[OsString]) -> bool {
    let mut said = words.windows(2).filter_map(|pair| match pair {
        [name, value] if name == "--output" => value.to_str(),
        [_, word] => word.to_str()?.strip_prefix("--output="),
        _ => None,
    });
    said.next().map_or_else(
        || std::env::var_os("TROTH_OUTPUT").is_some_and(|value| value == "json"),
        |format| format == "json",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn commands_of_other_systems_are_named_here() {
        assert_eq!(known_elsewhere(&words("troth agent list")), Some("troth node list"));
        assert_eq!(
            known_elsewhere(&words("troth --output json x509 mint --spiffe-id x")),
            Some("troth svid fetch x509")
        );
        assert_eq!(known_elsewhere(&words("troth -q x509 --output=json mint")), Some("troth svid fetch x509"));
        assert_eq!(known_elsewhere(&words("troth x509 mint -spiffeID x")), Some("troth svid fetch x509"));
        assert_eq!(
            known_elsewhere(&words("troth localauthority x509 prepare")),
            Some("troth authority prepare --kind x509-root")
        );
        assert_eq!(
            known_elsewhere(&words("troth authority rotate --kind jwt")),
            Some("troth authority replace --kind KIND --because TEXT")
        );
        assert_eq!(known_elsewhere(&words("troth entry list")), None);
    }

    #[test]
    fn a_mistyped_word_draws_the_nearest_one_with_its_command() {
        let meant = |line: &str| nearest(&crate::args::command().try_get_matches_from(words(line)).unwrap_err(), &words(line));
        assert_eq!(meant("troth entyr list").as_deref(), Some("troth entry"));
        assert_eq!(meant("troth --output json entry craete").as_deref(), Some("troth entry create"));
        assert_eq!(meant("troth entry list --limti 3").as_deref(), Some("troth entry list --limit"));
        assert_eq!(meant("troth --output jsn version").as_deref(), Some("json"));
        assert_eq!(meant("troth qqqqqq"), None);
    }

    #[test]
    fn a_mistake_is_told_whole_in_one_line_without_usage_and_tips() {
        let told = |line: &str| mistake(&crate::args::command().try_get_matches_from(words(line)).unwrap_err());
        assert_eq!(
            told("troth svid fetch jwt"),
            "the following required arguments were not provided: --audience <A>"
        );
        assert_eq!(
            told("troth svid mint jwt"),
            "the following required arguments were not provided: --spiffe-id <ID>, --audience <A>"
        );
        assert_eq!(
            told("troth --output jsn version"),
            "invalid value 'jsn' for '--output <OUTPUT>' [possible values: text, json]"
        );
        assert_eq!(told("troth entry list --limti 3"), "unexpected argument '--limti' found");
        let ttl = told("troth svid mint wit --spiffe-id /a --ttl 1y");
        assert!(ttl.starts_with("invalid value '1y' for '--ttl <D>': ") && !ttl.contains("--help"), "{ttl}");
    }

    #[test]
    fn options_spelled_as_in_spire_draw_what_they_are_here() {
        let meant = |line: &str| option_elsewhere(&words(line));
        assert_eq!(
            meant("troth federation create -trustDomain b.test -bundleEndpointURL https://b.test").as_deref(),
            Some("troth federation create --trust-domain TD")
        );
        assert_eq!(meant("troth federation show -trustDomain=b.test").as_deref(), Some("troth federation show TD"));
        assert_eq!(
            meant("troth --output json federation delete -id b.test").as_deref(),
            Some("troth federation delete TD")
        );
        assert_eq!(meant("troth entry create -spiffeID /a").as_deref(), Some("troth entry create --spiffe-id ID"));
        assert_eq!(meant("troth federation create --trustDomain b.test"), None, "clap finds that one");
        assert_eq!(meant("troth -q entry list"), None);
    }

    #[test]
    fn every_named_command_exists() {
        for (_, here) in KNOWN_ELSEWHERE {
            let mut command = crate::args::command();
            for word in here
                .split(' ')
                .skip(1)
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("{here}: no {word}")).clone();
            }
        }
    }
}
