//! Escapes from a home through commands and scp.

use sshome_e2e::siege::{
    SECRET, STAGING, assert_untouched, attacks, besieged, besieged_view, finds, replaced,
};
use sshome_e2e::{Commands, Exec, Host, command};
use sshome_wire::display::Escaped;
use tempfile::TempDir;

/// Commands that take this path, the operands before it, and those after it.
const COMMANDS: [(&str, &[&str], &[&str]); 20] = [
    ("ls -la --", &[], &[]),
    ("ls -aR --", &[], &[]),
    ("ls -d --", &[], &[]),
    ("stat --", &[], &[]),
    ("get --", &[], &[]),
    ("df --", &[], &[]),
    ("b3sum --", &[], &[]),
    ("scp -f --", &[], &[]),
    ("scp -p -r -f --", &[], &[]),
    ("mkdir --", &[], &[]),
    ("mkdir -p --", &[], &[]),
    ("cp -r --", &[], &["/made"]),
    ("cp -r --", &["/real"], &[]),
    ("cp --", &["/made"], &[]),
    ("mv --", &[], &["/made"]),
    ("mv --", &["/real"], &[]),
    ("put --", &[], &[]),
    ("rmdir --", &[], &[]),
    ("rm --", &[], &[]),
    ("rm -rf --", &[], &[]),
];

fn line(row: (&str, &[&str], &[&str]), path: &[u8]) -> Vec<u8> {
    let bytes = |word: &&str| word.as_bytes().to_vec();
    let operands = row.1.iter().map(bytes).chain([path.to_vec()]).chain(row.2.iter().map(bytes));
    command(row.0, operands)
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// Sends a tree to a path, as an scp client that ignores the answers.
async fn send_tree(ann: &Commands, path: &[u8]) {
    let line = command("scp -r -p -t --", [path]);
    let records =
        b"D0777 0 planted-folder\nT1 0 1 0\nC0666 7 planted\nplanted\0E\nC0666 7 planted\nplanted\0";
    ann.run(line, records).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_on_any_command() {
    attack_with("", besieged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_folder_of_a_key_on_any_command() {
    attack_with("view", besieged_view).await;
}

/// Tries every attack on a host of its own. Its user's files are in this folder of the home.
async fn attack_with(folder: &str, besiege: impl AsyncFn() -> (Host, TempDir)) {
    let (_, outside) = besiege().await;
    let digest = blake3::hash(SECRET).to_string();
    for attack in attacks(outside.path()) {
        let shown = Escaped(&attack).to_string();
        // A new home for each: an attack must not be prevented by what an earlier one removed.
        let (host, here) = besiege().await;
        let ann = Commands::login(&host, "ann").await.unwrap();
        let attack = replaced(&attack, outside.path(), here.path());
        for row in COMMANDS {
            let line = line(row, &attack);
            // The acknowledgements of an scp client, or the content of a file.
            let outcome = ann.run(&line, &[0; 7]).await.unwrap();
            let text = [outcome.stdout, outcome.stderr].concat();
            assert!(!contains(&text, SECRET), "{} on {shown} reads the secret", row.0);
            assert!(!contains(&text, digest.as_bytes()), "{} on {shown} digests the secret", row.0);
            assert!(!contains(&text, b"root:x:0"), "{} on {shown} reads the machine's users", row.0);
            assert_untouched(here.path());
        }
        send_tree(&ann, &attack).await;
        assert_untouched(here.path());
        assert!(!finds(&host.home("ann").join(folder), SECRET), "{shown}: the secret was copied in");
    }
    assert_untouched(outside.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staging_folder_is_out_of_reach_and_never_listed() {
    let (host, _outside) = besieged().await;
    let ann = Commands::login(&host, "ann").await.unwrap();
    assert_eq!(ann.run("put f", b"makes the folder").await.unwrap().code, Some(0));
    for path in STAGING {
        for row in COMMANDS.iter().filter(|row| !row.0.starts_with("rm -rf")) {
            let outcome = ann.run(line(*row, path.as_bytes()), b"").await.unwrap();
            assert_ne!(outcome.code, Some(0), "{} {path}: {outcome}", row.0);
        }
        send_tree(&ann, path.as_bytes()).await;
    }
    let staged = std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count();
    assert_eq!(staged, 0, "something was put into the staging folder");
    let listed = ann.run("ls -aR /", b"").await.unwrap();
    assert!(!contains(&listed.stdout, b".sshome-staging:"));
    let mut scp = Exec::start(&host, "ann", "scp -r -f /").await.unwrap();
    scp.send(&[0; 2000]).await.unwrap();
    scp.end().await.unwrap();
    assert_eq!(scp.line().await.unwrap(), b"D0700 0 .");
    let sent = scp.finish().await.unwrap();
    assert!(contains(&sent.stdout, b"makes the folder") && !contains(&sent.stdout, b" .sshome-staging\n"));
}
