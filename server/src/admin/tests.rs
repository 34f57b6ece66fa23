use super::*;
use crate::accounts::{Account, OwnKeys, Password};
use crate::config;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use tempfile::TempDir;

const ED25519_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex at home";
const P256_KEY: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA= work";
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const USERS_TOML: &str = "\
# sshome
[server]
listen = [\"127.0.0.1:0\"] # any port

# Users come here.

# The first.
[users.alex]
quota = \"1 MiB\"   # small
access = \"read-only\"

# The second.
[users.zcl]

# The end.
";

struct Folder {
    dir: TempDir,
    admin: Admin,
}

impl Folder {
    fn new(text: &str) -> Folder {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/users.toml"), text).unwrap();
        let admin = Admin::open(dir.path(), None).unwrap();
        Folder { dir, admin }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn text(&self) -> String {
        fs::read_to_string(self.dir.path().join("etc/users.toml")).unwrap()
    }

    fn account(&self, name: &str) -> Arc<Account> {
        let config = config::load(self.dir.path(), None, &[]).unwrap();
        config.accounts.iter().find(|account| account.name == name).unwrap().clone()
    }
}

fn plain() -> NewUser {
    NewUser::default()
}

fn quota(size: &str) -> UserSettings {
    UserSettings { quota: Some(size.to_owned()), ..UserSettings::default() }
}

fn password(text: &str) -> Result<Password, AdminError> {
    Ok(Password::new(text))
}

#[test]
fn a_new_user_is_appended_and_nothing_else_changes() {
    let folder = Folder::new(USERS_TOML);
    let key = folder.write("alex.pub", &format!("{ED25519_KEY}\n"));
    let user = NewUser { password: None, keys: vec![key], quota: Some("2 GiB".into()) };
    folder.admin.add("sam", &user).unwrap();
    let added = format!("\n[users.sam]\nquota = \"2 GiB\"\nauthorized-keys = [\n    \"{ED25519_KEY}\",\n]\n");
    assert_eq!(folder.text(), format!("{USERS_TOML}{added}"));
    assert_eq!((folder.account("sam").quota, folder.account("sam").keys.len()), (Some(2 << 30), 1));
}

#[test]
fn the_first_user_is_added_to_an_empty_file() {
    let folder = Folder::new("");
    let said = folder.admin.add("sam.b", &plain()).unwrap();
    assert_eq!(folder.text(), "\n[users.\"sam.b\"]\n");
    assert!(
        said.contains("sam.b cannot log in yet: set a password with `sshomed user passwd sam.b`"),
        "{said}"
    );
    let with = NewUser { password: Some(Password::new("long enough")), ..plain() };
    let said = folder.admin.add("tom", &with).unwrap();
    assert!(!said.contains("cannot log in"), "{said}");
    assert!(folder.account("tom").password.as_ref().unwrap().matches(&Password::new("long enough")));
}

#[test]
fn an_invalid_user_is_not_added() {
    let folder = Folder::new(USERS_TOML);
    let private = folder.write("id", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n");
    let empty = folder.write("empty.pub", "# nothing\n");
    for (name, user, want) in [
        (
            "alex",
            plain(),
            "the user alex already exists: use `sshomed user passwd|key|set alex`, or choose another name",
        ),
        (
            "../x",
            plain(),
            "\"../x\" is not a user name: use 1 to 32 of a-z, 0-9, \".\", \"_\" and \"-\", and do not begin with \".\" or \"-\"",
        ),
        ("sam", NewUser { quota: Some("0".into()), ..plain() }, "0 would leave no space"),
        ("sam", NewUser { keys: vec![private], ..plain() }, "id: line 1 is a private key"),
        ("sam", NewUser { keys: vec![empty], ..plain() }, "empty.pub: holds no key"),
        (
            "sam",
            NewUser { keys: vec!["/nowhere/k".into()], ..plain() },
            "/nowhere/k: cannot be read: No such file",
        ),
    ] {
        let error = folder.admin.add(name, &user).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert_eq!(folder.text(), USERS_TOML);
}

#[test]
fn an_edit_that_the_server_would_refuse_is_not_made() {
    let text = "[users.alex]\nroot = \"home\"\n";
    let folder = Folder::new(text);
    fs::create_dir(folder.dir.path().join("home")).unwrap();
    let error = folder.admin.add("sam", &plain()).unwrap_err().to_string();
    assert!(error.starts_with("nothing was changed, since the result would be invalid:\n"), "{error}");
    assert!(error.contains("users.toml: users.sam.root: "), "{error}");
    assert_eq!(folder.text(), text);
}

#[test]
fn an_existing_error_does_not_prevent_an_edit_that_fixes_another() {
    let demo = |name: &str| format!("[users.{name}]\npassword = \"{PASSWORD_HASH}\"\ndemo = true\n");
    let folder = Folder::new(&format!("[server]\nlisten = [\"0.0.0.0:1\"]\n{}{}", demo("alex"), demo("zcl")));
    folder.admin.passwd("alex", || password("my own one")).unwrap();
    assert!(config::load(folder.dir.path(), None, &[]).is_err());
    folder.admin.passwd("zcl", || password("my own one")).unwrap();
    assert!(config::load(folder.dir.path(), None, &[]).is_ok());
}

#[test]
fn a_file_that_is_not_toml_is_reported_and_kept() {
    let folder = Folder::new("[users\n");
    let error = folder.admin.set("alex", &quota("1 MiB")).unwrap_err().to_string();
    assert!(error.contains("etc/users.toml:1: "), "{error}");
    assert_eq!(folder.text(), "[users\n");
}

#[test]
fn a_new_password_removes_demo_true() {
    let folder = Folder::new(&format!(
        "[users.alex]\npassword = \"{PASSWORD_HASH}\" # mine\ndemo = true # alex-demo\nquota = 5\n"
    ));
    folder.admin.passwd("alex", || password("quite another")).unwrap();
    let text = folder.text();
    let account = folder.account("alex");
    let hash = account.password.as_ref().unwrap();
    assert!(hash.matches(&Password::new("quite another")) && !hash.is_demo());
    assert_eq!(text, format!("[users.alex]\npassword = \"{}\" # mine\nquota = 5\n", hash.to_phc()));
}

#[test]
fn a_password_is_asked_for_only_if_the_user_exists() {
    let folder = Folder::new(USERS_TOML);
    let result = folder.admin.passwd("nobody", || panic!("asked"));
    assert!(matches!(result, Err(AdminError::NoUser(name)) if name == "nobody"));
    let result = folder.admin.passwd("alex", || Err(AdminError::PasswordsDiffer));
    assert!(matches!(result, Err(AdminError::PasswordsDiffer)));
    assert_eq!(folder.text(), USERS_TOML);
}

#[test]
fn a_quota_keeps_the_comment_beside_it() {
    let folder = Folder::new(USERS_TOML);
    folder.admin.set("alex", &quota(" 3 GiB ")).unwrap();
    assert_eq!(folder.text(), USERS_TOML.replace("\"1 MiB\"", "\"3 GiB\""));
    folder.admin.set("zcl", &quota("unlimited")).unwrap();
    assert!(folder.text().contains("[users.zcl]\nquota = \"unlimited\"\n"));
    assert!(matches!(folder.admin.set("nobody", &quota("1 MiB")), Err(AdminError::NoUser(_))));
    assert!(matches!(folder.admin.set("alex", &quota("lots")), Err(AdminError::Size(_))));
}

#[test]
fn removing_a_user_removes_the_comment_above_and_no_other() {
    let folder = Folder::new(USERS_TOML);
    let home = folder.dir.path().join("home/alex");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("file"), "kept").unwrap();
    let said = folder.admin.remove("alex").unwrap();
    assert!(said.contains("home/alex, was kept"), "{said}");
    assert_eq!(fs::read_to_string(home.join("file")).unwrap(), "kept");
    let gone = "# The first.\n[users.alex]\nquota = \"1 MiB\"   # small\naccess = \"read-only\"\n\n";
    assert_eq!(folder.text(), USERS_TOML.replace(gone, ""));

    let said = folder.admin.remove("zcl").unwrap();
    assert!(said.contains("home/zcl, does not exist"), "{said}");
    assert!(folder.text().contains("# Users come here.\n") && folder.text().ends_with("# The end.\n"));
    assert!(matches!(folder.admin.remove("zcl"), Err(AdminError::NoUser(_))));
}

#[test]
fn keys_are_added_and_removed_and_comments_are_kept() {
    let folder =
        Folder::new("[users.alex]\nauthorized-keys = [ # all of them\n  \"work.pub\", # a file\n]\n");
    folder.write("work.pub", P256_KEY);
    let file = folder.write("home.pub", &format!("restrict {ED25519_KEY}\n"));
    folder.admin.add_key("alex", &file, &KeySettings::default()).unwrap();
    assert_eq!(
        folder.text(),
        format!(
            "[users.alex]\nauthorized-keys = [ # all of them\n  \"work.pub\", # a file\n    \"restrict {ED25519_KEY}\",\n]\n"
        )
    );
    let list = folder.admin.list_keys("alex").unwrap();
    let rows: Vec<_> = list.lines().map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(rows[0], ["FINGERPRINT", "TYPE", "SET", "BY", "ACCESS", "FROM", "EXPIRES", "COMMENT"]);
    assert_eq!(
        rows[1][1..],
        ["ecdsa-sha2-nistp256", "administrator", "read-write", "anywhere", "never", "work"]
    );
    assert_eq!(
        rows[2][1..],
        ["ssh-ed25519", "administrator", "read-write", "anywhere", "never", "alex", "at", "home"]
    );

    assert!(matches!(
        folder.admin.add_key("alex", &file, &KeySettings::default()),
        Err(AdminError::KeyExists { .. })
    ));
    assert!(matches!(folder.admin.remove_key("alex", "nothing"), Err(AdminError::NoSuchKey { .. })));
    folder.admin.remove_key("alex", "alex at home").unwrap();
    assert_eq!(folder.account("alex").keys.len(), 1);
    // A file with only this key is no longer referenced. The file itself is kept.
    folder.admin.remove_key("alex", rows[1][0]).unwrap();
    assert_eq!(folder.account("alex").keys.len(), 0);
    assert!(folder.dir.path().join("work.pub").exists());
    assert!(matches!(folder.admin.remove_key("zcl", "x"), Err(AdminError::NoUser(_))));
}

#[test]
fn an_ambiguous_key_is_not_removed() {
    let twins = format!(
        "[users.alex]\nauthorized-keys = ['''{ED25519_KEY}''', '{} alex at home']\n",
        P256_KEY.trim_end_matches(" work")
    );
    let folder = Folder::new(&twins);
    assert!(matches!(folder.admin.remove_key("alex", "alex at home"), Err(AdminError::ManyKeys { .. })));
    assert_eq!(folder.text(), twins);

    let folder = Folder::new("[users.alex]\nauthorized-keys = [\"both.pub\"]\n");
    folder.write("both.pub", &format!("{ED25519_KEY}\n{P256_KEY}\n"));
    let result = folder.admin.remove_key("alex", "work");
    assert!(matches!(result, Err(AdminError::SharedKeyFile { file }) if file == "both.pub"));
}

#[test]
fn installed_keys_are_listed_removed_and_deleted_with_their_user() {
    let folder = Folder::new(&format!("[users.alex]\nauthorized-keys = [\"{P256_KEY}\"]\n[users.sam]\n"));
    let own = OwnKeys::of(folder.dir.path());
    own.install("alex", ED25519_KEY).unwrap();
    own.install("sam", ED25519_KEY).unwrap();
    own.install("gone", ED25519_KEY).unwrap();
    let list = folder.admin.list_keys("alex").unwrap();
    assert!(
        list.contains("administrator  read-write  anywhere  never    work")
            && list.contains("user           read-write  anywhere"),
        "{list}"
    );
    assert!(folder.admin.list().unwrap().contains("1 key, 1 own key"), "{}", folder.admin.list().unwrap());
    let warnings = check(folder.dir.path(), None, &[]).unwrap().warnings;
    assert!(
        matches!(&warnings[..], [one] if one.contains("authorized/gone holds keys of a user")),
        "{warnings:?}"
    );
    fs::write(own.folder().join("sam"), "junk\n").unwrap();
    let warnings = check(folder.dir.path(), None, &[]).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("line 1 is not a public key")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.starts_with("sam cannot log in")), "{warnings:?}");

    let text = folder.text();
    folder.admin.remove_key("alex", "alex at home").unwrap();
    assert_eq!((own.read("alex").unwrap().len(), folder.text()), (0, text));
    own.install("alex", ED25519_KEY).unwrap();
    folder.admin.remove("alex").unwrap();
    assert!(own.read("alex").unwrap().is_empty());
    // A later user with that name starts without them.
    folder.admin.add("gone", &plain()).unwrap();
    assert!(own.read("gone").unwrap().is_empty());
}

#[test]
fn concurrent_edits_all_survive() {
    let folder = Folder::new("");
    let names: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let admin = Admin::open(folder.dir.path(), None).unwrap();
            scope.spawn(move || admin.add(name, &plain()).unwrap());
        }
    });
    let config = config::load(folder.dir.path(), None, &[]).unwrap();
    let found: Vec<_> = config.accounts.iter().map(|account| account.name.clone()).collect();
    assert_eq!(found, names);
}

#[test]
fn an_edit_keeps_the_mode_and_the_link_and_leaves_no_other_file() {
    let folder = Folder::new("");
    let file = folder.dir.path().join("etc/users.toml");
    let real = folder.dir.path().join("etc/real.toml");
    fs::rename(&file, &real).unwrap();
    symlink("real.toml", &file).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    // The leftover of a crash.
    fs::write(folder.dir.path().join("etc/.real.toml.new"), "half").unwrap();
    Admin::open(folder.dir.path(), None).unwrap().add("sam", &plain()).unwrap();
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    assert!(folder.text().contains("[users.sam]"));
    assert_eq!(fs::read_dir(folder.dir.path().join("etc")).unwrap().count(), 2);
}

#[test]
fn users_are_listed_in_columns() {
    let folder = Folder::new(&format!(
        "[users.alex]\nquota = \"100 MiB\"\nupload-rate = \"5 MiB/s\"\npassword = \"{PASSWORD_HASH}\"\ndemo = true\nauthorized-keys = [\"{ED25519_KEY}\"]\n\
         [users.zcl]\nmax-files = 10\nenabled = false\n[users.sam]\naccess = \"read-only\"\n"
    ));
    fs::create_dir_all(folder.dir.path().join("home/alex")).unwrap();
    let home = fs::canonicalize(folder.dir.path()).unwrap().join("home");
    let home = home.display();
    assert_eq!(
        folder.admin.list().unwrap(),
        format!(
            "USER  QUOTA      MAX FILES  UP         DOWN       ACCESS      OWN KEYS  LOGS IN BY            ROOT\n\
             alex  100.0 MiB  1000000    5.0 MiB/s  unlimited  read-write  yes       demo password, 1 key  {home}/alex\n\
             sam   unlimited  1000000    unlimited  unlimited  read-only   no        nothing               {home}/sam (will be created)\n\
             zcl   unlimited  10         unlimited  unlimited  read-write  yes       disabled              {home}/zcl (will be created)\n"
        )
    );
    assert!(Folder::new("").admin.list().unwrap().starts_with("there are no users"));
    assert!(Folder::new("[usres]").admin.list().is_err());
}

#[test]
fn check_prints_the_settings_and_warns() {
    let strong = PASSWORD_HASH.replace("t=2", "t=3");
    let folder = Folder::new(&format!(
        "[server]\nkex = \"post-quantum\"\n[users.alex]\npassword = \"{PASSWORD_HASH}\"\ndemo = true\n[users.sam]\n\
         [users.zcl]\npassword = \"{strong}\"\n[users.gone]\nenabled = false\n"
    ));
    let file = folder.dir.path().join("etc/users.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let listen = ["127.0.0.1:7".parse().unwrap(), "[::1]:7".parse().unwrap()];
    let found = check(folder.dir.path(), None, &listen).unwrap();
    for line in [
        "listens on     127.0.0.1:7, [::1]:7",
        "key exchange   post-quantum only",
        "shutdown grace 10 s",
        "keepalives     after 30 s, 4 without a reply",
    ] {
        assert!(found.report.lines().any(|found| found == line), "{line} in\n{}", found.report);
    }
    assert!(found.report.contains("keys/host_ed25519 (will be created)"), "{}", found.report);
    let starts =
        ["alex has a demo password", "sam cannot log in: no password", "zcl's password takes longer"];
    assert_eq!(found.warnings.len(), starts.len(), "{:?}", found.warnings);
    for (warning, start) in found.warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let found = check(folder.dir.path(), None, &[]).unwrap();
    assert!(found.warnings.iter().any(|warning| warning.contains("chmod o-r")), "{:?}", found.warnings);
    assert!(check(folder.dir.path(), None, &["0.0.0.0:7".parse().unwrap()]).is_err());
}
