//! The page: `docs/conformance.md`.

use std::fmt::Write as _;

use crate::coverage::{Coverage, Standing};
use crate::sources::Test;
use crate::standard::{Chapter, Requirement};

/// Where the page is.
pub(crate) const PLACE: &str = "docs/conformance.md";

/// Returns the page.
pub(crate) fn render(coverage: &Coverage) -> String {
    let mut page = head(coverage);
    summary(coverage, &mut page);
    for chapter in &coverage.standard.chapters {
        table(coverage, chapter, &mut page);
    }
    page
}

fn head(coverage: &Coverage) -> String {
    format!(
        "# Conformance with the SPIFFE standards\n\n\
        Every rule of the standards, in our own words, and the tests that show that Troth keeps it. The standards stay authoritative; this is their revision {}.\n\n\
        The page is made by `cargo run -p conformance`, from `conformance/requirements.txt`, from the attribute `#[covers(\"ID-04\")]` of the tests, and from\n\
        `conformance/without-test.txt`, which says of each other rule why no test shows it. A test fails when the page is out of date.\n\n\
        Strengths in round brackets follow from a definition or a table instead of a key word. Who is bound: I issuer, A agent, C client of the agent,\n\
        S bundle endpoint, F reader of bundle endpoints, V validator, O operator.\n",
        coverage.standard.revision
    )
}

/// How many rules of a chapter stand how.
#[derive(Default)]
struct Counts {
    all: usize,
    shown: usize,
    not_ours: usize,
    open: usize,
    open_musts: usize,
}

impl Counts {
    fn add(&mut self, requirement: &Requirement, standing: &Standing<'_>) {
        self.all += 1;
        match standing {
            Standing::Shown(_) => self.shown += 1,
            Standing::Explained(_) => self.not_ours += 1,
            Standing::Open => {
                self.open += 1;
                self.open_musts += usize::from(requirement.is_must());
            }
        }
    }

    fn row(&self, name: &str) -> String {
        let Self {
            all,
            shown,
            not_ours,
            open,
            open_musts,
        } = self;
        format!("| {name} | {all} | {shown} | {not_ours} | {open} | {open_musts} |\n")
    }
}

fn summary(coverage: &Coverage, page: &mut String) {
    page.push_str("\n| chapter | rules | shown by tests | not ours | open | open MUSTs |\n|---|---|---|---|---|---|\n");
    let mut total = Counts::default();
    for chapter in &coverage.standard.chapters {
        let mut counts = Counts::default();
        for requirement in &chapter.requirements {
            let standing = coverage.standing(requirement);
            counts.add(requirement, &standing);
            total.add(requirement, &standing);
        }
        page.push_str(&counts.row(&format!("[{}](#{})", chapter.name, anchor(&chapter.name))));
    }
    page.push_str(&total.row("all"));
}

/// The name of a heading in a link, as the viewers of Markdown make it.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

fn table(coverage: &Coverage, chapter: &Chapter, page: &mut String) {
    let Chapter { name, document, status, .. } = chapter;
    let _ = write!(
        page,
        "\n## {name}\n\n{document}; {status}.\n\n| id | strength | section | who | what | shown by |\n|---|---|---|---|---|---|\n"
    );
    for requirement in &chapter.requirements {
        let Requirement {
            id,
            strength,
            section,
            roles,
            what,
        } = requirement;
        let standing = standing(&coverage.standing(requirement));
        let _ = writeln!(page, "| {id} | {strength} | {section} | {roles} | {what} | {standing} |");
    }
}

fn standing(standing: &Standing<'_>) -> String {
    match standing {
        Standing::Shown(tests) => tests.iter().map(|test| link(test)).collect::<Vec<_>>().join("<br>"),
        Standing::Explained(reason) => format!("not ours, because {}", reason.text),
        Standing::Open => "**open**".to_owned(),
    }
}

fn link(test: &Test) -> String {
    format!("[{}](../{})", test.path, test.file)
}
