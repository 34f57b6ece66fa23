//! A random password that people can copy by hand.

use crate::accounts::Password;
use zeroize::Zeroizing;

/// 32 characters that are not mistaken for each other: five bits each.
const ALPHABET: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

const BITS_PER_CHARACTER: usize = 5;

/// The number of random characters.
const RANDOM_CHARACTERS: usize = 20;

/// Characters between two hyphens, which make it readable.
const GROUP_CHARACTERS: usize = 4;

/// A password for one run of this process.
pub(super) struct OneTimePassword(Zeroizing<String>);

impl OneTimePassword {
    /// Its entropy.
    pub(super) const ENTROPY_BITS: usize = RANDOM_CHARACTERS * BITS_PER_CHARACTER;

    pub(super) fn generate() -> OneTimePassword {
        // Allocated once: a growing text leaves copies in memory.
        let mut text = Zeroizing::new(String::with_capacity(2 * RANDOM_CHARACTERS));
        for number in 0..RANDOM_CHARACTERS {
            if number > 0 && number.is_multiple_of(GROUP_CHARACTERS) {
                text.push('-');
            }
            let random = rand::random::<u8>() % 32;
            text.extend(ALPHABET.get(usize::from(random)).map(|byte| char::from(*byte)));
        }
        OneTimePassword(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn to_password(&self) -> Password {
        Password::new(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_password_has_its_bits_and_is_used_once() {
        assert_eq!(ALPHABET.iter().collect::<HashSet<_>>().len(), 1 << BITS_PER_CHARACTER);
        let passwords: Vec<_> = (0..100).map(|_| OneTimePassword::generate()).collect();
        for password in &passwords {
            let groups: Vec<_> = password.as_str().split('-').collect();
            assert_eq!(groups.len(), RANDOM_CHARACTERS / GROUP_CHARACTERS, "{}", password.as_str());
            assert!(groups.iter().all(|group| group.len() == GROUP_CHARACTERS), "{}", password.as_str());
        }
        let distinct: HashSet<_> = passwords.iter().map(OneTimePassword::as_str).collect();
        assert_eq!(distinct.len(), passwords.len());
        // Each character occurs somewhere in 2000 of them, except once in 10^26 runs.
        let all: String = distinct.into_iter().collect();
        assert!(ALPHABET.iter().all(|byte| all.contains(char::from(*byte))));
    }
}
