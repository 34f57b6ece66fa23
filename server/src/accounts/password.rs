//! Passwords and their hashes.

use argon2::password_hash::phc::{self, ParamsString};
use argon2::{ARGON2ID_IDENT, Argon2, Params, PasswordHasher, PasswordVerifier};
use std::fmt;
use zeroize::Zeroizing;

/// The shortest password that an administrator may set, in characters.
pub const MIN_PASSWORD_CHARS: usize = 8;

/// The smallest accepted cost of a hash: OWASP's recommendation for argon2id, 19 MiB and two passes.
/// New hashes have exactly this cost ([`Params::DEFAULT`]).
const MIN_PARAMS: Params = Params::DEFAULT;

/// The largest accepted cost of a hash. Anybody can attempt a login, which costs as much.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;

/// The hashes in the etc/users.toml that is shipped with sshome. Their passwords are published in the documentation.
const DEMO_PASSWORDS: [&str; 2] = [
    "$argon2id$v=19$m=19456,t=2,p=1$pFVfrGfzyMN8KULqUJ2vuw$V0bE8SL2SX53TqeLdUlaJ66Srmlzw1T2B5TnA8GAtIM",
    "$argon2id$v=19$m=19456,t=2,p=1$4fR5w/b0PVFu0/fKJ5DteA$dU2A1rHDi3+igMizHuIWBqWGYNqcew/rkGpRm7tOWgQ",
];

/// A password in clear text. It is never printed, and is erased from memory when it is dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Password {
        Password(Zeroizing::new(password.into()))
    }

    /// Its length in characters.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether two entries of a new password are equal. Not in constant time.
    #[must_use]
    pub fn same_as(&self, other: &Password) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password hash: argon2id as a PHC string. It is never printed.
#[derive(Clone)]
pub struct PasswordHash {
    phc: phc::PasswordHash,
    demo: bool,
}

/// Why a hash is invalid or cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text is not a complete PHC string.
    #[error("is not a PHC string ($argon2id$v=19$…)")]
    NotPhc,
    /// It is not argon2id, version 19.
    #[error("is not an argon2id hash of version 19")]
    Algorithm,
    /// It is too cheap to attack.
    #[error("is too weak an argon2id hash: the minimum is m={} and t={}", MIN_PARAMS.m_cost(), MIN_PARAMS.t_cost())]
    Weak,
    /// It is too expensive to check for every login attempt.
    #[error(
        "is too costly an argon2id hash: at most m={MAX_MEMORY_KIB}, t={MAX_PASSES}, p={MAX_LANES} are allowed"
    )]
    Costly,
    /// The system has no memory or no randomness.
    #[error("the password could not be hashed: {0}")]
    Failed(argon2::password_hash::Error),
}

impl PasswordHash {
    /// Hashes a password. Takes some 20 ms of CPU and 19 MiB: not for an async task.
    ///
    /// # Errors
    /// If the system gives no memory or no randomness.
    pub fn of(password: &Password) -> Result<PasswordHash, HashError> {
        let phc = Argon2::default().hash_password(password.0.as_bytes()).map_err(HashError::Failed)?;
        Ok(PasswordHash { phc, demo: false })
    }

    /// Reads a PHC string.
    ///
    /// # Errors
    /// If it is not one of argon2id, or its cost is out of bounds.
    pub fn parse(text: &str) -> Result<PasswordHash, HashError> {
        let phc = phc::PasswordHash::new(text).map_err(|_| HashError::NotPhc)?;
        if phc.algorithm != ARGON2ID_IDENT || phc.version != Some(19) {
            return Err(HashError::Algorithm);
        }
        if phc.salt.is_none() || phc.hash.is_none() {
            return Err(HashError::NotPhc);
        }
        let cost = Params::try_from(&phc).map_err(|_| HashError::NotPhc)?;
        if cost.m_cost() < MIN_PARAMS.m_cost() || cost.t_cost() < MIN_PARAMS.t_cost() {
            return Err(HashError::Weak);
        }
        if cost.m_cost() > MAX_MEMORY_KIB || cost.t_cost() > MAX_PASSES || cost.p_cost() > MAX_LANES {
            return Err(HashError::Costly);
        }
        Ok(PasswordHash { phc, demo: false })
    }

    /// A hash without a known password, at the cost of [`PasswordHash::of`]. Logins of unknown users are checked against it,
    /// so that they take as long as others.
    #[must_use]
    pub fn dummy() -> PasswordHash {
        let phc = phc::PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(19),
            // Without parameters, argon2 uses its defaults, which are those of `of`.
            params: ParamsString::new(),
            salt: phc::Salt::new(&[0; 16]).ok(),
            hash: phc::Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).ok(),
        };
        PasswordHash { phc, demo: false }
    }

    /// Whether it is the same hash. Another hash of the same password is different.
    #[must_use]
    pub fn is(&self, other: &PasswordHash) -> bool {
        self.phc == other.phc
    }

    /// Whether the password matches. As expensive as hashing: do not call it in an async task.
    #[must_use]
    pub fn matches(&self, password: &Password) -> bool {
        Argon2::default().verify_password(password.0.as_bytes(), &self.phc).is_ok()
    }

    /// Whether checking it takes as long as checking [`PasswordHash::dummy`]. If not, the time of a refusal reveals that the
    /// user exists.
    #[must_use]
    pub fn has_usual_cost(&self) -> bool {
        let cost = Params::try_from(&self.phc).map(|cost| (cost.m_cost(), cost.t_cost(), cost.p_cost()));
        cost == Ok((MIN_PARAMS.m_cost(), MIN_PARAMS.t_cost(), MIN_PARAMS.p_cost()))
    }

    /// Whether it is a demo password: marked as one, or one of the shipped hashes.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.demo || DEMO_PASSWORDS.contains(&self.to_phc().as_str())
    }

    /// Sets or clears the demo mark.
    #[must_use]
    pub fn with_demo(self, demo: bool) -> PasswordHash {
        PasswordHash { demo, ..self }
    }

    /// The PHC string, for the file that keeps it.
    pub(crate) fn to_phc(&self) -> String {
        self.phc.to_string()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::Error;

    const REST: &str = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn the_shipped_passwords_are_recognized_without_demo_true() {
        let shipped = include_str!("../../../etc/users.toml");
        let hashes: Vec<_> = shipped
            .lines()
            .filter_map(|line| line.strip_prefix("password = \"")?.strip_suffix('"'))
            .collect();
        assert_eq!(hashes, DEMO_PASSWORDS);
        assert!(hashes.iter().all(|hash| PasswordHash::parse(hash).unwrap().is_demo()));
    }

    fn parsed(head: &str) -> Option<HashError> {
        PasswordHash::parse(&format!("{head}{REST}")).err()
    }

    #[test]
    fn an_encoded_hash_matches_its_password_only() {
        let hash = PasswordHash::of(&Password::new("right horse")).unwrap();
        let again = PasswordHash::parse(&hash.to_phc()).unwrap();
        assert!(hash.to_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(again.matches(&Password::new("right horse")));
        assert!(!again.matches(&Password::new("wrong horse")));
        assert!(again.has_usual_cost());
    }

    #[test]
    fn weak_costly_and_foreign_hashes_are_refused() {
        assert_eq!(parsed("$argon2id$v=19$m=19456,t=2,p=1"), None);
        assert_eq!(parsed("$argon2id$v=19$m=65536,t=3,p=4"), None);
        assert_eq!(parsed("$argon2id$v=19$m=19455,t=2,p=1"), Some(HashError::Weak));
        assert_eq!(parsed("$argon2id$v=19$m=65536,t=1,p=1"), Some(HashError::Weak));
        assert_eq!(parsed("$argon2id$v=19$m=2000000,t=2,p=1"), Some(HashError::Costly));
        assert_eq!(parsed("$argon2id$v=19$m=19456,t=99,p=1"), Some(HashError::Costly));
        assert_eq!(parsed("$argon2id$v=16$m=19456,t=2,p=1"), Some(HashError::Algorithm));
        assert_eq!(parsed("$argon2i$v=19$m=19456,t=2,p=1"), Some(HashError::Algorithm));
        for text in ["", "alex-demo", "$argon2id$v=19$m=19456,t=2,p=1", "$2b$12$abcdefghijklmnopqrstuv"] {
            let error = PasswordHash::parse(text).err();
            assert!(matches!(error, Some(HashError::NotPhc | HashError::Algorithm)), "{text}: {error:?}");
        }
    }

    #[test]
    fn the_dummy_hash_is_computed_like_any_other() {
        let dummy = PasswordHash::dummy();
        assert!(dummy.has_usual_cost());
        // "Wrong password" is returned only after the work; a faulty hash would be a different, immediate error.
        let result = Argon2::default().verify_password(b"anything", &dummy.phc);
        assert_eq!(result, Err(Error::PasswordInvalid));
    }

    #[test]
    fn an_unusual_cost_is_noticed() {
        let hash = PasswordHash::parse(&format!("$argon2id$v=19$m=65536,t=3,p=1{REST}")).unwrap();
        assert!(!hash.has_usual_cost());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let password = Password::new("secret word");
        let shown = format!("{password:?} {:?}", PasswordHash::of(&password).unwrap());
        assert_eq!(shown, "Password(..) PasswordHash(..)");
    }
}
