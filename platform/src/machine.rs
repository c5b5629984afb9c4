//! Which machine this is, as far as a file can be bound to it.

use std::path::Path;

use aws_lc_rs::hmac;

use crate::files;

/// Where the machine's number is: machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// The longest file that is read: the number has 32 digits and a line end.
const LONGEST_FILE: usize = 128;

/// Stands for Troth in the hash: drawn once at random, as sd_id128_get_machine_app_specific(3) asks, so that what Troth writes down can be matched with nothing else.
const APPLICATION: [u8; 16] = [0x6c, 0x1f, 0x5a, 0x0e, 0x3d, 0x92, 0x4b, 0x7a, 0x8e, 0x2b, 0x41, 0xc7, 0xd0, 0x9f, 0x5a, 0x63];

/// Returns a hash of the machine's number, the same as `systemd-id128 machine-id --app-specific=...` makes; `None` where the machine has no number, as in many
/// containers, or not yet.
///
/// The number itself is confidential by machine-id(5), and is not to be written anywhere else.
#[must_use]
pub fn machine_tag() -> Option<[u8; 16]> {
    tag_in(Path::new(MACHINE_ID))
}

fn tag_in(file: &Path) -> Option<[u8; 16]> {
    let content = files::read_limited(file, LONGEST_FILE).ok()?;
    let digits = content.strip_suffix(b"\n").unwrap_or(&content);
    let mut number = [0; 16];
    hex::decode_to_slice(digits, &mut number).ok()?;
    // All zero is no number (machine-id(5)), and would be everybody's.
    (number != [0; 16]).then(|| app_specific(&number))
}

/// HMAC-SHA-256 of the application under the number, cut to 16 octets, marked as a random UUID.
fn app_specific(number: &[u8; 16]) -> [u8; 16] {
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, number), &APPLICATION);
    let mut tag = [0; 16];
    tag.iter_mut().zip(signed.as_ref()).for_each(|(place, octet)| *place = *octet);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut tag;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_of(content: &str) -> Option<[u8; 16]> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("machine-id");
        std::fs::write(&file, content).unwrap();
        tag_in(&file)
    }

    #[test]
    fn the_tag_is_the_one_that_systemd_makes() {
        // As sd_id128_get_machine_app_specific(3) describes it, computed with another HMAC.
        let expected = hex::decode("3141c6fe22c6454bb3d9f4bf21eb6bdc").unwrap();
        assert_eq!(tag_of("0123456789abcdef0123456789abcdef\n").unwrap(), *expected);
    }

    #[test]
    fn another_number_is_another_tag_and_the_tag_is_not_the_number() {
        let (one, two) = (tag_of(&"1".repeat(32)).unwrap(), tag_of(&"2".repeat(32)).unwrap());
        assert_ne!(one, two);
        assert_ne!(one, [0x11; 16]);
    }

    #[test]
    fn a_machine_without_a_number_has_no_tag() {
        for content in [
            "",
            "\n",
            "uninitialized\n",
            "0123\n",
            &"0".repeat(32),
            &"x".repeat(32),
            &"1".repeat(31),
            &"1".repeat(1_000),
        ] {
            assert_eq!(tag_of(content), None, "{content:?}");
        }
        assert_eq!(tag_in(Path::new("/nonexistent")), None);
    }
}
