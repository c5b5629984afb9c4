//! Octets from the operating system's generator, by way of aws-lc-rs.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use trust_domains::problem::{Code, Coded};

/// The generator did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomError;

impl Coded for RandomError {
    fn code(&self) -> Code {
        Code::Internal
    }
}

/// Fills a buffer.
///
/// # Errors
/// [`RandomError`], and then the buffer must not be used.
pub fn fill(buffer: &mut [u8]) -> Result<(), RandomError> {
    SystemRandom::new().fill(buffer).map_err(|_| RandomError)
}

/// Returns `N` octets.
///
/// # Errors
/// [`RandomError`].
pub fn array<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut octets = [0; N];
    fill(&mut octets)?;
    Ok(octets)
}

/// Returns a fraction from 0 up to and without 1, for jitter.
///
/// # Errors
/// [`RandomError`].
pub fn fraction() -> Result<f64, RandomError> {
    Ok(f64::from(u32::from_be_bytes(array()?)) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_differ_from_call_to_call() {
        assert_ne!(array::<32>().unwrap(), array::<32>().unwrap());
    }

    #[test]
    fn fractions_lie_in_the_unit_interval() {
        for _ in 0..1_000 {
            assert!((0.0..1.0).contains(&fraction().unwrap()));
        }
    }
}
