//! What was measured, as a table for people and as JSON for programs.

use serde::Serialize;

use super::meter::{self, Machine};
use super::subject::{Effort, Subject};

/// One number of a figure.
#[derive(Debug, Clone, Serialize)]
pub struct Value {
    /// What it is, as `p99`.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit; empty for a ratio or a count.
    pub unit: &'static str,
    /// The most that the design allows, where it judges by this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
}

impl Value {
    /// Returns a number that nothing is judged by.
    #[must_use]
    pub const fn plain(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, most: None }
    }

    /// Returns a number with the most that it may be.
    #[must_use]
    pub const fn judged(name: &'static str, value: f64, unit: &'static str, most: f64) -> Self {
        Self {
            name,
            value,
            unit,
            most: Some(most),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.name, with_unit(self.value, self.unit))
    }

    fn goal(&self) -> Option<String> {
        self.most.map(|most| format!("{} ≤ {}", self.name, with_unit(most, self.unit)))
    }
}

/// One figure of the design.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// Its number in the design.
    pub id: &'static str,
    /// What it says.
    pub what: &'static str,
    /// How it was measured.
    pub how: String,
    /// The numbers.
    pub values: Vec<Value>,
}

impl Figure {
    /// Returns whether every number that the design judges by is good enough.
    #[must_use]
    pub fn met(&self) -> bool {
        self.values.iter().all(|value| value.most.is_none_or(|most| value.value <= most))
    }

    fn row(&self) -> String {
        let values: Vec<_> = self.values.iter().map(Value::text).collect();
        let goals: Vec<_> = self.values.iter().filter_map(Value::goal).collect();
        let met = if self.met() { "yes" } else { "**no**" };
        format!(
            "| {} | {} | {} | {} | {met} | `load {}`: {} |\n",
            self.id,
            self.what,
            values.join("; "),
            goals.join("; "),
            self.id.to_lowercase(),
            self.how
        )
    }
}

/// Everything that one run measured, and on what.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: Machine,
    /// The CPU time of one raw signature before and after the figures, in microseconds.
    pub raw_signature_us: [f64; 2],
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Measures some figures, one after the other.
    #[must_use]
    pub fn measure(subjects: &[Subject], effort: Effort) -> Self {
        let machine = Machine::here();
        let before = meter::raw_signature_us();
        let mut figures = Vec::new();
        for subject in subjects.iter().flat_map(|subject| subject.expand()) {
            eprintln!("load: {subject:?}");
            figures.extend(subject.measure(effort));
        }
        Self {
            machine,
            raw_signature_us: [before, meter::raw_signature_us()],
            figures,
        }
    }

    /// Returns the table and the note about the machine, in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let [before, after] = self.raw_signature_us;
        let mut text = format!(
            "Machine: {}. Raw signature: {before:.1} us at the beginning, {after:.1} us at the end.\n\n",
            self.machine
        );
        text.push_str("| # | what | measured | reach | met | how |\n|---|---|---|---|---|---|\n");
        text.extend(self.figures.iter().map(Figure::row));
        text
    }

    /// Returns everything as one JSON document.
    ///
    /// # Panics
    ///
    /// Never: there is nothing in it that JSON cannot say.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and text")
    }
}

fn with_unit(value: f64, unit: &str) -> String {
    let number = match value {
        value if value == value.trunc() || value >= 1_000.0 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}
