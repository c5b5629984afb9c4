//! Sinks of every format, read by programs that are not ours.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::domain::{Domain, path_text};
use tests::set_readers::{listed_by_keytool, told, uses_by_python, verify_by_openssl};
use tests::wait::until;

fn read_by_others(sink: &Path) {
    let file = |name: &str| path_text(&sink.join(name)).to_owned();
    let password = verify_by_openssl(sink);
    let name = told(
        "openssl",
        &["x509", "-inform", "DER", "-in", &file("svid.der"), "-noout", "-ext", "subjectAltName"],
    );
    assert!(name.contains("URI:spiffe://forms.test/web"), "{name}");
    let store = told(
        "openssl",
        &["pkcs12", "-in", &file("keystore.p12"), "-passin", &format!("pass:{password}"), "-nodes"],
    );
    assert!(store.contains("BEGIN PRIVATE KEY"), "a key in it");
    assert!(listed_by_keytool(&sink.join("keystore.jks"), &password).contains("PrivateKeyEntry"));
    assert_eq!(uses_by_python(&sink.join("jwks.json")), "sig");
    assert_eq!(uses_by_python(&sink.join("bundle.json")), "jwt-svid x509-svid");
    let claims = "import base64,json,sys; part=open(sys.argv[1]).read().split('.')[1]; c=json.loads(base64.urlsafe_b64decode(part+'=='))\naud=c['aud']; print(c['sub'], *(aud if isinstance(aud, list) else [aud]))";
    assert_eq!(
        told("/usr/bin/python3", &["-c", claims, &file("jwt/vault.token")]).trim(),
        "spiffe://forms.test/web https://vault.example"
    );
}

#[test]
fn openssl_java_and_python_read_a_sink_of_every_format_in_either_layout() {
    let domain = Domain::start("forms.test");
    let config = domain.folder().join("agent.toml");
    let layouts = ["linked", "single-files"];
    let table = |layout: &&str| {
        format!(
            "[[sink]]\nspiffe_id = \"/web\"\ndirectory = \"{}\"\nlayout = \"{layout}\"\nformats = [\"pem\", \"pem-combined\", \"der\", \"pkcs12\", \"jks\", \"jwks\", \"spiffe\"]\n\
             [[sink.jwt]]\nname = \"vault\"\naudiences = [\"https://vault.example\"]\n",
            domain.folder().join(layout).display()
        )
    };
    std::fs::write(&config, layouts.iter().map(table).collect::<String>()).expect("the agent's configuration");
    let _agent = domain.agent_with("n1", &["--config", path_text(&config)]);
    // It lives so long that no rotation falls between two readers.
    let selector = format!("unix:uid:{}", nix::unistd::getuid());
    let entry = ["entry", "create", "--spiffe-id", "/web", "--parent", "n1", "--selector", &selector];
    let _ = domain.told(&[&entry[..], &["--class", "medium", "--x509-ttl", "1h", "--wait"]].concat());
    for layout in layouts {
        let sink = domain.folder().join(layout);
        until("the whole set", || {
            (sink.join("svid_key.pem").exists() && sink.join("jwt/vault.token").exists()).then_some(())
        });
        read_by_others(&sink);
        let is_link = sink.join("svid.pem").symlink_metadata().expect("a file").is_symlink();
        assert_eq!(is_link, layout == "linked");
    }
}

/// A disk of its own under a directory; unmounted when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn under(directory: &'a Path) -> Self {
        std::fs::create_dir(directory).expect("the directory");
        let _ = told("mount", &["-t", "tmpfs", "-o", "size=256k,mode=0700", "troth-test", path_text(directory)]);
        Self(directory)
    }

    fn remount(&self, how: &str) {
        let _ = told("mount", &["-o", &format!("remount,{how}"), path_text(self.0)]);
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes what is free, until there is nothing.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).expect("the ballast");
        while file.write_all(&[0; 4_096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_sink_whose_disk_becomes_read_only_or_full_keeps_its_set_says_so_and_heals() {
    let domain = Domain::start("disks.test");
    let mounted = domain.folder().join("disk");
    let disk = Disk::under(&mounted);
    let sink = mounted.join("sink");
    let agent = domain.agent_with("n1", &["--sink", &format!("/web={}", path_text(&sink))]);
    domain.fast_entry("n1", "/web", nix::unistd::getuid().as_raw(), "180s");
    let held = || std::fs::read(sink.join("svid.pem")).ok();
    let says = |what: &str| {
        until(what, || agent.operator(&["agent", "status"]).stdout.contains(what).then_some(()));
        until("health to say so", || (agent.operator(&["health", "agent"]).code == 1).then_some(()));
    };
    let heals = |old: &[u8]| {
        until("a new certificate in the sink", || held().filter(|now| now != old).map(drop));
        until("health", || (agent.operator(&["health", "agent"]).code == 0).then_some(()));
    };
    until("the first set", || held().map(drop));
    // Full before the second set: from then on the set before the last one's room is there for the next.
    disk.fill();
    let old = held().expect("the first set");
    let _ = domain.told(&["entry", "update", "/web", "--x509-ttl", "10s"]);
    says("is full");
    assert_eq!(held().as_ref(), Some(&old), "the set stays");
    disk.empty();
    heals(&old);

    disk.remount("ro");
    says("is read-only");
    let old = held().expect("the set stays");
    disk.remount("rw");
    heals(&old);
}
