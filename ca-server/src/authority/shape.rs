//! What the certificates of the authorities look like (X509-SVID sections 3.2 and 4; RFC 5280 section 4.2.1).

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyIdMethod, KeyUsagePurpose, NameConstraints, SanType,
};
use trust_domains::x509::{IpRange, PermittedNames};
use trust_domains::{Serial, Timestamp, TrustDomain};

use super::public_half::KeyId;

/// The attribute that makes each authority's name its own (X.520 serialNumber): verifiers that meet many authorities of one name try them all.
const SERIAL_NUMBER_ATTRIBUTE: &[u64] = &[2, 5, 4, 5];

/// Returns the shape of a root: self-signed, no path length, the trust domain as its ID.
pub(crate) fn root(trust_domain: &TrustDomain, key: KeyId, not_before: Timestamp, not_after: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    signing(trust_domain, "Troth root", key, BasicConstraints::Unconstrained, not_before, not_after)
}

/// Returns the shape of an issuing CA: leaves only below it.
pub(crate) fn issuing(
    trust_domain: &TrustDomain,
    key: KeyId,
    permitted: &PermittedNames,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = signing(trust_domain, "Troth issuing CA", key, BasicConstraints::Constrained(0), not_before, not_after)?;
    params.use_authority_key_identifier_extension = true;
    params.name_constraints = (!permitted.is_empty()).then(|| constraints(permitted));
    Ok(params)
}

/// The constraints to these names (RFC 5280 section 4.2.1.10). Never to URIs: webpki refuses every chain with such a constraint.
fn constraints(permitted: &PermittedNames) -> NameConstraints {
    let dns = permitted.dns().iter().map(|name| GeneralSubtree::DnsName(name.domain().to_owned()));
    let ip = permitted.ip().iter().map(|range| GeneralSubtree::IpAddress(subnet(*range)));
    NameConstraints {
        permitted_subtrees: dns.chain(ip).collect(),
        excluded_subtrees: Vec::new(),
    }
}

fn subnet(range: IpRange) -> CidrSubnet {
    CidrSubnet::from_addr_prefix(range.address(), range.prefix())
}

/// keyCertSign and cRLSign from the first day, so that revocation needs no new authority; no extended key usage, which would narrow what is below.
fn signing(
    trust_domain: &TrustDomain,
    role: &str,
    key: KeyId,
    constraints: BasicConstraints,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, role);
    params
        .distinguished_name
        .push(DnType::CustomDnType(SERIAL_NUMBER_ATTRIBUTE.to_vec()), key.to_string());
    params.subject_alt_names = vec![SanType::URI(trust_domain.id().as_str().try_into()?)];
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.as_bytes().to_vec());
    params.not_before = not_before.to_offset_date_time();
    params.not_after = not_after.to_offset_date_time();
    Ok(params)
}

/// Returns a serial number that this issuer has never given: its tag and 88 random bits.
pub(crate) fn fresh_serial(issuer: KeyId) -> Option<Serial> {
    platform::random::array::<11>()
        .ok()
        .map(|random| Serial::from_parts(issuer.serial_tag(), random))
}
