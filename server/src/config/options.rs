//! Settings with a fixed set of values.

/// Which key exchanges are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kex {
    /// `mlkem768x25519-sha256`, and `curve25519-sha256` for clients that have nothing better.
    #[default]
    Compatible,
    /// `mlkem768x25519-sha256` only. OpenSSH before 9.9 cannot connect.
    PostQuantum,
}

/// Which algorithms are offered beside the best ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithms {
    /// None: ed25519 host keys, and MACs that are encrypt-then-MAC.
    #[default]
    Strict,
    /// Those that clients of about 2015 to 2020 need: host keys of ECDSA and RSA (with SHA-2), ECDH with
    /// nistp256, Diffie-Hellman groups 14 and 16, HMAC with SHA-2 that is not encrypt-then-MAC.
    Compatible,
}

/// The sandbox of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confine {
    /// No sandbox, for debugging.
    Off,
    /// As much as the kernel supports.
    #[default]
    BestEffort,
    /// The complete sandbox, or the server does not start.
    Required,
}
