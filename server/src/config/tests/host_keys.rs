use super::*;

#[test]
fn host_keys_are_private_ed25519_and_not_encrypted() {
    let dir = folder("[server]\nhost-keys = [\"key\"]\n");
    let path = dir.path().join("key");
    let put = |text: &str, mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let text = key.to_openssh(LineEnding::LF).unwrap();
    put(&text, 0o600);
    assert_eq!(complaints(&dir, &[]), Vec::<String>::new());
    put(&text, 0o640);
    assert_eq!(
        complaints(&dir, &[]),
        ["2: server.host-keys: key can be read by other users of this machine: chmod 600 DIR/key"]
    );
    put("junk", 0o600);
    let junk = complaints(&dir, &[]);
    assert!(
        junk[0].starts_with("2: server.host-keys: key is not a private key in OpenSSH's format: "),
        "{junk:?}"
    );
    assert!(junk[0].contains("restore it from a backup"), "{junk:?}");
    put("", 0o600);
    assert!(complaints(&dir, &[])[0].contains("OpenSSH's format: it is empty; "));
    put(&format!("\u{feff}{}", text.as_str()), 0o600);
    let mark = complaints(&dir, &[]);
    assert!(mark[0].starts_with("2: server.host-keys: key begins with a byte order mark"), "{mark:?}");
    // The suggested command solves the problem.
    let command = mark[0].split("put there: ").last().unwrap().replace("DIR", dir.path().to_str().unwrap());
    let done = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(done.success() && complaints(&dir, &[]).is_empty(), "{command}");
    let other =
        PrivateKey::random(&mut rand::rng(), Algorithm::Ecdsa { curve: russh::keys::EcdsaCurve::NistP256 });
    put(&other.unwrap().to_openssh(LineEnding::LF).unwrap(), 0o600);
    assert_eq!(
        complaints(&dir, &[]),
        [
            "2: server.host-keys: key is a key of type ecdsa-sha2-nistp256: host keys are ed25519, unless algorithms = \"compatible\""
        ]
    );
    let encrypted = key.encrypt(&mut rand::rng(), "passphrase").unwrap();
    put(&encrypted.to_openssh(LineEnding::LF).unwrap(), 0o600);
    assert_eq!(
        complaints(&dir, &[]),
        [
            "2: server.host-keys: key has a passphrase, which nobody could type when the server starts: remove it with ssh-keygen -p -f DIR/key"
        ]
    );
}
