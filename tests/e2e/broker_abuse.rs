//! Who must not get in, and what a hostile broker costs.
