//! Finds the tests of the repository that carry ids. It reads lines, not Rust: `cargo fmt` sees to it that they are as expected.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A test that carries or names ids.
pub(crate) struct Test {
    /// Its name with its modules, as `cargo test` says it, after its crate's.
    pub(crate) path: String,
    /// The file, from the repository's folder.
    pub(crate) file: String,
    /// The ids that its attribute claims.
    pub(crate) covers: BTreeSet<String>,
    /// The ids that its name and the comment above it name.
    pub(crate) named: BTreeSet<String>,
}

/// Folders without tests of ours: what is built, the fuzz targets, this package.
const PASSED_OVER: [&str; 4] = ["build", "conformance", "fuzz", "target"];

/// Returns every test of the repository that carries or names an id, by file and then by name.
pub(crate) fn tests_in(repository: &Path) -> Result<Vec<Test>, String> {
    let mut files = Vec::new();
    collect(repository, &mut files).map_err(|error| format!("{}: {error}", repository.display()))?;
    let mut tests = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let place = file.strip_prefix(repository).unwrap_or(&file);
        tests.extend(tests_of(place, &text)?);
    }
    tests.sort_by(|one, two| (&one.file, &one.path).cmp(&(&two.file, &two.path)));
    Ok(tests)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if kind.is_dir() && !name.starts_with('.') && !PASSED_OVER.contains(&name) {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension() == Some(OsStr::new("rs")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the tests of one file.
fn tests_of(file: &Path, text: &str) -> Result<Vec<Test>, String> {
    let mut modules = Modules::of(file);
    let (mut above, mut tests) = (Above::default(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        modules.follow(line);
        above.take(line);
        if let Some(name) = function(line) {
            let above = std::mem::take(&mut above);
            let mut named = above.named;
            named.extend(ids_of_name(name));
            if above.is_test && !(above.covers.is_empty() && named.is_empty()) {
                tests.push(Test {
                    path: modules.path(name),
                    file: file.to_string_lossy().into_owned(),
                    covers: above.covers,
                    named,
                });
            } else if !above.covers.is_empty() {
                return Err(format!("{}:{}: covers stands above no test", file.display(), number + 1));
            }
        }
    }
    Ok(tests)
}

/// The comment and the attributes above a function.
#[derive(Default)]
struct Above {
    is_test: bool,
    /// Whether an attribute with ids goes on in the next line.
    in_covers: bool,
    covers: BTreeSet<String>,
    named: BTreeSet<String>,
}

impl Above {
    fn take(&mut self, line: &str) {
        let line = line.trim_start();
        self.in_covers |= line.starts_with("#[covers(");
        if self.in_covers {
            self.covers.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
            self.in_covers = !line.ends_with(")]");
        } else if line.starts_with("//") {
            self.named.extend(ids_of_text(line));
        } else if line.starts_with("#[") {
            self.is_test |= is_test_attribute(line);
        } else if function(line).is_none() {
            *self = Self::default();
        }
    }
}

/// Returns whether it is `#[test]`, `#[tokio::test]`, or the latter with options.
fn is_test_attribute(line: &str) -> bool {
    let path = line.trim_start_matches("#[").split([']', '(']).next().unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

/// Returns the name of the function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Returns the ids in a comment: `X509-13`, wherever it stands.
fn ids_of_text(text: &str) -> impl Iterator<Item = String> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-')
        .filter(|word| is_id(word))
        .map(str::to_owned)
}

fn is_id(word: &str) -> bool {
    let is_family = |family: &str| family.starts_with(|first: char| first.is_ascii_uppercase()) && !family.contains(|c: char| c.is_ascii_lowercase());
    word.split_once('-')
        .is_some_and(|(family, number)| is_family(family) && number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Returns the ids that a name begins with: `id_08_id_09_an_id_has` has ID-08 and ID-09.
fn ids_of_name(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let pairs = words.chunks_exact(2).map(|pair| pair.join("-").to_ascii_uppercase());
    pairs.take_while(|id| is_id(id)).collect()
}

/// The modules that a line is in.
struct Modules {
    of_file: Vec<String>,
    /// Those that the file itself opens, each with its indentation.
    opened: Vec<(usize, String)>,
}

impl Modules {
    /// `agent/src/endpoints/tests.rs` is `agent::endpoints::tests`; `tests/e2e/main.rs` is `e2e`.
    fn of(file: &Path) -> Self {
        let path = file.with_extension("");
        let parts: Vec<&str> = path.iter().filter_map(OsStr::to_str).collect();
        let of_file = match parts.as_slice() {
            ["tests", rest @ ..] if rest.first() != Some(&"src") => rest,
            [_package, "tests", rest @ ..] => rest,
            all => all,
        };
        let is_folder = |part: &&&str| !["src", "lib", "main", "mod"].contains(*part);
        Self {
            of_file: of_file.iter().filter(is_folder).map(|part| part.replace('-', "_")).collect(),
            opened: Vec::new(),
        }
    }

    fn follow(&mut self, line: &str) {
        let text = line.trim_start();
        let indentation = line.len() - text.len();
        let declared = text.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix("mod ");
        if let Some(name) = declared.and_then(|rest| rest.strip_suffix(" {")) {
            self.opened.push((indentation, name.to_owned()));
        } else if text == "}" && self.opened.last().is_some_and(|(at, _)| *at == indentation) {
            self.opened.pop();
        }
    }

    fn path(&self, name: &str) -> String {
        let opened = self.opened.iter().map(|(_, name)| name);
        let all: Vec<&str> = self.of_file.iter().chain(opened).map(String::as_str).chain([name]).collect();
        all.join("::")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
mod inner {
    /// ID-03 is about something else: this is no test.
    fn helper() {}
}

#[cfg(test)]
mod tests {
    // ID-01, T16: a comment.
    #[covers("ID-01", "ID-02")]
    #[test]
    fn one() {}

    #[covers(
        "ID-04",
        "ID-05"
    )]
    #[tokio::test(start_paused = true)]
    async fn two() {}

    proptest! {
        #[covers("ID-06")]
        #[test]
        fn three(text in ".*") {}
    }

    #[test]
    fn id_08_id_09_four() {}

    #[test]
    fn without() {}
}
"##;

    fn found(file: &str, text: &str) -> Vec<(String, String, String)> {
        let joined = |ids: &BTreeSet<String>| ids.iter().cloned().collect::<Vec<_>>().join(" ");
        let tests = tests_of(Path::new(file), text).unwrap();
        tests.into_iter().map(|test| (test.path, joined(&test.covers), joined(&test.named))).collect()
    }

    #[test]
    fn tests_are_found_with_their_modules_and_ids() {
        let expected = [
            ("a_part::room::tests::one", "ID-01 ID-02", "ID-01"),
            ("a_part::room::tests::two", "ID-04 ID-05", ""),
            ("a_part::room::tests::three", "ID-06", ""),
            ("a_part::room::tests::id_08_id_09_four", "", "ID-08 ID-09"),
        ];
        assert_eq!(
            found("a-part/src/room.rs", SOURCE),
            expected.map(|(path, covers, named)| (path.to_owned(), covers.to_owned(), named.to_owned()))
        );
    }

    #[test]
    fn modules_are_those_that_cargo_test_names() {
        for (file, expected) in [
            ("agent/src/endpoints/tests.rs", "agent::endpoints::tests::one"),
            ("agent/src/lib.rs", "agent::one"),
            ("ca-server/src/store/mod.rs", "ca_server::store::one"),
            ("tests/e2e/main.rs", "e2e::one"),
            ("tests/e2e/operators/bundles.rs", "e2e::operators::bundles::one"),
            ("tests/src/wait.rs", "tests::wait::one"),
            ("trust-domains/tests/corpus.rs", "corpus::one"),
        ] {
            assert_eq!(Modules::of(Path::new(file)).path("one"), expected, "{file}");
        }
    }

    #[test]
    fn ids_above_what_is_no_test_are_a_mistake() {
        assert!(tests_of(Path::new("a/src/lib.rs"), "#[covers(\"ID-01\")]\nfn one() {}").is_err());
    }
}
