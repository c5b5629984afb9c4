//! `server init`: makes a trust domain in an empty data directory.
//!
//! Root, issuing CA, JWT key and the sealed data key are one commit: the store holds all of a trust domain or nothing. What was begun and not ended is named by
//! a marker in the directory, so that nobody has to guess what is there.

mod first;
mod fresh;
mod upstream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use platform::files::{self, FileError};
use platform::pkcs11::Pkcs11Uri;
use platform::random::RandomError;
use platform::sealing::{KeySource, KeySourceError, KeySourceSpec, Opening, RecoveryKey, UnsealError};
use thiserror::Error;
use trust_domains::TrustDomain;
use trust_domains::clock::SharedClock;
use trust_domains::join_link::RootHash;
use trust_domains::jws::TokenAlgorithm;
use trust_domains::problem::{Code, Coded};
use zeroize::Zeroizing;

use crate::authority::create::CreateError;
use crate::authority::upstream::UpstreamError;
use crate::authority::{Hardware, KeyError, KeyStore, NewKeys, TrialError, authority_key, remember_keys};
use crate::config::{DataDir, SigningKeysPlace, UpstreamConfig};
use crate::journal::{Journal, JournalOpenError};
use crate::seal::{self, NewDataKeyError, SealError};
use crate::store::disk::Disk;
use crate::store::{Commit, CommitError, Key, SledStore, Store, StoreError};
use first::First;
pub(crate) use fresh::FreshDirectory;
pub use fresh::FreshError;
use upstream::FirstUpstream;

/// The life of a root: long beside everything below it, short enough that replacing it stays a practised step.
pub const ROOT_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is asked of `server init`.
#[derive(Debug)]
pub struct InitParams {
    /// The trust domain to make.
    pub trust_domain: TrustDomain,
    /// Where: absent or empty.
    pub data_dir: PathBuf,
    /// What opens the sealed data key; a key file beside the data directory unless said.
    pub key_source: Option<KeySourceSpec>,
    /// Where the keys of authorities are made.
    pub signing_keys: SigningKeysPlace,
    /// What becomes of the recovery key.
    pub recovery: RecoveryChoice,
    /// What the first JWT key signs with.
    pub jwt_algorithm: TokenAlgorithm,
    /// The upstream authority that certifies the root, if one does. Its files are read once; its key is not kept.
    pub upstream: Option<UpstreamConfig>,
    /// The clock.
    pub clock: SharedClock,
}

/// What becomes of the recovery key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryChoice {
    /// It is written to this new file.
    File(PathBuf),
    /// There is none: who loses the key file loses the trust domain.
    None,
    /// It is in the report, to be shown once.
    Print,
}

/// What `server init` made.
pub struct InitReport {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Where it is.
    pub data_dir: PathBuf,
    /// What opens the sealed data key.
    pub key_source: KeySourceSpec,
    /// The recovery key, when it is to be shown.
    pub recovery_key: Option<Zeroizing<String>>,
    /// The SHA-256 of the root's certificate.
    pub root_sha256: RootHash,
    /// The name of the upstream authority that certified it.
    pub upstream: Option<String>,
}

impl std::fmt::Debug for InitReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitReport")
            .field("trust_domain", &self.trust_domain)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

/// No trust domain was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// The trust domain was not committed.
    #[error("the trust domain cannot be stored")]
    Commit(#[from] CommitError),
    /// An authority was not made.
    #[error("an authority cannot be made")]
    Create(#[from] CreateError),
    /// The data key was not made.
    #[error("the data key cannot be made")]
    DataKey(#[from] NewDataKeyError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data directory cannot be begun.
    #[error(transparent)]
    Fresh(#[from] FreshError),
    /// The journal cannot be made.
    #[error("the journal cannot be made")]
    Journal(#[from] JournalOpenError),
    /// The key source cannot be used.
    #[error("the key source cannot be used")]
    KeySource(#[from] KeySourceError),
    /// The keys of authorities cannot be made where they shall be.
    #[error("the signing keys cannot be made there")]
    SigningKeys(#[from] KeyError),
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The recovery key was not made.
    #[error("the recovery key cannot be made")]
    Recovery(#[from] UnsealError),
    /// The file for the recovery key exists.
    #[error("the recovery key is not written over {}", path.display())]
    RecoveryFileExists {
        /// The file.
        path: PathBuf,
    },
    /// A record was not sealed.
    #[error("an authority cannot be sealed")]
    Seal(#[from] SealError),
    /// The store was not made.
    #[error("the store cannot be made")]
    Store(#[from] StoreError),
    /// The new issuing CA did not stand its trial.
    #[error("the new issuing CA did not stand its trial")]
    Trial(#[from] TrialError),
    /// The upstream authority does not certify the root.
    #[error("the upstream authority cannot be used")]
    Upstream(#[from] UpstreamError),
}

impl Coded for InitError {
    fn code(&self) -> Code {
        match self {
            Self::Commit(error) => error.code(),
            Self::Create(error) => error.code(),
            Self::DataKey(error) => error.code(),
            Self::File(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::KeySource(error) => error.code(),
            Self::Fresh(error) => error.code(),
            Self::Recovery(error) => error.code(),
            Self::RecoveryFileExists { .. } => Code::FileUnavailable,
            Self::Seal(error) => error.code(),
            Self::SigningKeys(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Upstream(error) => error.code(),
            Self::Random(_) | Self::Trial(_) => Code::Internal,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::KeySource(error) => error.hint(),
            Self::RecoveryFileExists { .. } => "name a file that does not exist: --recovery-key-file FILE".to_owned(),
            Self::Create(error) => error.hint(),
            Self::DataKey(NewDataKeyError::KeySource(error)) => error.hint(),
            Self::Fresh(error) => error.hint(),
            Self::SigningKeys(error) => error.hint(),
            Self::Upstream(error) => error.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// Makes a trust domain: its keys, its root, its first issuing CA and JWT key, its store and its journal.
///
/// # Errors
/// When the directory is not empty, or something cannot be made. What is refused for what was asked is refused before anything is made.
pub async fn init(params: InitParams) -> Result<InitReport, InitError> {
    let data_dir = DataDir::new(params.data_dir);
    let spec = params.key_source.unwrap_or_else(|| KeySourceSpec::File(data_dir.default_key_file()));
    FreshDirectory::check(&data_dir)?;
    check_recovery_file(&params.recovery)?;
    let upstream = params.upstream.map(|asked| FirstUpstream::read(&asked, params.clock.now().wall)).transpose()?;
    let upstream_name = upstream.as_ref().map(FirstUpstream::name);

    let (keys, token) = keys(&params.signing_keys).await?;
    keys.refuse(params.jwt_algorithm)?;

    let directory = FreshDirectory::take(&data_dir)?;
    let key_source = seal::open_source(&spec, Opening::New).await?;
    let recovery = recovery_key(&params.recovery)?;
    directory.begin()?;

    let root_sha256 = make(
        &params.trust_domain,
        params.jwt_algorithm,
        &data_dir,
        (&keys, token),
        SealedBy {
            source: key_source.as_ref(),
            recovery: recovery.as_ref(),
        },
        upstream,
        params.clock,
    )
    .await?;

    directory.finish()?;
    let recovery_key = match (&recovery, params.recovery) {
        (Some(key), RecoveryChoice::Print) => Some(key.expose()?),
        _ => None,
    };
    Ok(InitReport {
        trust_domain: params.trust_domain,
        data_dir: data_dir.path().to_owned(),
        key_source: spec,
        recovery_key,
        root_sha256,
        upstream: upstream_name,
    })
}

/// Opens where the keys of authorities are made. Nothing is made yet.
async fn keys(place: &SigningKeysPlace) -> Result<(KeyStore, Option<&Pkcs11Uri>), InitError> {
    match place {
        SigningKeysPlace::Store => Ok((KeyStore::default(), None)),
        SigningKeysPlace::Token(uri) => {
            let hardware = Hardware::open(uri).await.map_err(KeyError::from)?;
            Ok((KeyStore::with_token(hardware, NewKeys::InToken), Some(uri)))
        }
    }
}

fn check_recovery_file(choice: &RecoveryChoice) -> Result<(), InitError> {
    match choice {
        RecoveryChoice::File(path) if path.exists() => Err(InitError::RecoveryFileExists { path: path.clone() }),
        RecoveryChoice::File(_) | RecoveryChoice::None | RecoveryChoice::Print => Ok(()),
    }
}

/// Makes the recovery key; one for a file is on the disk before anything is sealed to it.
fn recovery_key(choice: &RecoveryChoice) -> Result<Option<RecoveryKey>, InitError> {
    if *choice == RecoveryChoice::None {
        return Ok(None);
    }
    let key = RecoveryKey::generate()?;
    if let RecoveryChoice::File(path) = choice {
        let text = Zeroizing::new(format!("{}\n", *key.expose()?));
        if !files::create_durable(path, text.as_bytes(), 0o600)? {
            return Err(InitError::RecoveryFileExists { path: path.clone() });
        }
    }
    Ok(Some(key))
}

/// What opens the secrets of a trust domain again.
struct SealedBy<'a> {
    source: &'a dyn KeySource,
    recovery: Option<&'a RecoveryKey>,
}

async fn make(
    trust_domain: &TrustDomain,
    jwt_algorithm: TokenAlgorithm,
    data_dir: &DataDir,
    (keys, token): (&KeyStore, Option<&Pkcs11Uri>),
    sealed_by: SealedBy<'_>,
    upstream: Option<FirstUpstream>,
    clock: SharedClock,
) -> Result<RootHash, InitError> {
    let epoch = u64::from_be_bytes(platform::random::array()?);
    let store = SledStore::create(&data_dir.store(), epoch, Disk::real())?;
    let (journal, _) = Journal::open(&data_dir.journal(), Arc::clone(&clock), Disk::real())?;
    let First { root, issuing, jwt } = First::make(trust_domain, keys, jwt_algorithm, &journal, clock.now().wall).await?;

    let (data_key, records) = seal::new_data_key(trust_domain, sealed_by.source, sealed_by.recovery.map(RecoveryKey::public))?;
    let mut commit = Commit::new("trust_domain_made").absent(data_key.key().clone());
    commit.writes.push(data_key);
    for authority in [&root, &issuing] {
        let key: Key = authority_key(authority.issuer.id());
        commit.writes.push(records.put(key, &authority.record)?);
    }
    commit.writes.push(records.put(authority_key(&jwt.id), &jwt.record)?);
    commit.writes.extend(token.map(|token| remember_keys(&records, token)).transpose()?);
    if let Some(upstream) = upstream {
        let cross = upstream.certify(trust_domain, &root.issuer, &journal, clock.now().wall).await?;
        commit.writes.push(cross.write(&records)?);
    }
    store.commit(commit).await?;
    Ok(RootHash::of_der(root.issuer.certificate()))
}

#[cfg(test)]
mod tests {
    use platform::sealing::FileKeySource;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use trust_domains::Timestamp;
    use trust_domains::clock::ManualClock;

    use super::*;
    use crate::seal::{OpenStoreError, open_store};

    fn params(directory: &Path, recovery: RecoveryChoice) -> InitParams {
        let clock = ManualClock::new(Timestamp::from_unix(1_795_338_000)).shared();
        InitParams {
            trust_domain: "example.org".parse().unwrap(),
            data_dir: directory.join("server"),
            key_source: None,
            signing_keys: SigningKeysPlace::Store,
            recovery,
            jwt_algorithm: TokenAlgorithm::default(),
            upstream: None,
            clock,
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_trust_domain_is_made_private_and_opens_with_its_key_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let report = init(params(directory.path(), RecoveryChoice::Print)).await.unwrap();
        let data_dir = DataDir::new(&report.data_dir);
        assert_eq!(report.key_source.key_file().unwrap(), directory.path().join("server.seal.key"));
        assert!(report.recovery_key.as_ref().unwrap().starts_with("troth-recovery-1-"));
        assert_eq!((mode(&report.data_dir), mode(report.key_source.key_file().unwrap())), (0o700, 0o600));
        assert!(!data_dir.unfinished().exists());

        let store = SledStore::open(&data_dir.store(), Disk::real()).unwrap();
        let opened = open_store(&store, &FileKeySource::open(report.key_source.key_file().unwrap()).unwrap())
            .await
            .unwrap();
        assert_eq!(opened.trust_domain, report.trust_domain);
        let (other, _) = FileKeySource::create_or_open(&directory.path().join("other.key")).unwrap();
        let refused = open_store(&store, &other).await.unwrap_err();
        assert!(matches!(refused, OpenStoreError::KeySource(KeySourceError::DoesNotFit { .. })), "{refused}");
        assert_eq!(refused.code(), Code::KeySourceUnavailable);
    }

    #[tokio::test]
    async fn the_store_holds_no_private_key_in_the_clear() {
        let directory = tempfile::tempdir().unwrap();
        let report = init(params(directory.path(), RecoveryChoice::None)).await.unwrap();
        let store = SledStore::open(&DataDir::new(&report.data_dir).store(), Disk::real()).unwrap();
        let items = store.snapshot(crate::store::Prefix::ALL).await.unwrap().items;
        assert_eq!(items.len(), 4, "the data key, the root, the issuing CA, the JWT key: one commit");
        assert!(items.iter().all(|item| item.modified == items[0].modified));
        for item in items {
            let text = String::from_utf8_lossy(&item.value).into_owned();
            assert!(!text.contains("private_key") && !text.contains("MIG"), "{}", item.key);
        }
    }

    #[tokio::test]
    async fn a_directory_that_holds_something_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("server");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::write(data_dir.join("precious"), "x").unwrap();
        let error = init(params(directory.path(), RecoveryChoice::Print)).await.unwrap_err();
        assert_eq!(error.code(), Code::DataDirNotEmpty);
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 1);
        assert!(!directory.path().join("server.seal.key").exists());
    }

    #[tokio::test]
    async fn a_second_init_of_the_same_directory_is_refused_and_the_first_stays() {
        let directory = tempfile::tempdir().unwrap();
        let first = init(params(directory.path(), RecoveryChoice::None)).await.unwrap();
        let error = init(params(directory.path(), RecoveryChoice::None)).await.unwrap_err();
        assert!(matches!(error, InitError::Fresh(FreshError::NotEmpty { .. })), "{error}");
        let store = SledStore::open(&DataDir::new(&first.data_dir).store(), Disk::real()).unwrap();
        open_store(&store, &FileKeySource::open(first.key_source.key_file().unwrap()).unwrap())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_init_that_ended_in_the_middle_is_named_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(directory.path().join("server"));
        std::fs::create_dir(data_dir.path()).unwrap();
        std::fs::write(data_dir.path().join(DataDir::LOCK), "").unwrap();
        std::fs::write(data_dir.unfinished(), "").unwrap();
        let error = init(params(directory.path(), RecoveryChoice::None)).await.unwrap_err();
        assert!(matches!(error, InitError::Fresh(FreshError::Unfinished { .. })), "{error}");
        assert!(error.hint().contains("rm -r") && error.hint().contains("server"), "{}", error.hint());
    }

    #[tokio::test]
    async fn a_lock_left_behind_and_an_existing_key_file_do_not_stand_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("server");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::write(data_dir.join(DataDir::LOCK), "").unwrap();
        let key_file = directory.path().join("server.seal.key");
        FileKeySource::create_or_open(&key_file).unwrap();
        let before = std::fs::read(&key_file).unwrap();
        init(params(directory.path(), RecoveryChoice::None)).await.unwrap();
        assert_eq!(std::fs::read(&key_file).unwrap(), before);
    }

    #[tokio::test]
    async fn a_recovery_key_goes_to_its_own_new_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("recovery.key");
        let report = init(params(directory.path(), RecoveryChoice::File(file.clone()))).await.unwrap();
        assert!(report.recovery_key.is_none());
        assert_eq!(mode(&file), 0o600);
        RecoveryKey::parse(std::fs::read_to_string(&file).unwrap().trim()).unwrap();

        let elsewhere = tempfile::tempdir().unwrap();
        let error = init(params(elsewhere.path(), RecoveryChoice::File(file))).await.unwrap_err();
        assert!(matches!(error, InitError::RecoveryFileExists { .. }), "{error}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing was made");
    }

    #[test]
    fn a_report_shows_no_recovery_key_when_it_is_logged() {
        let report = InitReport {
            trust_domain: "example.org".parse().unwrap(),
            data_dir: PathBuf::new(),
            key_source: KeySourceSpec::File(PathBuf::new()),
            recovery_key: Some(Zeroizing::new("secret".to_owned())),
            root_sha256: RootHash::of_der(b""),
            upstream: None,
        };
        assert!(!format!("{report:?}").contains("secret"));
    }
}
