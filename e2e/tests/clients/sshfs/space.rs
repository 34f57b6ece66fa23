//! The quota, as programs over sshfs see it.

use super::Mounted;
use sshome_e2e::tree::{noise, on_disk};
use sshome_e2e::{Outcome, until};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;

const MIB: usize = 1 << 20;

/// Size, used and available, in bytes, as `df` shows them.
fn df(home: &Mounted) -> [u64; 3] {
    let text = home.does("df", &[&"-B1", &"--output=size,used,avail", &home.there("")]);
    let fields = text.lines().nth(1).unwrap().split_whitespace().map(|field| field.parse().unwrap());
    fields.collect::<Vec<_>>().try_into().unwrap()
}

/// `df` shows the remaining quota, to the block.
#[track_caller]
fn agrees(home: &Mounted, quota: usize) {
    let (used, _) = on_disk(&home.host.home("ann"));
    let [size, df_used, free] = df(home);
    assert_eq!(size, quota as u64);
    assert_eq!(free, (quota as u64 - used) / 4096 * 4096);
    assert_eq!(df_used, size - free);
}

#[tokio::test(flavor = "multi_thread")]
async fn df_shows_the_quota() {
    let settings = "quota = \"10 MiB\"\nmax-files = 100";
    let Some(home) = Mounted::new("df_shows_the_quota", settings).await else { return };
    agrees(&home, 10 * MIB);
    fs::write(home.there("f"), noise(3 * MIB + 1, "f")).unwrap();
    agrees(&home, 10 * MIB);
    fs::hard_link(home.there("f"), home.there("g")).unwrap();
    File::options().write(true).open(home.there("g")).unwrap().set_len(5 * MIB as u64).unwrap();
    agrees(&home, 10 * MIB);
    fs::remove_file(home.there("f")).unwrap();
    agrees(&home, 10 * MIB);
    fs::remove_file(home.there("g")).unwrap();
    assert_eq!(df(&home), [10 * MIB as u64, 0, 10 * MIB as u64]);
    for number in 0..100 {
        fs::create_dir(home.there(&number.to_string())).unwrap();
    }
    let text = home.does("df", &[&"--output=itotal,iused,iavail", &home.there("")]);
    assert_eq!(text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(), ["100", "100", "0"]);
    fs::write(home.there("one more"), b"").unwrap_err();
    fs::create_dir(home.there("one more")).unwrap_err();
    fs::hard_link(home.there("1"), home.there("one more")).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_over_the_quota_fails_and_truncates_nothing() {
    let test = "a_write_over_the_quota_fails_and_truncates_nothing";
    let Some(home) = Mounted::new(test, "quota = \"2 MiB\"").await else { return };
    let (first, second) = (noise(MIB + 1000, "first"), noise(2 * MIB, "second"));
    fs::write(home.here("first"), &first).unwrap();
    fs::write(home.here("second"), &second).unwrap();
    home.does("cp", &[&"first", &home.there("")]);
    home.refuses("cp", &[&"second", &home.there("")]);
    let stored = fs::read(home.stored("second")).unwrap();
    assert!(!stored.is_empty() && second.starts_with(&stored), "{} bytes", stored.len());
    assert!(fs::read(home.stored("first")).unwrap() == first);
    agrees(&home, 2 * MIB);
    home.does("rm", &[&home.there("second")]);
    // To the byte.
    home.refuses("truncate", &[&"-s", &(2 * MIB + 1).to_string(), &home.there("first")]);
    home.does("truncate", &[&"-s", &(2 * MIB).to_string(), &home.there("first")]);
    let mut file = OpenOptions::new().append(true).open(home.there("first")).unwrap();
    let appended = file.write_all(b"x").and_then(|()| file.sync_all());
    appended.unwrap_err();
    drop(file);
    agrees(&home, 2 * MIB);
    // Existing data may be overwritten.
    let file = File::options().write(true).open(home.there("first")).unwrap();
    file.write_all_at(&second, 0).unwrap();
    file.sync_all().unwrap();
    drop(file);
    assert!(fs::read(home.stored("first")).unwrap() == second);
    agrees(&home, 2 * MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_counts_until_it_is_closed() {
    let test = "a_removed_file_counts_until_it_is_closed";
    let Some(home) = Mounted::new(test, "quota = \"2 MiB\"").await else { return };
    let content = noise(MIB, "f");
    fs::write(home.there("f"), &content).unwrap();
    let mut file = File::options().read(true).write(true).open(home.there("f")).unwrap();
    // Until it is closed, it has a hidden name, as with every filesystem of libfuse.
    fs::remove_file(home.there("f")).unwrap();
    fs::metadata(home.there("f")).unwrap_err();
    assert_eq!(df(&home)[1], MIB as u64);
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert!(read == content);
    file.write_all_at(&content, MIB as u64).unwrap();
    file.sync_all().unwrap();
    assert_eq!(df(&home)[2], 0);
    drop(file);
    until("the room is free again", || df(&home)[1] == 0);
    assert_eq!(on_disk(&home.host.home("ann")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_home_refuses_changes() {
    let Some(home) = Mounted::new("a_read_only_home_refuses_changes", "access = \"read-only\"").await else {
        return;
    };
    fs::write(home.stored("f"), b"content").unwrap();
    assert_eq!(home.does("cat", &[&home.there("f")]), "content");
    for (program, arguments) in
        [("touch", &["f"][..]), ("rm", &["-f", "f"]), ("mkdir", &["d"]), ("mv", &["f", "g"])]
    {
        let mut command = home.command(program, &[]);
        let outcome = Outcome::from(command.args(arguments).current_dir(home.there("")).output().unwrap());
        assert!(
            outcome.code == Some(1) && outcome.err().contains("Permission denied"),
            "{program}: {outcome}"
        );
    }
    assert_eq!(fs::read(home.stored("f")).unwrap(), b"content");
}

/// sshfs reads the attributes of a file as soon as it has created it. A file that is staged until its close does not
/// exist yet, so sshfs gives up. An existing file is truncated by sshfs before it opens it, so it is written in place.
#[tokio::test(flavor = "multi_thread")]
async fn atomic_uploads_do_not_suit_sshfs() {
    let test = "atomic_uploads_do_not_suit_sshfs";
    let Some(home) = Mounted::new(test, "sftp-uploads = \"atomic\"").await else { return };
    let error = File::create(home.there("new")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    until("it is closed all the same", || home.stored("new").exists());
    fs::write(home.stored("old"), b"old content").unwrap();
    let mut file = File::create(home.there("old")).unwrap();
    assert_eq!(fs::read(home.stored("old")).unwrap(), b"");
    file.write_all(b"new").unwrap();
    file.sync_all().unwrap();
    assert_eq!(fs::read(home.stored("old")).unwrap(), b"new");
}
