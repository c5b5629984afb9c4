//! Tokens of SoftHSM, in a directory of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command::{Run, troth};
use crate::domain::{open_directory, path_text};

/// Where Debian's softhsm2 puts its module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token that is called `troth` and has the PIN 1234.
#[derive(Debug)]
pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    /// Makes the token.
    ///
    /// # Panics
    ///
    /// When softhsm2 is not installed.
    #[must_use]
    pub fn new() -> Self {
        let hsm = Self { folder: open_directory() };
        std::fs::create_dir(hsm.tokens()).expect("a directory for tokens");
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            hsm.tokens().display()
        );
        std::fs::write(hsm.configuration(), configuration).expect("its configuration");
        hsm.write_pin("1234");
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--so-pin", "12345678", "--pin", "1234", "--label", "troth"])
            .env("SOFTHSM2_CONF", hsm.configuration())
            .output()
            .expect("softhsm2-util starts (apt-get install softhsm2)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        hsm
    }

    /// Returns what a process needs in its environment to find the token.
    #[must_use]
    pub fn environment(&self) -> (String, PathBuf) {
        ("SOFTHSM2_CONF".to_owned(), self.configuration())
    }

    /// Runs `troth` with the token in reach.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Run {
        let mut command = troth();
        command.args(arguments).env("SOFTHSM2_CONF", self.configuration());
        Run::of(&command.output().expect("troth starts"))
    }

    /// Names the token; with `object`, a key in it.
    #[must_use]
    pub fn uri(&self, object: Option<&str>) -> String {
        let object = object.map(|name| format!(";object={name}")).unwrap_or_default();
        format!("pkcs11:token=troth{object}?module-path={MODULE}&pin-source={}", path_text(&self.pin_file()))
    }

    /// Returns the labels of the public objects in the token, as its own files say them: one for each key pair.
    ///
    /// # Panics
    ///
    /// When the token cannot be read.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        let token = std::fs::read_dir(self.tokens())
            .expect("the tokens")
            .next()
            .expect("a token")
            .expect("its name")
            .path();
        let objects = std::fs::read_dir(token).expect("the objects").map(|object| object.expect("its name").path());
        let objects = objects.filter(|path| path.extension().is_some_and(|extension| extension == "object"));
        objects.filter_map(|path| label_of(&std::fs::read(path).ok()?)).collect()
    }

    /// Writes another PIN to the file that the URI names.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write_pin(&self, pin: &str) {
        std::fs::write(self.pin_file(), format!("{pin}\n")).expect("the PIN's file");
        std::fs::set_permissions(self.pin_file(), std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// Takes the token out, as far as its module can see.
    ///
    /// # Panics
    ///
    /// When its directory cannot be moved.
    pub fn remove(&self) {
        std::fs::rename(self.tokens(), self.away()).expect("the tokens go");
        std::fs::create_dir(self.tokens()).expect("an empty place");
    }

    /// Puts the token back.
    ///
    /// # Panics
    ///
    /// When its directory cannot be moved.
    pub fn put_back(&self) {
        std::fs::remove_dir(self.tokens()).expect("an empty place");
        std::fs::rename(self.away(), self.tokens()).expect("the tokens come back");
    }

    fn configuration(&self) -> PathBuf {
        self.path("softhsm2.conf")
    }

    fn tokens(&self) -> PathBuf {
        self.path("tokens")
    }

    fn away(&self) -> PathBuf {
        self.path("away")
    }

    fn pin_file(&self) -> PathBuf {
        self.path("pin")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

/// Reads what begins with `troth ` out of an object's file; names of public objects are not enciphered there.
fn label_of(object: &[u8]) -> Option<String> {
    let at = object.windows(6).position(|window| window == b"troth ")?;
    let text = object.get(at..)?.iter().take_while(|octet| octet.is_ascii_graphic() || **octet == b' ');
    Some(text.map(|octet| char::from(*octet)).collect())
}

impl Default for SoftHsm {
    fn default() -> Self {
        Self::new()
    }
}
