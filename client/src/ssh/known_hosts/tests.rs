//! Known hosts.

use super::*;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::certificate::Builder;

fn key() -> PublicKey {
    let mut rng = russh::keys::key::safe_rng();
    PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap().public_key().clone()
}

/// The keys of `name` in a file with these lines; `KEY` stands for the key.
fn known(lines: &str, key: &PublicKey, name: &str) -> KnownHost {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    std::fs::write(&file, lines.replace("KEY", &key.to_openssh().unwrap())).unwrap();
    KnownHost::read(&[dir.path().join("missing"), file], name).unwrap()
}

fn is_known(hosts: &str, name: &str) -> bool {
    let key = key();
    matches!(known(&format!("{hosts} KEY a comment\n"), &key, name).judge(&key), Verdict::Known)
}

fn hashed(name: &str) -> String {
    let salt = [7; 20];
    let mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap().chain_update(name.as_bytes());
    let hash = mac.finalize().into_bytes().into();
    HostPatterns::HashedName { salt: salt.to_vec(), hash }.to_string()
}

#[test]
fn names_patterns_and_negations_match() {
    for (hosts, name, want) in [
        ("host", "host", true),
        ("host", "[host]:2222", false),
        ("[host]:2222", "[host]:2222", true),
        ("other,[HOST]:2222", "[host]:2222", true),
        ("*.example.org", "www.example.org", true),
        ("[*.example.org]:2222", "[www.example.org]:2222", true),
        ("*.example.org,!bad.example.org", "bad.example.org", false),
        ("!bad.example.org", "good.example.org", false),
        ("192.0.2.?", "192.0.2.7", true),
    ] {
        assert_eq!(is_known(hosts, name), want, "{hosts} {name}");
    }
}

#[test]
fn hashed_names_match() {
    let line = hashed("[host]:2222");
    assert!(line.starts_with("|1|"), "{line}");
    assert!(is_known(&line, "[host]:2222"));
    assert!(!is_known(&line, "host"));
    // As ssh-keygen -H wrote it for the name example.com.
    assert!(is_known("|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak=", "example.com"));
}

#[test]
fn changed_and_revoked_keys_are_refused() {
    let (old, new) = (key(), key());
    let host = known("# comment\n\nhost KEY\n", &old, "host");
    let Verdict::Changed(line) = host.judge(&new) else { panic!("not noticed") };
    assert_eq!((line.number, &line.key), (3, &old));
    let host = known("host KEY\n@revoked * KEY\n", &old, "host");
    assert!(matches!(host.judge(&old), Verdict::Revoked(line) if line.number == 2));
    let host = known("@revoked * KEY\n", &old, "host");
    assert!(matches!(host.judge(&new), Verdict::Unknown));
}

#[test]
fn certificate_authorities_are_not_hosts_and_invalid_lines_are_ignored() {
    let key = key();
    let host =
        known("@cert-authority host KEY\n@unheard-of host KEY\nhost\nhost ssh-ed25519 !!!\n", &key, "host");
    assert!(matches!(host.judge(&key), Verdict::Unknown));
    assert!(host.has_authorities());
}

#[test]
fn a_remembered_key_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made/known_hosts");
    let (first, second) = (key(), key());
    remember(&file, "[host]:2222", &first).unwrap();
    // Someone edits it and forgets the last line feed.
    let mut text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.pop(), Some('\n'));
    std::fs::write(&file, text).unwrap();
    remember(&file, "other", &second).unwrap();
    for (name, key) in [("[host]:2222", &first), ("other", &second)] {
        let host = KnownHost::read(std::slice::from_ref(&file), name).unwrap();
        assert!(matches!(host.judge(key), Verdict::Known), "{name}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(KnownHost::read(&[dir.path().to_owned()], "host").is_err());
}

#[test]
fn the_port_is_part_of_the_name() {
    assert_eq!(name("Host", 22), "host");
    assert_eq!(name("::1", 2222), "[::1]:2222");
}

/// A certificate of a host, for these names, that is valid from 100 to 200.
fn certificate(authority: &PrivateKey, kind: CertType, names: &[&str], option: Option<&str>) -> Certificate {
    let mut rng = russh::keys::key::safe_rng();
    let mut builder = Builder::new_with_random_nonce(&mut rng, key(), 100, 200).unwrap();
    builder.cert_type(kind).unwrap().key_id("test").unwrap();
    names.iter().for_each(|name| {
        builder.valid_principal(*name).unwrap();
    });
    match names.is_empty() {
        true => builder.all_principals_valid().unwrap(),
        false => &mut builder,
    };
    option.iter().for_each(|option| {
        builder.critical_option(*option, "x").unwrap();
    });
    builder.sign(authority).unwrap()
}

#[test]
fn a_certificate_counts_only_if_everything_about_it_is_right() {
    let mut rng = russh::keys::key::safe_rng();
    let [ours, other] = [(); 2].map(|()| PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap());
    let host = known("@cert-authority *.example.org KEY\n", ours.public_key(), "nas.example.org");
    let judge = |certificate: &Certificate, host_name: &str, now| match host.judge_certificate(
        certificate,
        host_name,
        now,
    ) {
        CertificateVerdict::Valid => "valid".to_owned(),
        CertificateVerdict::Invalid(flaw) => flaw,
        CertificateVerdict::Revoked(_) => "revoked".to_owned(),
    };
    let valid = certificate(&ours, CertType::Host, &["nas.example.org", "*.lan"], None);
    for (host_name, now, want) in [
        ("nas.example.org", 100, "valid"),
        ("NAS.lan", 199, "valid"),
        ("web.example.org", 150, "other host names"),
        ("nas.example.org", 99, "expired"),
        ("nas.example.org", 200, "expired"),
    ] {
        let said = judge(&valid, host_name, now);
        assert!(said.contains(want), "{host_name} {now}: {said}");
    }
    for (certificate, want) in [
        (certificate(&ours, CertType::Host, &[], None), "valid"),
        (certificate(&other, CertType::Host, &["nas.example.org"], None), "no @cert-authority line"),
        (certificate(&ours, CertType::User, &["nas.example.org"], None), "not a certificate of a host"),
        (certificate(&ours, CertType::Host, &["nas.example.org"], Some("odd")), "critical options"),
    ] {
        let said = judge(&certificate, "nas.example.org", 150);
        assert!(said.contains(want), "{want}: {said}");
    }
    let mut bytes = valid.to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = Certificate::from_bytes(&bytes).unwrap();
    assert!(judge(&forged, "nas.example.org", 150).contains("signature is wrong"));
    // A line for other hosts is not one of this host.
    let host = known("@cert-authority *.lan KEY\n", ours.public_key(), "nas.example.org");
    assert!(!host.has_authorities());
}

#[test]
fn the_key_of_an_authority_can_be_revoked() {
    let authority = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let certificate = certificate(&authority, CertType::Host, &["host"], None);
    let lines = "@cert-authority host KEY\n@revoked * KEY\n";
    let host = known(lines, authority.public_key(), "host");
    let verdict = host.judge_certificate(&certificate, "host", 150);
    assert!(matches!(verdict, CertificateVerdict::Revoked(line) if line.number == 2));
}

#[test]
fn a_file_of_revoked_keys_is_obeyed() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let file = dir.path().join("revoked");
    let mut host = known("host KEY\n", &key, "host");
    std::fs::write(&file, format!("# a comment\n{} x\n", key.to_openssh().unwrap())).unwrap();
    host.revoke(&file).unwrap();
    assert!(matches!(host.judge(&key), Verdict::Revoked(line) if line.number == 2));
    std::fs::write(&file, KRL_MAGIC).unwrap();
    assert!(host.revoke(&file).unwrap_err().to_string().contains("not supported"));
    assert!(host.revoke(&dir.path().join("missing")).is_err());
}
