//! The settings of a new server: the shipped file with other addresses, and one user in place of the demo users.

use super::SetupError;
use super::answers::{SetupAnswers, UserCredential};
use crate::accounts::unfit_reason;
use crate::admin::table_text;
use crate::auth::hash_password;
use crate::config::{self, ConfigError, ConfigLocation, shown};
use std::net::SocketAddr;
use toml_edit::{Array, Table, Value, value};
use zeroize::Zeroizing;

/// The shipped settings.
const SHIPPED_SETTINGS: &str = include_str!("../../../etc/users.toml");

/// Its users, whose passwords are public.
const DEMO_USERS: [&str; 2] = ["alex", "zcl"];

/// Its lines that depend on the answers.
const LISTEN_LINE: &str = "listen = [\"127.0.0.1:2222\"]\n";
const ACCOUNT_LINE: &str = "#account = \"sshome\"\n";

/// The text of etc/users.toml.
pub(super) fn text(answers: &SetupAnswers) -> Result<Zeroizing<String>, SetupError> {
    let mut text = SHIPPED_SETTINGS.to_owned();
    for user in DEMO_USERS {
        text = table_text::without_user(&text, user).unwrap_or(text);
    }
    let listen: Array = answers.listen.iter().map(SocketAddr::to_string).collect();
    text = text.replacen(LISTEN_LINE, &format!("listen = {}\n", Value::from(listen)), 1);
    if let Some(account) = &answers.account {
        text = text.replacen(ACCOUNT_LINE, &format!("account = {}\n", Value::from(account.as_str())), 1);
    }
    let mut user = Table::new();
    match &answers.credential {
        UserCredential::Password(password) => {
            let hash = hash_password(password).map_err(crate::admin::AdminError::from)?;
            user.insert("password", value(hash.to_phc()));
        }
        UserCredential::Keys(lines) => {
            let mut keys = Array::new();
            lines
                .iter()
                .for_each(|line| keys.push_formatted(Value::from(line.as_str()).decorated("\n    ", "")));
            keys.set_trailing("\n");
            keys.set_trailing_comma(true);
            user.insert("authorized-keys", value(keys));
        }
    }
    user.insert("quota", value(answers.quota.trim()));
    let text = Zeroizing::new(table_text::append(&text, &answers.user, user));
    check(answers, &text)?;
    Ok(text)
}

/// Checks the text as the server would.
fn check(answers: &SetupAnswers, text: &str) -> Result<(), SetupError> {
    let (dir, file) = (answers.folder.clone(), answers.folder.join("etc/users.toml"));
    let location = ConfigLocation { dir, shown: file.clone(), file };
    let (config, mistakes) = config::parse(&location, text, &[]);
    if !mistakes.is_empty() {
        return Err(SetupError::Settings(ConfigError::mistakes(&location, mistakes)));
    }
    match config.accounts.iter().find_map(|account| unfit_reason(account)) {
        None => Ok(()),
        Some(why) => {
            let why = format!("{} {why}: choose another folder", shown(&config.homes));
            Err(SetupError::Answer { option: "--dir", why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServiceKind;
    use super::*;
    use crate::accounts::Password;

    fn answers(account: Option<&str>, credential: UserCredential) -> SetupAnswers {
        SetupAnswers {
            folder: "/srv/sshome-of-a-test".into(),
            listen: vec!["[::]:2222".parse().unwrap(), "127.0.0.1:22".parse().unwrap()],
            user: "sam".to_owned(),
            credential,
            quota: "50 GiB".to_owned(),
            service: ServiceKind::None,
            account: account.map(str::to_owned),
        }
    }

    fn config(text: &str) -> config::Config {
        let location = ConfigLocation { dir: "/srv".into(), file: "/srv/f".into(), shown: "f".into() };
        let (config, mistakes) = config::parse(&location, text, &[]);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        config
    }

    #[test]
    fn the_settings_have_the_answers_and_no_demo_user() {
        let credential = UserCredential::Password(Password::new("long enough"));
        let text = text(&answers(Some("files"), credential)).unwrap();
        let config = config(&text);
        assert_eq!(config.listen, ["[::]:2222".parse().unwrap(), "127.0.0.1:22".parse().unwrap()]);
        assert_eq!(config.account.as_deref(), Some("files"));
        let [sam] = &config.accounts[..] else { panic!("{:?}", config.accounts) };
        assert_eq!((sam.name.as_str(), sam.quota), ("sam", Some(50 << 30)));
        assert!(sam.has_credentials() && !sam.has_demo_password());
        for demo in DEMO_USERS {
            assert!(!text.contains(&format!("{demo}-demo")), "{}", *text);
        }
        assert!(text.contains("# Host keys, created at the first start."), "{}", *text);
    }

    #[test]
    fn without_root_no_account_is_set() {
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl sam@\"x\"";
        let text = text(&answers(None, UserCredential::Keys(vec![line.to_owned()]))).unwrap();
        let config = config(&text);
        assert_eq!(config.account, None);
        assert_eq!(config.accounts[0].keys[0].comment(), b"sam@\"x\"");
    }
}
