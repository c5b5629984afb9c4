//! A CA of OpenSSL's command line, which knows nothing of Troth.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tests::command::Run;
use tests::domain::path_text;

/// What makes a root that may certify ours.
pub(crate) const FIT: [&str; 2] = ["basicConstraints=critical,CA:TRUE,pathlen:2", "keyUsage=critical,keyCertSign,cRLSign"];

/// A root with its files.
pub(crate) struct Corporate {
    folder: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Corporate {
    /// Makes one in a folder.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self::with(folder, name, &FIT, 3650)
    }

    /// Makes one with these extensions, that lasts so many days.
    pub(crate) fn with(folder: &Path, name: &str, extensions: &[&str], days: u32) -> Self {
        let corporate = Self::at(folder, name);
        let (subject, days) = (format!("/O=Example Corp/CN={name}"), days.to_string());
        let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        arguments.extend(["-keyout", corporate.key(), "-out", corporate.certificate(), "-subj", &subject, "-days", &days]);
        extensions.iter().for_each(|extension| arguments.extend(["-addext", extension]));
        succeeds(&arguments);
        corporate
    }

    /// Names the files of one that is made by other means.
    pub(crate) fn at(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        }
    }

    /// Makes another certificate with the same name and key.
    pub(crate) fn renew(&self, name: &str, days: u32) {
        let (subject, days) = (format!("/O=Example Corp/CN={name}"), days.to_string());
        let mut arguments = vec![
            "req",
            "-x509",
            "-key",
            self.key(),
            "-out",
            self.certificate(),
            "-subj",
            &subject,
            "-days",
            &days,
        ];
        FIT.iter().for_each(|extension| arguments.extend(["-addext", extension]));
        succeeds(&arguments);
    }

    pub(crate) fn certificate(&self) -> &str {
        path_text(&self.certificate)
    }

    pub(crate) fn key(&self) -> &str {
        path_text(&self.key)
    }

    /// Signs a request with these extensions beside those that it asks for, and returns the file with the result and the root behind it.
    pub(crate) fn sign(&self, csr: &str, name: &str, extensions: &str, days: u32) -> PathBuf {
        let [alone, config, chain] = ["cross.pem", "ext", "chain.pem"].map(|end| self.folder.join(format!("{name}.{end}")));
        std::fs::write(&config, extensions).expect("a file");
        let days = days.to_string();
        let mut arguments = vec!["x509", "-req", "-in", csr, "-CA", self.certificate(), "-CAkey", self.key(), "-days", &days];
        arguments.extend(["-copy_extensions", "copyall", "-extfile", path_text(&config), "-out", path_text(&alone)]);
        succeeds(&arguments);
        let both = [&alone, &self.certificate].map(|file| std::fs::read_to_string(file).expect("a PEM file"));
        std::fs::write(&chain, both.concat()).expect("a file");
        chain
    }

    /// Issues a leaf for a SPIFFE ID, as the old CA has always done; returns certificate and key.
    pub(crate) fn leaf(&self, name: &str, spiffe_id: &str) -> [PathBuf; 2] {
        self.leaf_with(name, &format!("URI:{spiffe_id}"))
    }

    /// Issues a leaf with these alternative names, as OpenSSL writes them.
    pub(crate) fn leaf_with(&self, name: &str, names: &str) -> [PathBuf; 2] {
        let [certificate, key, csr, config] = ["leaf.pem", "leaf.key", "leaf.csr", "leaf.ext"].map(|end| self.folder.join(format!("{name}.{end}")));
        let extensions =
            format!("subjectAltName={names}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n");
        std::fs::write(&config, extensions).expect("a file");
        let request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"];
        succeeds(&[&request[..], &["/CN=legacy", "-keyout", path_text(&key), "-out", path_text(&csr)]].concat());
        let sign = [
            "x509",
            "-req",
            "-in",
            path_text(&csr),
            "-CA",
            self.certificate(),
            "-CAkey",
            self.key(),
            "-days",
            "30",
        ];
        succeeds(&[&sign[..], &["-extfile", path_text(&config), "-out", path_text(&certificate)]].concat());
        [certificate, key]
    }
}

/// Runs OpenSSL to its end.
pub(crate) fn openssl(arguments: &[&str]) -> Output {
    let ran = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    ran.expect("openssl starts; install it: tests/run e2e")
}

/// Runs OpenSSL, which must end well.
pub(crate) fn succeeds(arguments: &[&str]) {
    let output = openssl(arguments);
    assert!(output.status.success(), "openssl {arguments:?}: {:?}", Run::of(&output));
}

/// Returns whether OpenSSL, asked to be strict, believes a chain by the roots of a file.
pub(crate) fn believes(roots: &str, chain: &Path) -> bool {
    let chain = path_text(chain);
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", roots, "-untrusted", chain, chain];
    openssl(&verify).status.success()
}
