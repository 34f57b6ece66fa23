use super::*;
use crate::accounts::{AuthorizedKey, KeyLimits, KeyOptions, OwnKeysError, SftpUploads};
use async_trait::async_trait;

const ED25519_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex";
const P256_KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA=";

struct Accounts(Vec<Arc<Account>>);

#[async_trait]
impl AccountStore for Accounts {
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, AccountStoreError> {
        if name == "broken" {
            return Err(AccountStoreError::Unavailable("no connection".into()));
        }
        Ok(self.0.iter().find(|account| account.name == name).cloned())
    }

    async fn all(&self) -> Result<Vec<Arc<Account>>, AccountStoreError> {
        Ok(self.0.clone())
    }

    fn own_keys(&self, _: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError> {
        Err(OwnKeysError::NotAllowed)
    }

    fn install_key(&self, _: &str, _: &str) -> Result<AuthorizedKey, OwnKeysError> {
        Err(OwnKeysError::NotAllowed)
    }

    fn remove_key(&self, _: &str, _: &str, _: bool) -> Result<(), OwnKeysError> {
        Err(OwnKeysError::NotAllowed)
    }
}

fn account(name: &str, password: Option<&str>, keys: &[&str], enabled: bool) -> Arc<Account> {
    Arc::new(Account {
        name: name.into(),
        root: "/nowhere".into(),
        make_root: false,
        quota: None,
        max_files: None,
        upload_rate: None,
        download_rate: None,
        access: Access::ReadWrite,
        sftp_uploads: SftpUploads::InPlace,
        enabled,
        expires: None,
        password: password.map(|password| hash_password(&Password::new(password)).unwrap()),
        keys: keys.iter().map(|line| AuthorizedKey::parse(line).unwrap()).collect(),
        own_keys: false,
        deletable: Vec::new(),
        temporary_names: Vec::new(),
        installed: Vec::new(),
    })
}

fn authenticator() -> Authenticator {
    let inside = format!("from=\"192.0.2.0/24\" {ED25519_KEY}");
    Authenticator::new(Arc::new(Accounts(vec![
        account("alex", Some("alex's own"), &[ED25519_KEY], true),
        account("zcl", None, &[&inside], true),
        account("gone", Some("gone's own"), &[ED25519_KEY], false),
    ])))
}

async fn logs_in(authenticator: &Authenticator, user: &str, password: &str) -> bool {
    authenticator.password(user, Password::new(password)).await.is_some()
}

#[tokio::test]
async fn only_the_right_password_logs_in() {
    let authenticator = authenticator();
    let login = authenticator.password("alex", Password::new("alex's own")).await.unwrap();
    assert_eq!(login.account().name, "alex");
    assert_eq!(format!("{login:?}"), "Login(alex)");
    for (user, password) in [
        ("alex", "gone's own"),
        ("alex", ""),
        ("Alex", "alex's own"),
        ("gone", "gone's own"),
        ("zcl", ""),
        ("nobody", "alex's own"),
        ("broken", "alex's own"),
    ] {
        assert!(!logs_in(&authenticator, user, password).await, "{user} {password}");
    }
}

/// The dummy's password matches only if the dummy is really checked, so that a missing hash costs as much as any other.
/// The match must not log anybody in.
#[tokio::test]
async fn without_a_hash_the_dummy_is_checked() {
    let dummy = hash_password(&Password::new("the dummy's")).unwrap();
    let authenticator = Authenticator { dummy, ..authenticator() };
    assert!(authenticator.matches(None, Password::new("the dummy's")).await);
    for user in ["zcl", "nobody", "broken"] {
        assert!(!logs_in(&authenticator, user, "the dummy's").await, "{user}");
    }
}

#[tokio::test]
async fn keys_log_in_from_their_allowed_addresses() {
    let authenticator = authenticator();
    for (user, line, from, want) in [
        ("alex", ED25519_KEY, "198.51.100.1", true),
        ("alex", P256_KEY, "198.51.100.1", false),
        ("zcl", ED25519_KEY, "192.0.2.7", true),
        ("zcl", ED25519_KEY, "::ffff:192.0.2.7", true),
        ("zcl", ED25519_KEY, "198.51.100.1", false),
        ("gone", ED25519_KEY, "192.0.2.7", false),
        ("nobody", ED25519_KEY, "192.0.2.7", false),
        ("broken", ED25519_KEY, "192.0.2.7", false),
    ] {
        let key = AuthorizedKey::parse(line).unwrap();
        let from = from.parse().unwrap();
        assert_eq!(authenticator.offered(user, key.public_key(), from).await, want, "{user} {from}");
        let login = authenticator.public_key(user, key.public_key(), from).await;
        assert_eq!(login.map(|login| login.account().name.clone()), want.then(|| user.to_owned()));
    }
}

#[tokio::test]
async fn a_login_is_valid_as_long_as_its_credential() {
    let authenticator = authenticator();
    let login = authenticator.password("alex", Password::new("alex's own")).await.unwrap();
    let now = login.account();
    let renewed = |change: &dyn Fn(&mut Account)| {
        let mut account = Account::clone(&now);
        change(&mut account);
        login.renew(Some(Arc::new(account)))
    };
    let read_only = |account: &mut Account| account.access = Access::ReadOnly;
    assert_eq!(renewed(&read_only), Err(Revoked::Restricted(Access::ReadOnly)));
    assert_eq!(login.clone().account().access, Access::ReadOnly);
    assert_eq!(renewed(&read_only), Ok(()), "it is as before");
    assert_eq!(renewed(&|_| ()), Ok(()), "it grants more than before");
    assert_eq!(renewed(&|account| account.keys.clear()), Ok(()), "it was not by a key");
    assert_eq!(renewed(&|account| account.enabled = false), Err(Revoked::Disabled));
    assert_eq!(renewed(&|account| account.password = None), Err(Revoked::Credential));
    let other = hash_password(&Password::new("alex's own")).unwrap();
    let set = |account: &mut Account| account.password = Some(other.clone());
    assert_eq!(renewed(&set), Err(Revoked::Credential));
    assert_eq!(renewed(&|account| account.name = "zcl".into()), Err(Revoked::Removed));
    assert_eq!(login.renew(None), Err(Revoked::Removed));

    let key = AuthorizedKey::parse(ED25519_KEY).unwrap();
    let from = "192.0.2.7".parse().unwrap();
    let login = authenticator.public_key("zcl", key.public_key(), from).await.unwrap();
    assert_eq!(login.key(), Some(key.fingerprint()));
    let mut account = Account::clone(&login.account());
    assert_eq!(login.renew(Some(Arc::new(account.clone()))), Ok(()));
    account.keys = vec![AuthorizedKey::parse(&format!("from=\"198.51.100.0/24\" {ED25519_KEY}")).unwrap()];
    assert_eq!(login.renew(Some(Arc::new(account.clone()))), Err(Revoked::Credential));
    account.installed = vec![key];
    assert_eq!(login.renew(Some(Arc::new(account))), Ok(()));
}

#[tokio::test]
async fn a_login_has_the_permissions_that_account_and_key_both_grant() {
    let authenticator = authenticator();
    let from = "192.0.2.7".parse().unwrap();
    let key = AuthorizedKey::parse(ED25519_KEY).unwrap();
    let login = authenticator.public_key("alex", key.public_key(), from).await.unwrap();
    let mut account = Account::clone(&login.account());
    for (own, of_key, want, narrower) in [
        (Access::ReadWrite, Access::ReadWrite, Access::ReadWrite, false),
        (Access::ReadWrite, Access::AppendOnly, Access::AppendOnly, true),
        (Access::ReadWrite, Access::ReadOnly, Access::ReadOnly, true),
        (Access::ReadOnly, Access::ReadWrite, Access::ReadOnly, false),
        // Neither is part of the other.
        (Access::ReadWrite, Access::UploadOnly, Access::UploadOnly, true),
        (Access::ReadWrite, Access::AppendOnly, Access::AppendOnly, false),
    ] {
        account.access = own;
        account.keys =
            vec![key.clone().with_limits(KeyOptions::default(), None, KeyLimits { access: of_key })];
        // A restricted key that its user installs stays restricted.
        account.installed = vec![key.clone()];
        let renewed = login.renew(Some(Arc::new(account.clone())));
        let result = if narrower { Err(Revoked::Restricted(want)) } else { Ok(()) };
        assert_eq!(renewed, result, "{own:?} {of_key:?}");
        assert_eq!(login.access(), want, "{own:?} {of_key:?}");
        assert_eq!(login.may_manage_keys(), want == Access::ReadWrite, "{own:?} {of_key:?}");
    }
    (account.access, account.installed) = (Access::ReadWrite, Vec::new());
    account.keys = vec![AuthorizedKey::parse(&format!("from=\"192.0.2.0/24\" {ED25519_KEY}")).unwrap()];
    login.renew(Some(Arc::new(account.clone()))).unwrap();
    assert!(!login.may_manage_keys());
    account.installed = vec![key.clone()];
    login.renew(Some(Arc::new(account.clone()))).unwrap();
    assert!(login.may_manage_keys(), "the key may come from everywhere");
    // A view never moves, and whoever sees a folder only installs no keys.
    let folder = AuthorizedKey::parse(&format!("folder=\"/laptop\" {ED25519_KEY}")).unwrap();
    assert!(folder.is_restricted());
    (account.keys, account.installed) = (vec![folder], Vec::new());
    assert_eq!(login.renew(Some(Arc::new(account.clone()))), Err(Revoked::Folder));
    let by_password = authenticator.password("alex", Password::new("alex's own")).await.unwrap();
    account.keys[0] = key.with_limits(KeyOptions::default(), None, KeyLimits { access: Access::ReadOnly });
    by_password.renew(Some(Arc::new(account))).unwrap();
    assert_eq!(by_password.access(), Access::ReadWrite);
}

#[tokio::test]
async fn expired_accounts_and_keys_are_refused_and_their_logins_end() {
    let authenticator = authenticator();
    let (from, key) = ("192.0.2.7".parse().unwrap(), AuthorizedKey::parse(ED25519_KEY).unwrap());
    let login = authenticator.public_key("alex", key.public_key(), from).await.unwrap();
    let account = login.account();
    let line =
        |expires: &str| AuthorizedKey::parse(&format!("expiry-time=\"{expires}\" {ED25519_KEY}")).unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    for (keys, expires, refused) in [
        (vec![line("20200101Z")], None, true),
        (vec![line("20200101Z"), line("99980101Z")], None, false),
        (vec![line("20200101Z"), key.clone()], None, false),
        (vec![key.clone()], Expiry::parse_date("2020-01-01"), true),
        (vec![key.clone()], Expiry::parse_date("9998-01-01"), false),
    ] {
        let changed = Arc::new(Account { keys: keys.clone(), expires, ..Account::clone(&account) });
        let want = if refused { Err(Revoked::Expired) } else { Ok(()) };
        assert_eq!(login.renew(Some(Arc::clone(&changed))), want, "{keys:?} {expires:?}");
        let authenticator = Authenticator::new(Arc::new(Accounts(vec![changed])));
        assert_eq!(
            authenticator.offered("alex", key.public_key(), from).await,
            !refused,
            "{keys:?} {expires:?}"
        );
        let by_password = logs_in(&authenticator, "alex", "alex's own").await;
        assert_eq!(by_password, expires.is_none() || !refused, "{keys:?} {expires:?}");
    }
    let soon = Account { expires: Expiry::parse_date("9998-01-01T00:00:00Z"), ..Account::clone(&account) };
    login.renew(Some(Arc::new(soon))).unwrap();
    assert_eq!(login.check_expiry(at("9997-12-31T23:59:59Z")), Ok(()));
    assert_eq!(login.check_expiry(at("9998-01-01T00:00:00Z")), Err(Revoked::Expired));
}
