//! `troth svid fetch x509 --format ... --write DIR`: one set of files, composed as a sink's and a supervised program's are.

use std::collections::BTreeMap;
use std::path::Path;

use platform::file_set::{self, Directory, KeyMode, Layout, Ownership};
use sidecar::contents::Contents;
use sidecar::source::{JwtKeys, SourceError, WorkloadClient, X509Context};
use sidecar::supervisor::Choice;
use trust_domains::delivery::{ComposeError, FileName, Format, KeystorePassword, PASSWORD_FILE};
use zeroize::Zeroizing;

use super::super::credentials::Credentials;
use crate::failure::Failure;

/// Writes the set of one identity, in the place of the one that an earlier fetch wrote there: what that had and this has not is removed. The password of key
/// stores stays over fetches.
pub(super) async fn write(folder: &Path, formats: &[Format], choice: &Choice, received: &X509Context, socket: &Path) -> Result<(), Failure> {
    let svid = choice.find(received).map_err(|error| Failure::of(&error))?;
    drop(Credentials::open(folder)?);
    let directory = Directory::open(&std::fs::canonicalize(folder)?).map_err(|error| Failure::of(&error))?;
    file_set::recover(&directory).map_err(|error| Failure::of(&error))?;
    let mut contents = Contents::new(formats, Vec::new(), kept_password(&directory)?).map_err(|error| Failure::of(&error))?;
    let keys = if contents.needs_jwt_keys() {
        jwt_keys(socket).await?
    } else {
        JwtKeys::default()
    };
    let set = contents.compose(received, svid, &keys, BTreeMap::new()).map_err(|error| Failure::of(&error))?;
    let ownership = Ownership::resolve(None, None, KeyMode::default()).map_err(|error| Failure::of(&error))?;
    Layout::SingleFiles
        .publish(&directory, &set.files, &ownership)
        .map_err(|error| Failure::of(&error))
}

/// The password that an earlier fetch made; nothing if there is none, or one that readers would not take.
fn kept_password(directory: &Directory) -> Result<Option<KeystorePassword>, Failure> {
    let name: FileName = PASSWORD_FILE.parse().map_err(|error| Failure::of(&ComposeError::from(error)))?;
    let octets = file_set::read(directory, &name).map_err(|error| Failure::of(&error))?;
    Ok(octets.and_then(|octets| {
        let text = std::str::from_utf8(&octets).ok()?;
        KeystorePassword::kept(Zeroizing::new(text.to_owned())).ok()
    }))
}

async fn jwt_keys(socket: &Path) -> Result<JwtKeys, Failure> {
    let fetched = async { WorkloadClient::connect(socket).await?.watch_jwt_keys().await?.next().await };
    fetched.await.map_err(|error: SourceError| Failure::of(&error))
}
