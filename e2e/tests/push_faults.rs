//! `push`, `pull` and `check` where something is in the way: directories that deny their owner access, missing sources, names of
//! unfinished files.

use sshome_e2e::tree::{age, described, mode, paths, set_mode};
use sshome_e2e::{Client, Host, Outcome};
use std::fs;
use std::path::PathBuf;

/// A server, and a client with a working folder.
struct World {
    host: Host,
    client: Client,
}

impl World {
    async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        World { host, client }
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join(name)
    }

    fn write(&self, name: &str, content: &str) {
        write(&self.local(name), content);
    }

    fn run(&self, line: &str) -> Outcome {
        self.client.run(line.split(' ')).unwrap()
    }

    /// Runs a command that must succeed.
    fn succeed(&self, line: &str) -> Outcome {
        let outcome = self.run(line);
        assert_eq!((outcome.code, outcome.err()), (Some(0), String::new()), "{line}: {outcome}");
        outcome
    }

    /// Runs a command that must fail with this text.
    fn fail(&self, line: &str, why: &str) -> Outcome {
        let outcome = self.run(line);
        assert!(outcome.code == Some(1) && outcome.err().contains(why), "{line}: {outcome}");
        outcome
    }
}

fn write(path: &std::path::Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Makes directories writable, the outermost first, or read-only, the innermost first.
fn set_modes(directories: &[PathBuf], wanted: u32) {
    directories.iter().for_each(|directory| set_mode(directory, wanted).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_pushed_read_only_can_change() {
    let world = World::new().await;
    world.write("o/d/f", "1");
    world.write("o/d/old", "1");
    std::os::unix::fs::symlink("f", world.local("o/d/link")).unwrap();
    set_mode(world.local("o/d"), 0o555).unwrap();
    world.succeed("push o RO");
    assert_eq!(mode(world.remote("RO/d")).unwrap(), 0o555);
    set_mode(world.local("o/d"), 0o755).unwrap();
    // A new file, a new version, a new directory, and a file instead of a link.
    world.write("o/d/new", "n");
    world.write("o/d/f", "22");
    world.write("o/d/sub/g", "g");
    fs::remove_file(world.local("o/d/link")).unwrap();
    world.write("o/d/link", "file");
    world.succeed("push o RO");
    for name in ["d/new", "d/f", "d/sub/g", "d/link"] {
        let both = [world.local("o"), world.remote("RO")].map(|top| fs::read(top.join(name)).unwrap());
        assert_eq!(both[0], both[1], "{name}");
    }
    // What exists keeps its mode, and gets the source's time.
    assert_eq!(mode(world.remote("RO/d")).unwrap(), 0o555);
    let times =
        [world.local("o/d"), world.remote("RO/d")].map(|path| path.metadata().unwrap().modified().unwrap());
    assert_eq!(times[0], times[1]);
    let again = world.succeed("push o RO");
    assert!(again.out().starts_with("0 files, "), "{again}");
    // The same with old versions kept.
    world.write("o/d/f", "333");
    fs::remove_file(world.local("o/d/old")).unwrap();
    world.succeed("push --delete --backup-dir kept o RO");
    assert_eq!(
        (fs::read(world.remote("RO/d/f")).unwrap(), fs::read(world.remote("kept/d/f")).unwrap()),
        (b"333".to_vec(), b"22".to_vec())
    );
    assert!(world.remote("kept/d/old").exists() && !world.remote("RO/d/old").exists());
    assert_eq!(mode(world.remote("RO/d")).unwrap(), 0o555);
    set_mode(world.remote("RO/d"), 0o755).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_directories_are_deleted_with_all_that_is_in_them() {
    let world = World::new().await;
    for name in ["o/d/v1/f", "o/d/v1/w/g", "o/d/v2/f", "o/d/v3/f", "o/d/v3/kept.o"] {
        world.write(name, name);
    }
    let directories = ["o/d", "o/d/v1", "o/d/v1/w", "o/d/v2", "o/d/v3"].map(|name| world.local(name));
    let mut inwards = directories.clone();
    inwards.reverse();
    set_modes(&inwards, 0o555);
    world.succeed("push o RO");
    world.succeed("pull RO P");
    set_modes(&directories, 0o755);
    fs::remove_dir_all(world.local("o/d/v1")).unwrap();
    fs::remove_dir_all(world.local("o/d/v3")).unwrap();
    world.succeed("push --delete --exclude *.o o RO");
    let left = ["d", "d/v2", "d/v2/f", "d/v3", "d/v3/kept.o"];
    assert_eq!(paths(&world.remote("RO")), left);
    // The directories that remain have their old modes.
    for name in ["RO/d", "RO/d/v2", "RO/d/v3"] {
        assert_eq!(mode(world.remote(name)).unwrap(), 0o555, "{name}");
    }
    // A pull does the same.
    world.succeed("pull --delete --exclude *.o RO P");
    assert_eq!(paths(&world.local("P")), left);
    for name in ["P/d", "P/d/v2", "P/d/v3"] {
        assert_eq!(mode(world.local(name)).unwrap(), 0o555, "{name}");
    }
    for top in [world.local("P"), world.remote("RO")] {
        set_modes(&["d", "d/v2", "d/v3"].map(|name| top.join(name)), 0o755);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_local_directory_can_change() {
    let world = World::new().await;
    write(&world.remote("E/d/f"), "1");
    world.succeed("pull E P");
    set_mode(world.local("P/d"), 0o555).unwrap();
    set_mode(world.local("P"), 0o555).unwrap();
    write(&world.remote("E/d/new"), "n");
    write(&world.remote("E/d/f"), "22");
    write(&world.remote("E/top"), "t");
    world.succeed("pull E P");
    let content = |name: &str| fs::read_to_string(world.local(name)).unwrap();
    assert_eq!(
        (content("P/d/new"), content("P/d/f"), content("P/top")),
        ("n".into(), "22".into(), "t".into())
    );
    assert_eq!([mode(world.local("P")).unwrap(), mode(world.local("P/d")).unwrap()], [0o555; 2]);
    fs::remove_file(world.remote("E/d/new")).unwrap();
    world.succeed("pull --delete E P");
    assert!(!world.local("P/d/new").exists());
    assert_eq!([mode(world.local("P")).unwrap(), mode(world.local("P/d")).unwrap()], [0o555; 2]);
    set_modes(&[world.local("P"), world.local("P/d")], 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_source_is_a_failure_and_the_others_are_transferred() {
    let world = World::new().await;
    for name in ["x/f", "y/f", "x/extra"] {
        world.write(name, name);
    }
    world.succeed("push x y R");
    fs::remove_file(world.local("x/extra")).unwrap();
    world.write("x/new", "new");
    for option in ["", "--delete "] {
        world.fail(&format!("push {option}nix x y R"), "nix: cannot read it");
    }
    assert!(world.remote("R/x/new").exists() && world.remote("R/x/extra").exists());
    world.fail("push nix x R7", "nix: cannot read it");
    assert_eq!(paths(&world.remote("R7")), ["x", "x/f", "x/new"]);
    // The same for a pull.
    world.succeed("pull R/x R/y P");
    fs::remove_file(world.remote("R/x/extra")).unwrap();
    write(&world.remote("R/x/late"), "late");
    for option in ["", "--delete "] {
        world.fail(&format!("pull {option}nix R/x R/y P"), "/nix: it does not exist on the server");
    }
    assert!(world.local("P/x/late").exists() && world.local("P/x/extra").exists());
    // A source that is alone, and missing, changes nothing.
    world.fail("push nix R8", "nix: cannot read it");
    world.fail("pull nix P8", "/nix: it does not exist on the server");
    assert!(!world.remote("R8").exists() && !world.local("P8").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_called_empty_only_if_it_is() {
    let world = World::new().await;
    world.write("full/a", "a");
    world.succeed("push full R");
    world.succeed("pull R P");
    world.write("o/x.o", "");
    fs::create_dir(world.local("empty")).unwrap();
    world.succeed("push o O");
    fs::create_dir(world.remote("none")).unwrap();
    for line in ["push --delete --exclude *.o o R", "pull --delete --exclude *.o O P"] {
        let refused = world.fail(line, "nothing in it is to be transferred, so nothing is deleted");
        assert!(!refused.err().contains("mounted"), "{refused}");
    }
    for line in ["push --delete empty R", "pull --delete none P"] {
        world.fail(line, "it is empty and its counterpart is not: is a disk not mounted?");
    }
    assert!(world.remote("R/a").exists() && world.local("P/a").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_leaves_out_names_fails() {
    let world = World::new().await;
    world.write("t/a", "a");
    world.succeed("push t t");
    world.succeed("check t t");
    for (path, count) in [
        (world.local("t/.a.sshome-part"), 1),
        (world.remote("t/.a.sshome-part"), 1),
        (world.local("t/a.new"), 2),
        (world.remote("t/.b.sshome-part"), 3),
    ] {
        fs::write(path, "").unwrap();
        let outcome = world.fail("check t t", "it was not compared");
        let summary = format!("1 file is the same, 0 differences, {count} not compared\n");
        assert_eq!(outcome.out(), summary, "{outcome}");
    }
    // What the patterns leave out is not missed.
    world.succeed("check --exclude .*.sshome-part --exclude *.new t t");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_the_name_of_an_unfinished_file_is_transferred() {
    let world = World::new().await;
    for name in ["t/X", "t/.X.sshome-part/X", "t/.X.sshome-part/.Y.sshome-part/f"] {
        world.write(name, name);
    }
    world.succeed("push t t");
    assert_eq!(described(&world.local("t")), described(&world.remote("t")));
    world.succeed("pull t p");
    assert_eq!(described(&world.local("p")), described(&world.remote("t")));
    let checked = world.succeed("check t t");
    assert!(checked.out().ends_with("3 files are the same, 0 differences\n"), "{checked}");
    // A file beside it is still fetched.
    fs::write(world.remote("t/X"), "longer than before").unwrap();
    world.succeed("pull t p");
    fs::remove_dir_all(world.local("t/.X.sshome-part")).unwrap();
    age(&world.local("t/X"), 0);
    world.succeed("push --delete t t");
    world.succeed("pull --delete t p");
    assert_eq!(
        (paths(&world.remote("t")), paths(&world.local("p"))),
        (vec!["X".to_owned()], vec!["X".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_name_the_option_and_what_it_wants() {
    let world = World::new().await;
    for (line, why) in [
        ("push --max-delete x --delete a b", "--max-delete wants a number, not x\n"),
        ("pull --min-size 1.5M a b", "--min-size wants a size, such as 4096, 64K or 5M, not 1.5M\n"),
        ("put --size x - f", "--size wants a number of bytes, not x\n"),
        ("push -j x a b", "--jobs wants auto, or a number from 1 to 64, not x\n"),
        ("push --delta=x a b", "--delta wants auto, always or never, not x\n"),
    ] {
        let outcome = world.run(line);
        assert!(outcome.code == Some(2) && outcome.err().ends_with(why), "{outcome}");
    }
    let help = world.succeed("help push");
    let words = help.out().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("delete nothing if it would be more than N entries"), "{help}");
}
