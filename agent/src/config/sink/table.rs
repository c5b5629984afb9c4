//! A `[[sink]]` table, with every mistake under its key.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use platform::config::TableMistakes;
use trust_domains::TrustDomain;
use trust_domains::delivery::{Format, TokenName};
use trust_domains::plan::reloading::DEFAULT_LISTS_INTERVAL;

use super::super::one_trust_domain::OneTrustDomain;
use super::super::raw::{RawSink, RawSinkToken};
use super::super::reload;
use super::{ParseSinkError, SinkConfig, place};
use crate::jwt_svids::Audience;
use crate::sinks::{SinkContents, SinkToken};

/// Reads a table, in which a directory is absolute: where the process is started is no part of the file.
pub(super) fn read(mistakes: &mut TableMistakes<'_>, table: &RawSink) -> Option<SinkConfig> {
    let id = mistakes.check("spiffe_id", table.spiffe_id.parse().map_err(ParseSinkError::Id));
    let directory = mistakes.check("directory", directory(&table.directory));
    let key_mode = optional(mistakes, "mode", table.mode.as_deref());
    let layout = optional(mistakes, "layout", table.layout.as_deref());
    let on_withdraw = optional(mistakes, "on_withdraw", table.on_withdraw.as_deref());
    let contents = contents(mistakes, table);
    let hooks = reload::hooks(mistakes, &table.reload);
    let interval = mistakes.check("crl_reload_interval", reload::lists_interval(table.crl_reload_interval.as_deref()));
    Some(SinkConfig {
        id: id?,
        directory: directory?,
        owner: table.owner.clone(),
        group: table.group.clone(),
        key_mode: key_mode?.unwrap_or_default(),
        layout: layout?.unwrap_or_default(),
        contents: contents?,
        on_withdraw: on_withdraw?.unwrap_or_default(),
        hooks,
        crl_reload_interval: interval.unwrap_or(DEFAULT_LISTS_INTERVAL),
    })
}

/// Returns `None` for a mistake, and `Some(None)` for what is not said.
fn optional<T: FromStr<Err: std::fmt::Display>>(mistakes: &mut TableMistakes<'_>, key: &str, said: Option<&str>) -> Option<Option<T>> {
    mistakes.check(key, said.map(str::parse).transpose())
}

fn directory(text: &str) -> Result<PathBuf, ParseSinkError> {
    let directory = Path::new(text);
    if directory.is_absolute() {
        place(directory)
    } else {
        Err(ParseSinkError::Directory { directory: text.to_owned() })
    }
}

/// Reads what the files hold.
fn contents(mistakes: &mut TableMistakes<'_>, table: &RawSink) -> Option<SinkContents> {
    let formats = formats(mistakes, table.formats.as_deref());
    let tokens = tokens(mistakes, &table.jwt);
    let trust_domain = trust_domain(mistakes, table.trust_domain.as_deref());
    let password = password_file(mistakes, table.keystore_password_file.as_deref());
    let contents = SinkContents {
        formats: formats?,
        trust_domain: trust_domain?,
        tokens: tokens?,
        keystore_password_file: password?,
    };
    if contents.formats.is_empty() && contents.tokens.is_empty() {
        mistakes.add("formats", "the sink delivers nothing: name formats, or tokens in [[sink.jwt]]");
        return None;
    }
    if contents.keystore_password_file.is_some() && !contents.formats.iter().any(|format| format.has_password()) {
        mistakes.add("keystore_password_file", "is of no use without the format pkcs12 or jks");
        return None;
    }
    Some(contents)
}

fn formats(mistakes: &mut TableMistakes<'_>, said: Option<&[String]>) -> Option<Vec<Format>> {
    let Some(said) = said else { return Some(SinkContents::default().formats) };
    let mut formats = Vec::new();
    let mut are_known = true;
    for (index, name) in said.iter().enumerate() {
        match mistakes.check(&format!("formats[{index}]"), name.parse()) {
            Some(format) if formats.contains(&format) => {}
            Some(format) => formats.push(format),
            None => are_known = false,
        }
    }
    are_known.then_some(formats)
}

fn tokens(mistakes: &mut TableMistakes<'_>, tables: &[RawSinkToken]) -> Option<Vec<SinkToken>> {
    let mut tokens: Vec<SinkToken> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let mut mistakes = mistakes.within(&format!("jwt[{index}]"));
        let name: Option<TokenName> = mistakes.check("name", table.name.parse());
        let audience = mistakes.check("audiences", Audience::of(table.audiences.clone()));
        let (Some(name), Some(audience)) = (name, audience) else { continue };
        if tokens.iter().any(|token| token.name == name) {
            mistakes.add("name", format_args!("there are two tokens with the name {name}"));
        } else {
            tokens.push(SinkToken { name, audience });
        }
    }
    (tokens.len() == tables.len()).then_some(tokens)
}

fn trust_domain(mistakes: &mut TableMistakes<'_>, said: Option<&str>) -> Option<Option<TrustDomain>> {
    let one = optional(mistakes, "trust_domain", said)?;
    Some(one.map(|OneTrustDomain(trust_domain)| trust_domain))
}

fn password_file(mistakes: &mut TableMistakes<'_>, said: Option<&str>) -> Option<Option<PathBuf>> {
    let Some(said) = said else { return Some(None) };
    let path = PathBuf::from(said);
    if path.is_absolute() {
        return Some(Some(path));
    }
    mistakes.add("keystore_password_file", format_args!("{said:?} is not an absolute path"));
    None
}

#[cfg(test)]
mod tests;
