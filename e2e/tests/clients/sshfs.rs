//! sshfs, and what runs over it.
