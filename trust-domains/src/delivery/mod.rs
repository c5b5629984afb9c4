//! What is delivered as files: whole sets, each file under a name that cannot lead out of its directory.
//!
//! Pure: what puts a set in place is elsewhere, and may be another process.

mod file_name;
mod set_file;

pub use file_name::{FileName, ParseFileNameError};
pub use set_file::SetFile;
