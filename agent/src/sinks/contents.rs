//! What the files of a sink hold.

use std::sync::Arc;

use bytes::Bytes;
use platform::random;
use trust_domains::delivery::{ComposeError, Credentials, DomainTrust, FileName, FileSetSpec, KeystorePassword, PASSWORD_FILE, SetFile, TokenSpec, compose};
use trust_domains::jwt_svid;
use zeroize::Zeroizing;

use super::config::SinkContents;
use super::error::SinkError;
use super::password;
use super::tokens::HeldTokens;
use crate::svids::{IdentityView, IssuedSvid};

/// What a set is made of, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Material {
    pub(super) view: Arc<IdentityView>,
    pub(super) tokens: Arc<HeldTokens>,
}

impl Material {
    /// Returns whether both make the same files.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view, &other.view) && Arc::ptr_eq(&self.tokens, &other.tokens)
    }
}

/// Makes the files of a sink; what was made last is kept, so that looking at it again costs nothing and has the same salts.
pub(super) struct Composer {
    contents: SinkContents,
    /// The password that was generated, once.
    generated: Option<KeystorePassword>,
    last: Option<(Material, Arc<[SetFile]>)>,
}

impl Composer {
    pub(super) fn new(contents: SinkContents) -> Self {
        Self {
            contents,
            generated: None,
            last: None,
        }
    }

    /// Returns the whole set. `in_place` reads a file of the set that is there: the password that was generated once stays over restarts.
    pub(super) fn files(
        &mut self,
        material: &Material,
        in_place: impl FnOnce(&FileName) -> Result<Option<Zeroizing<Vec<u8>>>, SinkError>,
    ) -> Result<Arc<[SetFile]>, SinkError> {
        if let Some((made_of, files)) = &self.last
            && made_of.is(material)
        {
            return Ok(Arc::clone(files));
        }
        let Some(svid) = material.view.svids.first() else { return Ok(Arc::new([])) };
        let spec = FileSetSpec {
            formats: self.contents.formats.clone(),
            trust_domain: self.contents.trust_domain.clone(),
            tokens: token_specs(&self.contents),
            keystore_password: self.password(in_place)?,
        };
        let files: Arc<[SetFile]> = with_chance(|chance| compose(&spec, &credentials(svid, material), chance))?
            .map_err(SinkError::Compose)?
            .into();
        self.last = Some((material.clone(), Arc::clone(&files)));
        Ok(files)
    }

    /// Returns the password of key stores, where there are any: that of its file, read anew each time, or the one that was generated.
    fn password(&mut self, in_place: impl FnOnce(&FileName) -> Result<Option<Zeroizing<Vec<u8>>>, SinkError>) -> Result<Option<KeystorePassword>, SinkError> {
        if !self.contents.formats.iter().any(|format| format.has_password()) {
            return Ok(None);
        }
        if let Some(file) = &self.contents.keystore_password_file {
            return password::read(file).map(Some);
        }
        if self.generated.is_none() {
            let name: FileName = PASSWORD_FILE.parse().map_err(|error| SinkError::Compose(ComposeError::from(error)))?;
            let kept = in_place(&name)?.and_then(|octets| password::kept(&octets));
            self.generated = Some(kept.map_or_else(|| with_chance(KeystorePassword::generated), Ok)?);
        }
        Ok(self.generated.clone())
    }

    /// Returns why the set holds less than is asked for, if it does.
    pub(super) fn lack(&self, material: &Material) -> Option<String> {
        let untrusted = self.contents.trust_domain.as_ref().filter(|named| material.view.bundle_of(named).is_none());
        let untrusted = untrusted.map(|named| {
            format!(
                "there is no bundle of {named}, so nothing verifies its peers; let the entry federate with it: troth entry update ID --federates-with {named}"
            )
        });
        untrusted.or_else(|| material.tokens.lack())
    }
}

/// Runs with the system's random generator.
fn with_chance<T>(act: impl FnOnce(&mut dyn FnMut(&mut [u8])) -> T) -> Result<T, SinkError> {
    let mut filled = Ok(());
    let made = act(&mut |octets: &mut [u8]| filled = filled.and(random::fill(octets)));
    filled?;
    Ok(made)
}

fn token_specs(contents: &SinkContents) -> Vec<TokenSpec> {
    let spec = |token: &super::config::SinkToken| {
        let audience = jwt_svid::Audience::new(token.audience.values().to_vec()).ok()?;
        Some(TokenSpec {
            name: token.name.clone(),
            audience,
        })
    };
    contents.tokens.iter().filter_map(spec).collect()
}

fn credentials<'a>(svid: &'a IssuedSvid, material: &'a Material) -> Credentials<'a> {
    let view = &*material.view;
    let no_lists = || &[][..];
    let partner = |bundle: &'a Arc<trust_domains::TrustBundle>| DomainTrust {
        bundle,
        crls: ders(view.federated_crls.get(bundle.trust_domain()).map_or_else(no_lists, |lists| lists.ders())),
    };
    Credentials {
        spiffe_id: &svid.spiffe_id,
        chain: ders(&svid.chain),
        key: &svid.key_pkcs8,
        own: DomainTrust {
            bundle: &view.bundle,
            crls: ders(view.crls.ders()),
        },
        federated: view.federated.values().map(partner).collect(),
        tokens: material.tokens.texts(),
    }
}

fn ders(ders: &[Bytes]) -> Vec<&[u8]> {
    ders.iter().map(|der| &**der).collect()
}

#[cfg(test)]
mod tests;
