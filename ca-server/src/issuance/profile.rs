//! The SPIFFE rules that every certificate made here must show before it is recorded (X509-SVID sections 2 to 4).

use rcgen::{CertificateParams, DnType, DnValue, IsCa, SanType};
use trust_domains::SpiffeId;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, NameConstraints, ParsedExtension, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_COMMON_NAME;

/// What the extensions of one certificate say; a doubled extension counts as missing.
#[derive(Default)]
struct Extensions<'a> {
    subject_alternative_name: Option<&'a SubjectAlternativeName<'a>>,
    subject_alternative_name_critical: bool,
    key_usage: Option<&'a KeyUsage>,
    key_usage_critical: bool,
    extended_key_usage: Option<&'a ExtendedKeyUsage<'a>>,
    name_constraints: Option<&'a NameConstraints<'a>>,
    name_constraints_critical: bool,
    is_ca: bool,
    path_len: Option<u32>,
}

/// Compares the octets that were encoded with the rules for what was asked; the error names the first part that differs.
pub(crate) fn check(tbs: &TbsCertificate<'_>, spiffe_id: &SpiffeId, params: &CertificateParams) -> Result<(), &'static str> {
    let extensions = read(tbs)?;
    check_identity(tbs, &extensions, spiffe_id, params)?;
    check_constraints(&extensions, params)?;
    match &params.is_ca {
        IsCa::Ca(constraints) => check_signing(&extensions, constraints),
        IsCa::NoCa | IsCa::ExplicitNoCa => check_leaf(&extensions, spiffe_id),
    }
}

fn read<'a>(tbs: &'a TbsCertificate<'a>) -> Result<Extensions<'a>, &'static str> {
    let mut found = Extensions::default();
    let mut seen = Vec::with_capacity(tbs.extensions().len());
    for extension in tbs.extensions() {
        if seen.contains(&&extension.oid) {
            return Err("an extension is there twice");
        }
        seen.push(&extension.oid);
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => {
                found.subject_alternative_name = Some(names);
                found.subject_alternative_name_critical = extension.critical;
            }
            ParsedExtension::KeyUsage(usage) => {
                found.key_usage = Some(usage);
                found.key_usage_critical = extension.critical;
            }
            ParsedExtension::NameConstraints(constraints) => {
                found.name_constraints = Some(constraints);
                found.name_constraints_critical = extension.critical;
            }
            ParsedExtension::ExtendedKeyUsage(usage) => found.extended_key_usage = Some(usage),
            ParsedExtension::BasicConstraints(constraints) => {
                found.is_ca = constraints.ca;
                found.path_len = constraints.path_len_constraint;
            }
            ParsedExtension::ParseError { .. } => return Err("an extension cannot be read"),
            _ => {}
        }
    }
    Ok(found)
}

/// X509-01: exactly one URI SAN, the ID itself, and behind it the DNS names that were asked for and nothing else; X509-04: critical where the subject is empty;
/// X509-11: a critical key usage.
fn check_identity(tbs: &TbsCertificate<'_>, extensions: &Extensions<'_>, spiffe_id: &SpiffeId, params: &CertificateParams) -> Result<(), &'static str> {
    let names = extensions.subject_alternative_name.map_or(&[][..], |names| &names.general_names);
    let [GeneralName::URI(uri), others @ ..] = names else {
        return Err("the subject alternative name");
    };
    if *uri != spiffe_id.as_str() {
        return Err("the SPIFFE ID");
    }
    let asked: Vec<&str> = params.subject_alt_names.iter().filter_map(dns_name).collect();
    let written: Option<Vec<&str>> = others
        .iter()
        .map(|name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None })
        .collect();
    if written.as_deref() != Some(asked.as_slice()) {
        return Err("the DNS names");
    }
    if matches!(params.is_ca, IsCa::NoCa | IsCa::ExplicitNoCa) {
        check_subject(tbs, params)?;
    }
    let subject_is_empty = tbs.subject.iter().next().is_none();
    if subject_is_empty && !extensions.subject_alternative_name_critical {
        return Err("the criticality of the subject alternative name");
    }
    if extensions.key_usage_critical {
        Ok(())
    } else {
        Err("the criticality of the key usage")
    }
}

fn dns_name(name: &SanType) -> Option<&str> {
    match name {
        SanType::DnsName(name) => Some(name.as_str()),
        _ => None,
    }
}

/// The subject of a leaf is the common name that was asked for, or empty.
fn check_subject(tbs: &TbsCertificate<'_>, params: &CertificateParams) -> Result<(), &'static str> {
    let asked = match params.distinguished_name.get(&DnType::CommonName) {
        Some(DnValue::Utf8String(name)) => Some(name.as_str()),
        Some(_) => return Err("the subject"),
        None => None,
    };
    let mut attributes = tbs.subject.iter_attributes();
    let (first, more) = (attributes.next(), attributes.next());
    let is_name = first.is_none_or(|attribute| *attribute.attr_type() == OID_X509_COMMON_NAME);
    let written = first.map(|attribute| attribute.as_str().unwrap_or_default());
    if is_name && written == asked && more.is_none() {
        Ok(())
    } else {
        Err("the subject")
    }
}

/// X509-09, RFC 5280 section 4.2.1.10: name constraints where they were asked for, critical, of as many subtrees; on a leaf never.
fn check_constraints(extensions: &Extensions<'_>, params: &CertificateParams) -> Result<(), &'static str> {
    let asked = params.name_constraints.as_ref().map(|asked| asked.permitted_subtrees.len());
    let written = extensions
        .name_constraints
        .map(|written| written.permitted_subtrees.as_ref().map_or(0, Vec::len));
    let excluded = extensions.name_constraints.is_some_and(|written| written.excluded_subtrees.is_some());
    let holds = asked == written && !excluded && (asked.is_none() || extensions.name_constraints_critical);
    if holds { Ok(()) } else { Err("the name constraints") }
}

/// X509-03, X509-09, X509-13, X509-15.
fn check_leaf(extensions: &Extensions<'_>, spiffe_id: &SpiffeId) -> Result<(), &'static str> {
    let usage = extensions.key_usage.ok_or("the key usage")?;
    let purposes = extensions.extended_key_usage.ok_or("the extended key usage")?;
    let facts = [
        ("the path of the SPIFFE ID", !spiffe_id.path().is_empty()),
        ("the CA flag", !extensions.is_ca),
        ("the key usage", usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign()),
        ("the extended key usage", purposes.server_auth && purposes.client_auth && !purposes.any),
    ];
    facts.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(what, _)| Err(what))
}

/// X509-05, X509-12, X509-14 and the path length of this kind of authority.
fn check_signing(extensions: &Extensions<'_>, constraints: &rcgen::BasicConstraints) -> Result<(), &'static str> {
    let usage = extensions.key_usage.ok_or("the key usage")?;
    let path_len = match constraints {
        rcgen::BasicConstraints::Unconstrained => None,
        rcgen::BasicConstraints::Constrained(path_len) => Some(u32::from(*path_len)),
    };
    let facts = [
        ("the CA flag", extensions.is_ca),
        ("the path length", extensions.path_len == path_len),
        ("the key usage", usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature()),
        ("the extended key usage", extensions.extended_key_usage.is_none()),
    ];
    facts.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(what, _)| Err(what))
}
