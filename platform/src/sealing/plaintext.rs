//! The plaintext of a sealed record: JSON that is wiped, and of which no part is left behind.

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

/// Writes a value as JSON into memory that is wiped on drop. The value is written twice: once to learn the length, so that the buffer never grows, since a
/// buffer that grew would leave what it held in memory that nobody wipes.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn plaintext<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    let mut octets = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *octets, value)?;
    Ok(octets)
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 += octets.len();
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_has_the_length_of_the_text_and_never_grew() {
        let value: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let octets = plaintext(&value).unwrap();
        assert_eq!((octets.capacity(), &**octets), (octets.len(), serde_json::to_vec(&value).unwrap().as_slice()));
    }
}
