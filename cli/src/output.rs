//! What commands print: one JSON document or plain text on standard output; everything else goes to standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
}

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a result: the document, or the text made of it.
    pub(crate) fn result<T: Serialize>(self, document: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = match self.format {
            Format::Json => serde_json::to_writer_pretty(&mut out, document)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            Format::Text => write_block(&mut out, &text(document)),
        };
        ended_well(written.and_then(|()| out.flush()))
    }

    /// Prints one line of a stream: a compact JSON document, or the text made of it.
    pub(crate) fn line<T: Serialize>(self, document: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = match self.format {
            Format::Json => serde_json::to_writer(&mut out, document)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            Format::Text => write_block(&mut out, &text(document)),
        };
        ended_well(written.and_then(|()| out.flush()))
    }

    /// Prints text as it is, whatever the format: certificates, completions.
    pub(crate) fn raw(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        ended_well(write_block(&mut out, text).and_then(|()| out.flush()))
    }

    /// Tells the person something beside the result.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Warns the person, on standard error.
    pub(crate) fn warn(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "warning: {text}");
    }
}

fn write_block(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    out.write_all(text.as_bytes())?;
    if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") }
}

/// A reader that has enough (`| head`) is no failure.
fn ended_well(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(Failure::from),
    }
}

/// A list as scripts get it.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Lays out rows in columns under a header.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    push_row(&mut text, &widths, header.iter().copied());
    for row in rows {
        push_row(&mut text, &widths, row.iter().map(String::as_str));
    }
    text
}

fn push_row<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Lays out names and values, one a line.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    pairs.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}
