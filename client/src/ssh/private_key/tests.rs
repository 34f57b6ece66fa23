use super::*;
use std::path::Path;
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "open sesame";

/// The content that a program writes to `out`; `None` if the program is missing or cannot do it.
fn made(dir: &Path, program: &str, arguments: &[&str], out: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let done = command.status().is_ok_and(|status| status.success());
    done.then(|| std::fs::read_to_string(dir.join(out)).unwrap())
}

/// Checks that a wrong passphrase is reported as wrong, a missing one as required, and that the right one decrypts the
/// key.
fn assert_opens(text: &str, what: &str) {
    assert_eq!(decode(text, None).unwrap_err(), Encrypted, "{what}");
    for wrong in 0..40 {
        assert_eq!(decode(text, Some(&format!("{wrong}"))).unwrap_err(), WrongPassphrase, "{what} {wrong}");
    }
    decode(text, Some(PASSPHRASE)).unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn traditional_pem_opens_with_each_cipher() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str], out: &str| made(dir.path(), "openssl", arguments, out);
    let rsa = openssl(&["genrsa", "-traditional", "-out", "rsa", "2048"], "rsa");
    let ec = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec"], "ec");
    let (Some(_), Some(_)) = (rsa, ec) else {
        return eprintln!("skipped: traditional_pem_opens_with_each_cipher: openssl");
    };
    let pass = format!("pass:{PASSPHRASE}");
    for kind in ["rsa", "ec"] {
        for cipher in ["-aes128", "-aes192", "-aes256", "-des3"] {
            let mut arguments = vec![kind, "-in", kind, "-out", "out", cipher, "-passout", &pass];
            if kind == "rsa" {
                arguments.push("-traditional");
            }
            let text = openssl(&arguments, "out").unwrap();
            assert!(text.contains("DEK-Info"), "{text}");
            assert_opens(&text, &format!("{kind} {cipher}"));
        }
    }
    let text = openssl(
        &["rsa", "-in", "rsa", "-out", "out", "-camellia128", "-traditional", "-passout", &pass],
        "out",
    );
    if let Some(text) = text {
        let error = decode(&text, Some(PASSPHRASE)).unwrap_err();
        assert_eq!(error, Encryption("CAMELLIA-128-CBC".to_owned()));
    }
}

#[test]
fn pkcs8_opens_or_names_its_encryption() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str], out: &str| made(dir.path(), "openssl", arguments, out);
    let Some(_) = openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key"], "key") else {
        return eprintln!("skipped: pkcs8_opens_or_names_its_encryption: openssl");
    };
    let pass = format!("pass:{PASSPHRASE}");
    let pkcs8 = |options: &[&str]| {
        let fixed = ["pkcs8", "-topk8", "-in", "key", "-out", "out", "-passout", &pass];
        openssl(&[&fixed[..], options].concat(), "out")
    };
    for options in [&["-v2", "aes128"][..], &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"]] {
        assert_opens(&pkcs8(options).unwrap(), &format!("{options:?}"));
    }
    for (options, names) in [
        (&["-v2", "des3"][..], "3DES"),
        (&["-v2", "aes256", "-v2prf", "hmacWithSHA1"], "HMAC with SHA-1"),
        (&["-v1", "PBE-SHA1-3DES"], "PKCS #12"),
        (&["-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"], "PBES1 (MD5 and DES)"),
        (&["-v1", "PBE-SHA1-DES", "-provider", "legacy", "-provider", "default"], "PBES1 (SHA-1 and DES)"),
    ] {
        // OpenSSL 3 writes the oldest formats only with its legacy provider.
        let Some(text) = pkcs8(options) else { continue };
        let error = decode(&text, Some(PASSPHRASE)).unwrap_err();
        assert!(matches!(&error, Encryption(found) if found.contains(names)), "{options:?}: {error}");
        // No passphrase is asked for first.
        assert_eq!(decode(&text, None).unwrap_err(), error, "{options:?}");
        assert!(error.to_string().contains("ssh-keygen -p"), "{error}");
    }
}

#[test]
fn keys_of_ssh_keygen_open() {
    let dir = tempfile::tempdir().unwrap();
    let types =
        [("rsa", "PEM"), ("ecdsa", "PEM"), ("rsa", "PKCS8"), ("ecdsa", "PKCS8"), ("ed25519", "RFC4716")];
    for (kind, form) in types {
        let file = format!("{kind}-{form}");
        let arguments = ["-q", "-t", kind, "-m", form, "-N", PASSPHRASE, "-f", &file];
        let Some(text) = made(dir.path(), "ssh-keygen", &arguments, &file) else {
            return eprintln!("skipped: keys_of_ssh_keygen_open: ssh-keygen");
        };
        if form == "RFC4716" {
            // OpenSSH's own format takes a second to derive the key, so it is tested once.
            assert_eq!(decode(&text, Some("barley")).unwrap_err(), WrongPassphrase);
            decode(&text, Some(PASSPHRASE)).unwrap();
        } else {
            assert_opens(&text, &file);
        }
    }
    let arguments = ["-q", "-t", "ed25519", "-Z", "3des-cbc", "-N", PASSPHRASE, "-f", "tdes"];
    if let Some(text) = made(dir.path(), "ssh-keygen", &arguments, "tdes") {
        assert_eq!(decode(&text, Some(PASSPHRASE)).unwrap_err(), Encryption("3des-cbc".to_owned()));
    }
}

#[test]
fn putty_keys_open_or_report_the_problem() {
    let error = decode("PuTTY-User-Key-File-3: ssh-ed448\r\nEncryption: none\r\n", None).unwrap_err();
    assert!(matches!(&error, Unsupported(why) if why.contains("ssh-ed448")), "{error}");
    let cut = "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\n";
    assert!(decode(cut, None).unwrap_err().to_string().contains("puttygen FILE -O private-openssh"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pass"), PASSPHRASE).unwrap();
    for version in ["version=2", "version=3"] {
        let arguments =
            ["-q", "-t", "ed25519", "--ppk-param", version, "-o", "key.ppk", "--new-passphrase", "pass"];
        let Some(text) = made(dir.path(), "puttygen", &arguments, "key.ppk") else {
            return eprintln!("skipped: putty_keys_open_or_report_the_problem: puttygen");
        };
        assert_eq!(decode(&text, None).unwrap_err(), Encrypted);
        assert_eq!(decode(&text, Some("barley")).unwrap_err(), WrongPassphrase);
        decode(&text, Some(PASSPHRASE)).unwrap();
    }
}

#[test]
fn other_files_are_not_keys() {
    for text in
        ["", "junk", "ssh-ed25519 AAAA", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        assert_eq!(decode(text, Some("x")).unwrap_err(), NoKey, "{text}");
    }
    let damaged = "-----BEGIN RSA PRIVATE KEY-----\n!!!!\n-----END RSA PRIVATE KEY-----\n";
    assert!(matches!(decode(damaged, None), Err(Unsupported(_))));
    let cut = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n";
    assert_eq!(decode(cut, None).unwrap_err(), NoKey);
}
