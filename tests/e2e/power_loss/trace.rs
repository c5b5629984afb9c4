//! What strace wrote down, as steps that concern files: `strace -f -y -xx`, every text in hex.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One step of the traced process, in the order in which the kernel saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A directory was made.
    MakeDirectory(PathBuf),
    /// A file was opened for writing; perhaps made, perhaps emptied.
    Open { path: PathBuf, create: bool, truncate: bool },
    /// A file or an empty directory was removed.
    Remove(PathBuf),
    /// A file got another name.
    Rename(PathBuf, PathBuf),
    /// Octets are about to leave on something that is no file: from here on the other end may know them.
    Send(Vec<u8>),
    /// A file's length was set.
    SetLength { path: PathBuf, length: usize },
    /// A sync of a file or a directory began: it covers what was done before.
    SyncBegins { call: usize, path: PathBuf },
    /// That sync returned.
    SyncEnds { call: usize, path: PathBuf },
    /// A file was written; at its end where there is no offset.
    Write { path: PathBuf, offset: Option<usize>, octets: Vec<u8> },
}

/// What is traced: all by which the server changes files, and by which it answers.
pub const SYSCALLS: &str = "trace=openat,open,creat,openat2,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendfile,copy_file_range,splice,fsync,fdatasync,\
    sync,syncfs,ftruncate,truncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat";

/// Reads a trace; only what lies in `root`, and what is sent, becomes steps.
pub fn read(trace: &str, root: &Path) -> Vec<Step> {
    let mut reader = Reader {
        root: root.to_owned(),
        ..Reader::default()
    };
    for (number, line) in trace.lines().enumerate() {
        reader.line(number, line);
    }
    reader.steps
}

#[derive(Default)]
struct Reader {
    root: PathBuf,
    steps: Vec<Step>,
    /// By thread: the call that has not returned, and its line.
    unfinished: HashMap<String, (usize, Call)>,
    /// By descriptor: where the next plain write goes. Nothing where writes append.
    positions: HashMap<String, Option<usize>>,
}

/// A call as far as it is known when it begins.
#[derive(Debug, Clone)]
struct Call {
    name: String,
    /// Everything between the brackets.
    arguments: String,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let (thread, rest) = line.split_once(' ').expect("a thread and what it did");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            return;
        }
        if rest.starts_with("<...") {
            let (began, call) = self.unfinished.remove(thread).expect("what is resumed began");
            let result = rest.rsplit_once(" = ").expect("a result").1;
            return self.returned(began, &call, result);
        }
        let (name, rest) = rest.split_once('(').expect("a call");
        assert!(!rest.contains("\"..."), "strace shortened line {number}");
        if let Some(arguments) = rest.strip_suffix("<unfinished ...>") {
            let call = Call {
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            };
            self.began(number, &call);
            self.unfinished.insert(thread.to_owned(), (number, call));
        } else {
            let (arguments, result) = rest.rsplit_once(" = ").unwrap_or_else(|| panic!("line {number} has no result"));
            let call = Call {
                name: name.to_owned(),
                arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
            };
            self.began(number, &call);
            self.returned(number, &call, result);
        }
    }

    /// What counts from the moment that a call begins.
    fn began(&mut self, number: usize, call: &Call) {
        match call.name.as_str() {
            "fsync" | "fdatasync" => {
                if let Some(path) = self.of_descriptor(call) {
                    self.steps.push(Step::SyncBegins { call: number, path });
                }
            }
            "write" | "writev" | "sendto" | "sendmsg" if self.of_descriptor(call).is_none() => self.steps.push(Step::Send(call.octets())),
            _ => {}
        }
    }

    /// What counts once a call has returned.
    fn returned(&mut self, number: usize, call: &Call, result: &str) {
        if result.starts_with('-') || result.starts_with('?') {
            return;
        }
        match call.name.as_str() {
            "openat" | "open" => self.opened(call, result),
            "fsync" | "fdatasync" => {
                if let Some(path) = self.of_descriptor(call) {
                    self.steps.push(Step::SyncEnds { call: number, path });
                }
            }
            "write" | "writev" | "pwrite64" => self.written(call, result),
            "ftruncate" => {
                if let Some(path) = self.of_descriptor(call) {
                    self.steps.push(Step::SetLength {
                        path,
                        length: call.last_number(),
                    });
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let paths = call.paths();
                if let [from, to] = &paths[..]
                    && from.starts_with(&self.root)
                {
                    self.steps.push(Step::Rename(from.clone(), to.clone()));
                }
            }
            "unlink" | "unlinkat" | "rmdir" => self.steps.extend(self.inside(call.paths()).map(Step::Remove)),
            "mkdir" | "mkdirat" => self.steps.extend(self.inside(call.paths()).map(Step::MakeDirectory)),
            "sendto" | "sendmsg" => {}
            // These would change files in a way that this reader does not know: better no test than one that overlooks it.
            other => assert!(!self.concerns_root(call), "{other} is not understood: {call:?}"),
        }
    }

    fn opened(&mut self, call: &Call, result: &str) {
        let Some(path) = self.inside(call.paths()).next() else { return };
        if !["O_WRONLY", "O_RDWR"].iter().any(|mode| call.arguments.contains(mode)) {
            return;
        }
        let (create, truncate) = (call.arguments.contains("O_CREAT"), call.arguments.contains("O_TRUNC"));
        let descriptor = result.split('<').next().expect("a descriptor").to_owned();
        self.positions.insert(descriptor, (!call.arguments.contains("O_APPEND")).then_some(0));
        self.steps.push(Step::Open { path, create, truncate });
    }

    fn written(&mut self, call: &Call, result: &str) {
        let Some(path) = self.of_descriptor(call) else { return };
        let mut octets = call.octets();
        octets.truncate(result.trim().parse().expect("a count"));
        let offset = if call.name == "pwrite64" {
            Some(call.last_number())
        } else {
            let position = self.positions.get_mut(call.descriptor()).expect("an open descriptor");
            let offset = *position;
            *position = offset.map(|offset| offset + octets.len());
            offset
        };
        self.steps.push(Step::Write { path, offset, octets });
    }

    /// Returns the file that a call's descriptor leads to, if it lies in the root.
    fn of_descriptor(&self, call: &Call) -> Option<PathBuf> {
        let (_, rest) = call.arguments.split_once('<')?;
        let path = text(rest.split('>').next()?);
        self.inside(vec![path.into()]).next()
    }

    fn inside(&self, paths: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> + use<> {
        let root = self.root.clone();
        paths.into_iter().filter(move |path| path.starts_with(&root))
    }

    fn concerns_root(&self, call: &Call) -> bool {
        let named = call.arguments.split(['<', '>', '"']).map(|part| PathBuf::from(text(part)));
        named.into_iter().any(|path| path.starts_with(&self.root))
    }
}

impl Call {
    fn descriptor(&self) -> &str {
        self.arguments.split('<').next().expect("a descriptor")
    }

    fn quoted(&self) -> impl Iterator<Item = &str> {
        self.arguments.split('"').skip(1).step_by(2)
    }

    /// Returns the octets of every text, one behind the other: one of a write, several of a writev.
    fn octets(&self) -> Vec<u8> {
        self.quoted().flat_map(octets).collect()
    }

    /// Returns the paths that it names; a relative one belongs to the directory before it.
    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut before = "";
        for (number, part) in self.arguments.split('"').enumerate() {
            if number % 2 == 0 {
                before = part;
                continue;
            }
            let directory = before
                .rsplit_once('<')
                .and_then(|(_, rest)| rest.split('>').next())
                .map(text)
                .unwrap_or_default();
            paths.push(Path::new(&directory).join(text(part)));
        }
        paths
    }

    fn last_number(&self) -> usize {
        let last = self.arguments.trim_end().trim_end_matches(')').rsplit_once(", ").expect("several arguments").1;
        last.parse().expect("a number")
    }
}

/// Reads `\x41\x42`; nothing from what is no hex.
fn octets(hex: &str) -> Vec<u8> {
    hex.split("\\x")
        .skip(1)
        .filter_map(|octet| u8::from_str_radix(octet.get(..2)?, 16).ok())
        .collect()
}

fn text(hex: &str) -> String {
    String::from_utf8_lossy(&octets(hex)).into_owned()
}

#[test]
fn a_trace_becomes_steps_in_the_order_in_which_they_count() {
    let hex = |text: &str| text.bytes().map(|octet| format!("\\x{octet:02x}")).collect::<String>();
    let (file, directory, root) = (hex("/nowhere/d/f"), hex("/nowhere/d"), PathBuf::from("/nowhere/d"));
    let path = root.join("f");
    let trace = format!(
        r#"1 openat(AT_FDCWD<{directory}>, "{file}", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600) = 3<{file}>
1 write(3<{file}>, "{ab}", 2 <unfinished ...>
2 fdatasync(3<{file}> <unfinished ...>
1 <... write resumed>)              = 2
1 writev(9<{socket}>, [{{iov_base="{ab}", iov_len=2}}, {{iov_base="{c}", iov_len=1}}], 2) = 3
2 <... fdatasync resumed>)          = 0
1 write(3<{file}>, "{c}", 1) = 1
1 pwrite64(3<{file}>, "{ab}", 2, 700) = 1
1 fsync(4<{directory}>) = 0
1 rename("{file}", "{renamed}") = 0
1 unlinkat(4<{directory}>, "{name}", 0) = -1 ENOENT (No such file or directory)
1 +++ exited with 0 +++"#,
        ab = hex("ab"),
        c = hex("c"),
        socket = hex("socket:[1]"),
        renamed = hex("/nowhere/d/g"),
        name = hex("x"),
    );
    let write = |offset, octets: &[u8]| Step::Write {
        path: path.clone(),
        offset,
        octets: octets.to_vec(),
    };
    let expected = [
        Step::Open {
            path: path.clone(),
            create: true,
            truncate: false,
        },
        Step::SyncBegins { call: 2, path: path.clone() },
        write(None, b"ab"),
        Step::Send(b"abc".to_vec()),
        Step::SyncEnds { call: 2, path: path.clone() },
        write(None, b"c"),
        write(Some(700), b"a"),
        Step::SyncBegins { call: 8, path: root.clone() },
        Step::SyncEnds { call: 8, path: root.clone() },
        Step::Rename(path.clone(), root.join("g")),
    ];
    assert_eq!(read(&trace, &root), expected);
}
