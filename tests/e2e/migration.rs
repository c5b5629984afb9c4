//! Moving from other issuers: their files are read, and the pages about it do what they say.

mod entries;
mod spire;
mod step_ca;
