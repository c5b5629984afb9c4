//! Federation: what this server fetches from the trust domains it has a relationship with.

pub mod fetch;
