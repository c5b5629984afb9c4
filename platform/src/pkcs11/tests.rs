//! With a real module: SoftHSM. It finds its tokens by an environment variable, so each test runs in a process of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use trust_domains::problem::{Code, Coded as _};

use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use super::module::Module;
use super::*;
use crate::sealing::{DataKey, KeySource, KeySourceError, Opening, Pkcs11KeySource};

/// Where Debian's softhsm2 puts its module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Says to a test that it is in a process of its own, and where its tokens are.
const PLACE: &str = "TROTH_TEST_SOFTHSM";

/// The tokens of one test.
struct SoftHsm {
    directory: PathBuf,
}

impl SoftHsm {
    fn tokens(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    fn pin_file(&self, pin: &str) -> PathBuf {
        let path = self.directory.join(format!("pin-{pin}"));
        std::fs::write(&path, format!("{pin}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn uri(&self, token: &str, object: &str, pin: &str) -> Pkcs11Uri {
        let pin = self.pin_file(pin);
        format!("pkcs11:token={token};object={object}?module-path={MODULE}&pin-source={}", pin.display())
            .parse()
            .unwrap()
    }

    fn init_token(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--so-pin", "12345678", "--pin", "1234", "--label", label])
            .env("SOFTHSM2_CONF", self.directory.join("softhsm2.conf"))
            .output()
            .expect("softhsm2-util: apt-get install softhsm2");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Takes the tokens away, or puts them back.
    fn remove_and(&self, meanwhile: impl FnOnce()) {
        let away = self.directory.join("away");
        std::fs::rename(self.tokens(), &away).unwrap();
        std::fs::create_dir(self.tokens()).unwrap();
        meanwhile();
        std::fs::remove_dir(self.tokens()).unwrap();
        std::fs::rename(&away, self.tokens()).unwrap();
    }
}

/// Runs the test of this name in a process of its own, with a token that is called `troth` and has the PIN 1234. Returns the tokens in that process, and
/// `None` in the one that started it.
fn with_softhsm(test: &str) -> Option<SoftHsm> {
    if let Some(directory) = std::env::var_os(PLACE) {
        return Some(SoftHsm { directory: directory.into() });
    }
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: apt-get install softhsm2");
    let directory = tempfile::tempdir().unwrap();
    let hsm = SoftHsm {
        directory: directory.path().to_owned(),
    };
    std::fs::create_dir(hsm.tokens()).unwrap();
    let configuration = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        hsm.tokens().display()
    );
    std::fs::write(directory.path().join("softhsm2.conf"), configuration).unwrap();
    hsm.init_token("troth");
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("pkcs11::tests::{test}")])
        .env(PLACE, directory.path())
        .env("SOFTHSM2_CONF", directory.path().join("softhsm2.conf"))
        .output()
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}\n{failed}");
    None
}

#[test]
fn a_data_key_wrapped_in_a_token_opens_with_the_same_key_and_for_the_same_trust_domain_only() {
    let Some(hsm) = with_softhsm("a_data_key_wrapped_in_a_token_opens_with_the_same_key_and_for_the_same_trust_domain_only") else {
        return;
    };
    let uri = hsm.uri("troth", "seal", "1234");
    let missing = Pkcs11KeySource::open(&uri, Opening::Existing).unwrap_err();
    assert!(matches!(missing, KeySourceError::Pkcs11(Pkcs11Error::NoKey { .. })), "{missing:?}");
    let source = Pkcs11KeySource::open(&uri, Opening::New).unwrap();
    let key = DataKey::generate().unwrap();
    let wrapped = source.wrap("prod.example", &key).unwrap();
    let again = Pkcs11KeySource::open(&uri, Opening::New).unwrap();
    assert_eq!(
        again.unwrap("prod.example", &wrapped).unwrap().expose(),
        key.expose(),
        "the key that is there is used"
    );
    let other = Pkcs11KeySource::open(&hsm.uri("troth", "other", "1234"), Opening::New).unwrap();
    for refused in [
        again.unwrap("test.example", &wrapped).unwrap_err(),
        other.unwrap("prod.example", &wrapped).unwrap_err(),
        again.unwrap("prod.example", &wrapped[..20]).unwrap_err(),
        again.unwrap("prod.example", &[]).unwrap_err(),
    ] {
        assert!(matches!(refused, KeySourceError::DoesNotFit { .. }), "{refused:?}");
    }
}

#[test]
fn a_key_made_in_a_token_signs_there_and_is_gone_when_it_was_destroyed() {
    let Some(hsm) = with_softhsm("a_key_made_in_a_token_signs_there_and_is_gone_when_it_was_destroyed") else {
        return;
    };
    let keys = SigningKeys::of(Token::open(&hsm.uri("troth", "any", "1234")).unwrap());
    let MadeKey { handle, public_key } = keys.make("troth prod.example x509-root").unwrap();
    let signature = keys.sign(&handle, &public_key, b"message").unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key.sec1())
        .verify(b"message", &signature)
        .unwrap();
    // Another process, or this one later: the id is enough.
    let again = SigningKeys::of(Token::open(&hsm.uri("troth", "any", "1234")).unwrap());
    again.sign(&KeyHandle::new(handle.id().to_vec()), &public_key, b"message").unwrap();
    let other = keys.make("troth prod.example jwt").unwrap();
    let strange = keys.sign(&other.handle, &public_key, b"message").unwrap_err();
    assert!(matches!(strange, Pkcs11Error::Strange { .. }), "a signature of another key is not handed out");
    keys.destroy(&handle).unwrap();
    keys.destroy(&handle).unwrap();
    for gone in [keys.check(&handle).unwrap_err(), keys.sign(&handle, &public_key, b"message").unwrap_err()] {
        assert!(matches!(gone, Pkcs11Error::NoKey { .. }), "{gone:?}");
        assert_eq!(gone.code(), Code::Pkcs11Unavailable);
    }
    keys.check(&other.handle).unwrap();
}

#[test]
fn many_threads_sign_at_once() {
    let Some(hsm) = with_softhsm("many_threads_sign_at_once") else { return };
    let keys = SigningKeys::of(Token::open(&hsm.uri("troth", "any", "1234")).unwrap());
    let MadeKey { handle, public_key } = keys.make("k").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| drop(keys.sign(&handle, &public_key, b"message").unwrap())));
        }
    });
}

#[test]
fn a_token_that_was_removed_is_found_again_when_it_is_back() {
    let Some(hsm) = with_softhsm("a_token_that_was_removed_is_found_again_when_it_is_back") else {
        return;
    };
    let keys = SigningKeys::of(Token::open(&hsm.uri("troth", "any", "1234")).unwrap());
    let MadeKey { handle, public_key } = keys.make("k").unwrap();
    keys.sign(&handle, &public_key, b"message").unwrap();
    for _ in 0..2 {
        hsm.remove_and(|| {
            let removed = keys.sign(&handle, &public_key, b"message").unwrap_err();
            assert_eq!(removed.code(), Code::Pkcs11Unavailable, "{removed:?}");
            assert!(keys.check(&handle).is_err());
            // Long enough that the module is started anew while there is nothing to find: some modules do not start then.
            for _ in 0..60 {
                std::thread::park_timeout(std::time::Duration::from_millis(50));
                assert!(keys.sign(&handle, &public_key, b"message").is_err());
            }
        });
        // The module is started anew at most every two seconds.
        let deadline = std::time::Duration::from_secs(20);
        let found = std::iter::from_fn(|| {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
            Some(keys.sign(&handle, &public_key, b"message").is_ok())
        });
        let tries = usize::try_from(deadline.as_millis() / 50).unwrap();
        assert!(found.take(tries).any(|signs| signs), "it signs again");
    }
}

#[test]
fn a_wrong_pin_is_tried_once_and_a_corrected_one_is_taken() {
    let Some(hsm) = with_softhsm("a_wrong_pin_is_tried_once_and_a_corrected_one_is_taken") else {
        return;
    };
    let uri = hsm.uri("troth", "any", "9999");
    let token = Token::meant(&uri).unwrap();
    let refused = || token.call(|_| Ok(())).unwrap_err();
    assert!(matches!(refused(), Pkcs11Error::PinRefused { .. }));
    assert_eq!(refused().code(), Code::Pkcs11PinRefused);
    set_pin("9999");
    assert!(
        matches!(refused(), Pkcs11Error::PinRefused { .. }),
        "it would be taken now, and is not tried again"
    );
    set_pin("5678");
    std::fs::write(uri.pin_source().unwrap(), "5678\n").unwrap();
    token.call(|_| Ok(())).unwrap();
}

/// Gives the token another user PIN, as its security officer.
fn set_pin(pin: &str) {
    let module = Module::load(Path::new(MODULE)).unwrap();
    let running = module.running();
    let slot = running.context.get_slots_with_initialized_token().unwrap()[0];
    let session = running.context.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&AuthPin::new("12345678".into()))).unwrap();
    session.init_pin(&AuthPin::new(pin.into())).unwrap();
    session.logout().unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    let Some(hsm) = with_softhsm("what_cannot_be_used_is_named") else { return };
    let absent = Token::open(&hsm.uri("nobody", "any", "1234")).unwrap_err();
    assert!(matches!(absent, Pkcs11Error::Absent { .. }), "{absent:?}");
    let no_pin: Pkcs11Uri = format!("pkcs11:token=troth?module-path={MODULE}").parse().unwrap();
    assert!(matches!(Token::open(&no_pin).unwrap_err(), Pkcs11Error::NoPin { .. }));
    let no_module: Pkcs11Uri = "pkcs11:token=troth?module-path=/nonexistent/m.so".parse().unwrap();
    let error = Token::open(&no_module).unwrap_err();
    assert!(matches!(error, Pkcs11Error::Module { .. }) && error.hint().contains("module-path"));
    let uri = hsm.uri("troth", "any", "1234");
    std::fs::set_permissions(uri.pin_source().unwrap(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open_pin = Token::open(&uri).unwrap_err();
    assert!(
        matches!(open_pin, Pkcs11Error::PinFile(_)) && open_pin.hint().contains("chmod 600"),
        "{open_pin:?}"
    );
    hsm.init_token("twin");
    hsm.init_token("twin");
    let twins = Token::open(&hsm.uri("twin", "any", "1234")).unwrap_err();
    assert!(matches!(twins, Pkcs11Error::Absent { .. } | Pkcs11Error::Ambiguous { .. }), "{twins:?}");
}
