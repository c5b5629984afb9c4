//! The SPIFFE rules that every certificate made here must show before it is recorded (X509-SVID sections 2 to 4).

use rcgen::{CertificateParams, IsCa};
use trust_domains::SpiffeId;
use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension, SubjectAlternativeName};

/// What the extensions of one certificate say; a doubled extension counts as missing.
#[derive(Default)]
struct Extensions<'a> {
    subject_alternative_name: Option<&'a SubjectAlternativeName<'a>>,
    subject_alternative_name_critical: bool,
    key_usage: Option<&'a KeyUsage>,
    key_usage_critical: bool,
    extended_key_usage: Option<&'a ExtendedKeyUsage<'a>>,
    is_ca: bool,
    path_len: Option<u32>,
}

/// Compares the octets that were encoded with the rules for what was asked; the error names the first part that differs.
pub(crate) fn check(tbs: &TbsCertificate<'_>, spiffe_id: &SpiffeId, params: &CertificateParams) -> Result<(), &'static str> {
    let extensions = read(tbs)?;
    check_identity(tbs, &extensions, spiffe_id)?;
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

/// X509-01: exactly one URI SAN, the ID itself; X509-04: critical where the subject is empty; X509-11: a critical key usage.
fn check_identity(tbs: &TbsCertificate<'_>, extensions: &Extensions<'_>, spiffe_id: &SpiffeId) -> Result<(), &'static str> {
    let names = extensions.subject_alternative_name.map_or(&[][..], |names| &names.general_names);
    let [GeneralName::URI(uri)] = names else {
        return Err("the subject alternative name");
    };
    if *uri != spiffe_id.as_str() {
        return Err("the SPIFFE ID");
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
