//! Programs that need more of a filesystem than copying does.

use super::Mounted;
use sshome_e2e::foreign::{self, program};
use sshome_e2e::tree::{contents, noise};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Options so that `git` does not ask who commits.
const AUTHOR: [&str; 4] = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"];

impl Mounted {
    #[track_caller]
    fn git(&self, repository: &Path, arguments: &[&str]) -> String {
        let mut command: Vec<&dyn AsRef<OsStr>> = vec![&"-C", &repository];
        command.extend(AUTHOR.iter().chain(arguments).map(|argument| argument as &dyn AsRef<OsStr>));
        self.does("git", &command)
    }

    #[track_caller]
    fn sqlite(&self, database: &Path, script: &str) -> String {
        self.does("sqlite3", &[&"-batch", &"-bail", &database, &script])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn git_clones_commits_and_checks() {
    let test = "git_clones_commits_and_checks";
    let Some(_) = program("git", test) else { return };
    let Some(home) = Mounted::new(test, "").await else { return };
    let (origin, clone) = (home.here("origin"), home.there("clone"));
    fs::create_dir(&origin).unwrap();
    home.git(&origin, &["init", "-q", "-b", "main"]);
    for number in 0..20_u8 {
        fs::create_dir_all(origin.join(format!("d{}", number % 3))).unwrap();
        fs::write(origin.join(format!("d{}/f{number}", number % 3)), noise(5000, [number])).unwrap();
        fs::write(origin.join("all"), noise(100_000 + usize::from(number), "all")).unwrap();
        home.git(&origin, &["add", "-A"]);
        home.git(&origin, &["commit", "-q", "-m", "one more"]);
    }
    home.does("git", &[&"clone", &"-q", &"--no-local", &"origin", &clone]);
    home.git(&clone, &["fsck", "--full", "--strict"]);
    assert_eq!(home.git(&clone, &["status", "--porcelain"]), "");
    fs::write(clone.join("all"), b"changed").unwrap();
    fs::remove_file(clone.join("d1/f1")).unwrap();
    home.git(&clone, &["checkout", "-q", "-b", "branch"]);
    home.git(&clone, &["commit", "-q", "-a", "-m", "from the mount"]);
    home.git(&clone, &["gc", "-q"]);
    home.git(&clone, &["fsck", "--full", "--strict"]);
    home.git(&clone, &["push", "-q", "origin", "branch"]);
    home.git(&origin, &["checkout", "-q", "branch"]);
    // The server has exactly what was pushed.
    let [pushed, stored] = [&origin, &home.stored("clone")].map(|tree| contents(tree).unwrap());
    for (name, digest) in pushed.iter().filter(|(name, _)| !name.starts_with(".git")) {
        assert_eq!(stored.get(name), Some(digest), "{}", name.display());
    }
    home.does("git", &[&"clone", &"-q", &clone, &"again"]);
    home.git(&home.here("again"), &["fsck", "--full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_works() {
    let test = "a_database_works";
    let Some(_) = program("sqlite3", test) else { return };
    let Some(home) = Mounted::new(test, "").await else { return };
    // A write-ahead log needs shared memory, which two machines cannot have.
    for journal in ["delete", "truncate", "persist", "wal"] {
        let database = home.there(journal);
        home.sqlite(
            &database,
            &format!("PRAGMA journal_mode = {journal}; CREATE TABLE t (n INTEGER, b BLOB);"),
        );
        for _ in 0..5 {
            home.sqlite(
                &database,
                "BEGIN; WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200) \
                 INSERT INTO t SELECT n, randomblob(500) FROM c; COMMIT; \
                 BEGIN; DELETE FROM t; ROLLBACK; UPDATE t SET n = n + 1; CREATE INDEX IF NOT EXISTS i ON t (n);",
            );
        }
        home.sqlite(&database, "DELETE FROM t WHERE n % 5 = 0; VACUUM;");
        let rows = home.sqlite(&database, "SELECT count(*), sum(length(b)) FROM t; PRAGMA integrity_check;");
        // 5 × 200 rows, of which every fifth was deleted.
        assert_eq!(rows, "800|400000\nok\n", "{journal}");
        assert_eq!(home.sqlite(&home.stored(journal), "PRAGMA integrity_check;"), "ok\n", "{journal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_reaches_the_quota_stays_intact() {
    let test = "a_database_that_reaches_the_quota_stays_intact";
    let Some(_) = program("sqlite3", test) else { return };
    let Some(home) = Mounted::new(test, "quota = \"1 MiB\"").await else { return };
    let database = home.there("db");
    home.sqlite(&database, "CREATE TABLE t (b BLOB); INSERT INTO t VALUES (randomblob(300000));");
    let many = "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 10) \
                SELECT randomblob(100000) FROM c;";
    home.refuses("sqlite3", &[&"-batch", &"-bail", &database, &many]);
    let check = "SELECT count(*), sum(length(b)) FROM t; PRAGMA integrity_check;";
    assert_eq!(home.sqlite(&database, check), "1|300000\nok\n");
    home.sqlite(&database, "INSERT INTO t VALUES (randomblob(100000));");
    assert_eq!(home.sqlite(&home.stored("db"), check), "2|400000\nok\n");
}

/// The operations of fsx, with their weights. The file is reopened and its pages are dropped, so that reads come from
/// the server.
const FSX: &str = "flen = 1048576
opsize.max = 200000
[weights]
close_open = 2
invalidate = 2
read = 10
write = 10
mapread = 10
mapwrite = 10
truncate = 10
fsync = 1
fdatasync = 1
sendfile = 5
copy_file_range = 5
";

/// Random reads, writes, truncations and mappings of one file, compared with the expected content. One round, or rounds
/// for `SSHOME_FSX_MINUTES`. The quota is the file's largest length.
#[tokio::test(flavor = "multi_thread")]
async fn fsx_finds_no_mismatch() {
    const ROUND: u64 = 2000;
    let test = "fsx_finds_no_mismatch";
    let Some(fsx) = foreign::installed("tools/bin/fsx", test) else { return };
    let Some(home) = Mounted::new(test, "quota = \"1 MiB\"").await else { return };
    let minutes = std::env::var("SSHOME_FSX_MINUTES").map_or(0, |minutes| minutes.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    fs::write(home.here("fsx.toml"), FSX).unwrap();
    let (mut rounds, mut seed) = (0, 1_u64);
    while rounds == 0 || Instant::now() < end {
        // If it fails, its output names the seed and the preceding operations.
        home.does(
            fsx.to_str().unwrap(),
            &[&"-S", &seed.to_string(), &"-N", &ROUND.to_string(), &"-f", &"fsx.toml", &home.there("f")],
        );
        let stored = fs::metadata(home.stored("f")).unwrap().len();
        assert_eq!(fs::metadata(home.there("f")).unwrap().len(), stored, "seed {seed}");
        rounds += 1;
        seed = if minutes == 0 { 1 } else { rand::random::<u32>().into() };
    }
    println!("fsx: {} operations", rounds * ROUND);
}
