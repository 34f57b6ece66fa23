use super::*;

const ED25519_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex at home";
const P256_KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA=";
const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCvUk+HhPlWbZ6Mw8RMKTkFFIgP1jMgUqSfNGPnZ2Y3LYqY0FQoGjdyzPZPimdzlCNbmFhXiQZu7PLl/JrTZ0J7PxmV93XUpzb0L7C/q2VWfYzSwDImYyJGdxJ8y/MkT7r1A3DA29hNu4TmDxZPfK1l0K7QxjOa+IoT9cOMZOa2/TZHuGnCbTm2oE9944DhYdlAwBZNUppxXB0e+F+ZB3+Gw9X/sUYpalCt54kRZlEQsVPuhxD9pN7VuWfy75hg5PbD4YA0p/Mu60j0x90zOSwyq+nTck2kgyQC/PmC5+Zgg+dntWUC1fZxeNNAlKsDJDMrjgiEjZDRm2ynBOgq5Kt7";
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDlZFbuc0zPfHW0FbziIWH9x62JT618QXmE+kCFr6HHuZC8Bdsr46aezr5gDSMJjrTCNeUCunJjczlCvmy+h+la+6qhxOsBgqyudPj41vez7eyDC73a6gf7PAQmiMWvTNvo7Jlf0H+V6vFIjBywNjl/BtyVywZiAjj9/v231Hkmbw== r1";

fn opens(line: &str, from: &str) -> bool {
    let key = AuthorizedKey::parse(line).unwrap();
    let offered = key.public_key().clone();
    key.opens(&offered, from.parse().unwrap())
}

#[test]
fn keys_of_all_three_types_log_in() {
    for line in [ED25519_KEY, P256_KEY, RSA_2048] {
        assert!(opens(line, "192.0.2.1"), "{line}");
    }
    let key = AuthorizedKey::parse(ED25519_KEY).unwrap();
    assert_eq!(key.comment(), b"alex at home");
    assert_eq!(key.fingerprint(), "SHA256:zjhfP8W1OUPMfRjpJ0SbMKesRVxWgMdSXMflFijHWXA");
}

#[test]
fn a_different_key_does_not_log_in() {
    let key = AuthorizedKey::parse(ED25519_KEY).unwrap();
    let other = AuthorizedKey::parse(P256_KEY).unwrap();
    assert!(!key.opens(other.public_key(), "192.0.2.1".parse().unwrap()));
}

#[test]
fn supported_options_take_effect() {
    for (options, from, want) in [
        ("restrict", "192.0.2.1", true),
        ("from=\"192.0.2.0/24\"", "192.0.2.1", true),
        ("from=\"192.0.2.0/24\"", "198.51.100.1", false),
        ("restrict,from=\"192.0.2.1, 192.0.2.2\"", "192.0.2.2", true),
        ("restrict,pty,no-X11-forwarding,no-agent-forwarding,no-user-rc", "192.0.2.1", true),
        ("no-pty,no-port-forwarding,from=\"192.0.2.0/24\"", "198.51.100.1", false),
        ("FROM=\"*,!192.0.2.1\",RESTRICT", "192.0.2.1", false),
    ] {
        assert_eq!(opens(&format!("{options} {ED25519_KEY}"), from), want, "{options} {from}");
    }
}

#[test]
fn the_earliest_expiry_applies() {
    let options = "expiry-time=\"20300101Z\",restrict,EXPIRY-TIME=\"202901011200Z\"";
    let key = AuthorizedKey::parse(&format!("{options} {ED25519_KEY}")).unwrap();
    assert_eq!(key.expires(), Expiry::parse_date("2029-01-01T12:00:00Z"));
    assert!(key.has_options() && key.is_restricted());
}

#[test]
fn invalid_keys_are_refused_with_the_reason() {
    let option = |name: &str| KeyError::Option(name.to_owned());
    for (line, want) in [
        (format!("command=\"ls -l\" {ED25519_KEY}"), option("command")),
        (format!("restrict,expiry-time=\"2030\" {ED25519_KEY}"), KeyError::Expiry("2030".into())),
        (format!("expiry-time=20300101 {ED25519_KEY}"), KeyError::Options),
        (format!("cert-authority {ED25519_KEY}"), option("cert-authority")),
        (format!("from=\"192.0.2.1\",environment=\"A=\\\"b\\\" c\" {ED25519_KEY}"), option("environment")),
        (format!("from {ED25519_KEY}"), KeyError::Options),
        (format!("from=192.0.2.1 {ED25519_KEY}"), KeyError::Options),
        (format!("from=\"192.0.2.1\",from=\"192.0.2.2\" {ED25519_KEY}"), KeyError::TwoOrigins),
        (format!("from=\"\" {ED25519_KEY}"), KeyError::Origin(OriginError::Empty)),
        (RSA_1024.into(), KeyError::ShortRsa(1024)),
        (ED25519_KEY.replacen("ssh-ed25519", "ssh-dss", 1), KeyError::Type("ssh-dss".into())),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr x".into(), KeyError::Type("sk-ssh-ed25519@openssh.com".into())),
        (ED25519_KEY.replacen("ssh-ed25519", "ssh-rsa", 1), KeyError::NoKey),
        (ED25519_KEY.replacen("qMWa", "", 1), KeyError::NoKey),
        ("ssh-ed25519".into(), KeyError::NoKey),
        ("hello".into(), KeyError::NoKey),
        ("hello world".into(), KeyError::NoKey),
        (String::new(), KeyError::NoKey),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), KeyError::Private),
        ("PuTTY-User-Key-File-3: ssh-ed25519".into(), KeyError::Form(OtherForm::Putty)),
    ] {
        assert_eq!(AuthorizedKey::parse(&line), Err(want), "{line}");
    }
}

#[test]
fn a_file_has_one_key_per_line() {
    let text = format!("# mine\n\n{ED25519_KEY}\r\n  # more\n  {P256_KEY}\n");
    assert_eq!(AuthorizedKey::parse_file(&text).unwrap().len(), 2);
    assert_eq!(AuthorizedKey::parse_file("\n# none\n"), Ok(Vec::new()));
    let bad = format!("{ED25519_KEY}\n\nno-touch-required {ED25519_KEY}\n");
    assert_eq!(AuthorizedKey::parse_file(&bad), Err((3, KeyError::Option("no-touch-required".into()))));
    let ssh2 = "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n";
    let (line, error) = AuthorizedKey::parse_file(ssh2).unwrap_err();
    assert_eq!((line, error.to_string().contains("ssh-keygen -i -m RFC4716")), (1, true), "{error}");
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n";
    assert_eq!(AuthorizedKey::parse_file(private), Err((1, KeyError::Private)));
}

#[test]
fn a_key_line_is_distinguished_from_a_file_name() {
    for (text, want) in [
        (ED25519_KEY, true),
        ("restrict ssh-ed25519 junk", true),
        ("keys/alex.pub", false),
        ("keys/alex's own key.pub", false),
        ("ssh-keys/alex.pub", false),
    ] {
        assert_eq!(looks_like_a_line(text), want, "{text}");
    }
}
