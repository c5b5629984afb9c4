//! What commands read: a file, or standard input as `-`.

use std::io::Read as _;
use std::path::Path;

use crate::failure::{Failure, usage};

/// Reads a text of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| usage(format!("cannot read {}: {error}", path.display())).with_hint("check the path and its rights"))?;
    if length as u64 > limit {
        return Err(usage(format!("{} is longer than {limit} bytes", path.display())).with_hint("give a smaller file"));
    }
    Ok(text)
}
