//! The command line as the contract with scripts: fields, exit codes, short forms, and what each refusal says.

mod audit;
mod bundles;
mod command_line;
mod entries;
mod entry_files;
mod environment;
mod explain;
mod federation;
mod health;
mod lifecycle;
mod mint_wit;
mod nodes;
mod tokens;
mod wait;

use serde_json::Value;
use tests::command::{Run, run};
use tests::domain::{Domain, path_text};

/// Runs an operator's command on the server as a person does: the answer is text.
fn typed(domain: &Domain, arguments: &[&str]) -> Run {
    let data = domain.server_data();
    let mut all = arguments.to_vec();
    all.extend(["--data-dir", path_text(&data)]);
    run(&all)
}

/// Checks that a document has at least these fields, none of them missing even where it is null.
fn has_fields(document: &Value, fields: &[&str]) {
    let object = document.as_object().unwrap_or_else(|| panic!("no object: {document}"));
    for field in fields {
        assert!(object.contains_key(*field), "no {field} in {document}");
    }
}

fn text_of<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("no text {field} in {document}"))
}

fn items(list: &Value) -> &Vec<Value> {
    has_fields(list, &["items", "next"]);
    list["items"].as_array().expect("items")
}

/// Checks that a field is a time of RFC 3339 in UTC.
fn is_time(document: &Value, field: &str) {
    let text = text_of(document, field);
    let parsed: Result<trust_domains::Timestamp, _> = text.parse();
    assert!(parsed.is_ok() && text.ends_with('Z'), "{field} is {text}");
}
