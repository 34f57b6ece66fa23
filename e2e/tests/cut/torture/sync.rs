//! Random trees that are changed at random on both sides, pushed and pulled with random options over connections that are
//! cut at random places. A model says what they have to become.

use super::{again, login, rounds, seed};
use crate::proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome::conversation::ConversationError;
use sshome::transfer::{DeleteOptions, FilterRules, SyncOptions};
use sshome_e2e::Host;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    /// Its content, and its time in seconds.
    File(Vec<u8>, u64),
    /// Its target.
    Link(String),
}

/// A tree by its paths. The name of an entry says whether it is a directory (`d`), a file (`f`), or a file or a link (`x`),
/// so that no name is a directory on one side only.
type Tree = BTreeMap<String, Node>;

/// Patterns, and whether they exclude a path, of which the parents are not excluded.
type Patterns = (&'static [&'static str], fn(&str) -> bool);

const PATTERNS: [Patterns; 6] = [
    (&[], |_| false),
    (&["*.log"], |path| path.ends_with(".log")),
    (&["d1/"], |path| name(path) == "d1"),
    (&["/d0/f1"], |path| path == "d0/f1"),
    (&["x*", "!x0"], |path| name(path).starts_with('x') && name(path) != "x0"),
    (&["d0/*", "f2"], |path| name(path) == "f2" || path.starts_with("d0/")),
];

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// Whether a path or one of its parents is excluded.
fn is_excluded((_, excludes): Patterns, path: &str) -> bool {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]).any(excludes)
}

/// What the destination has to become.
fn expected(source: &Tree, destination: &Tree, patterns: Patterns, delete: Option<bool>) -> Tree {
    let sent = source.iter().filter(|(path, _)| !is_excluded(patterns, path));
    let mut wanted: Tree = sent.map(|(path, node)| (path.clone(), node.clone())).collect();
    for (path, node) in destination {
        let stays = match delete {
            None => true,
            Some(deletes_excluded) => is_excluded(patterns, path) && !deletes_excluded,
        };
        // What stays keeps the directories that it is in.
        if stays && !wanted.contains_key(path) {
            let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            for parent in parents {
                wanted.entry(parent).or_insert(Node::Directory);
            }
            wanted.insert(path.clone(), node.clone());
        }
    }
    wanted
}

/// Makes and removes some entries.
fn change(tree: &mut Tree, random: &mut StdRng, clock: &mut u64) {
    for _ in 0..random.random_range(4..40) {
        let depth = random.random_range(0..3);
        let mut path = String::new();
        for _ in 0..depth {
            path += &format!("d{}/", random.random_range(0..3));
            tree.insert(path[..path.len() - 1].to_owned(), Node::Directory);
        }
        *clock += 1;
        let length = [0, 1, 300, 20_000][random.random_range(0..4)];
        let file = Node::File(crate::noise(length, *clock), *clock);
        let (name, node) = match random.random_range(0..6) {
            0 => (format!("d{}", random.random_range(0..3)), Node::Directory),
            1 => (format!("x{}", random.random_range(0..2)), Node::Link(format!("t{clock}"))),
            2 => (format!("x{}", random.random_range(0..2)), file),
            3 => (format!("f{}.log", random.random_range(0..2)), file),
            _ => (format!("f{}", random.random_range(0..4)), file),
        };
        tree.insert(path + &name, node);
    }
    let paths: Vec<String> = tree.keys().cloned().collect();
    for path in paths {
        if random.random_bool(0.1) {
            tree.retain(|other, _| *other != path && !other.starts_with(&format!("{path}/")));
        }
    }
}

/// Replaces what is at a path by a tree.
fn write(top: &Path, tree: &Tree) {
    // It does not exist in the first round.
    let _ = fs::remove_dir_all(top);
    fs::create_dir_all(top).unwrap();
    for (path, node) in tree {
        let path = top.join(path);
        match node {
            Node::Directory => fs::create_dir(path).unwrap(),
            Node::Link(target) => symlink(target, path).unwrap(),
            Node::File(content, time) => {
                fs::write(&path, content).unwrap();
                let time = UNIX_EPOCH + Duration::new(*time, 123_456_789);
                File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
        }
    }
}

fn read(top: &Path) -> Tree {
    let (mut tree, mut pending) = (Tree::new(), vec![String::new()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(top.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{directory}{}", entry.file_name().into_string().unwrap());
            let seen = entry.metadata().unwrap();
            let node = match entry.file_type().unwrap() {
                kind if kind.is_dir() => Node::Directory,
                kind if kind.is_symlink() => {
                    Node::Link(fs::read_link(entry.path()).unwrap().into_os_string().into_string().unwrap())
                }
                _ => {
                    let time = seen.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
                    assert_eq!(time.subsec_nanos(), 123_456_789, "{path}");
                    Node::File(fs::read(entry.path()).unwrap(), time.as_secs())
                }
            };
            if node == Node::Directory {
                pending.push(format!("{path}/"));
            }
            tree.insert(path, node);
        }
    }
    tree
}

/// The times of the directories of both trees are the same where both have them.
fn assert_same_times(source: &Path, destination: &Path, patterns: Patterns) {
    let directories = read(source).into_iter().filter(|(_, node)| *node == Node::Directory);
    let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    for (path, _) in directories.filter(|(path, _)| !is_excluded(patterns, path)) {
        assert_eq!(modified(&source.join(&path)), modified(&destination.join(&path)), "{path}");
    }
}

async fn synchronise(is_push: bool) {
    let (rounds, seed) = (rounds(10), seed());
    let host = Host::with_user("ann", "").await.unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut cuts = StdRng::seed_from_u64(seed + 1);
    // A login takes about 5 KiB.
    let proxy = Proxy::new(host.address(), move || 6_000 + cuts.random_range(0..50_000)).await;
    let mut client = login(&host, &proxy).await;
    let (mut source, mut destination, mut clock) = (Tree::new(), Tree::new(), 1_000_000_000);
    for round in 0..rounds {
        println!("round {round} of seed {seed}: {} connections so far", proxy.connections());
        change(&mut source, &mut random, &mut clock);
        change(&mut destination, &mut random, &mut clock);
        // A source from which nothing is transferred is taken for a disk that is not mounted.
        source.insert("keep".to_owned(), Node::File(b"keep".to_vec(), 1));
        let patterns = PATTERNS[random.random_range(0..PATTERNS.len())];
        let delete = [None, Some(false), Some(true)][random.random_range(0..3)];
        let wanted = expected(&source, &destination, patterns, delete);
        let (here, there) = (client.path("t"), host.home("ann").join("t"));
        let (from, to) = if is_push { (&here, &there) } else { (&there, &here) };
        write(from, &source);
        write(to, &destination);
        let mut rules = FilterRules::default();
        patterns.0.iter().for_each(|pattern| rules.exclude(pattern));
        let options = SyncOptions {
            filter: rules.build().unwrap(),
            delete: delete.map(|excluded| DeleteOptions { excluded, max: Some(u64::MAX) }),
            jobs: ["1", "3"][random.random_range(0..2)].parse().unwrap(),
            batch_entries: [1, 5, 50_000][random.random_range(0..3)],
            ..SyncOptions::default()
        };
        // Some connections are lost for good: the same command again does the rest.
        client.retries = [0, u32::MAX][random.random_range(0..2)];
        loop {
            let done = match is_push {
                true => client.push("t", "/t", &options).await,
                false => client.pull("/t", "t", &options).await,
            };
            match done {
                Ok(summary) => break assert!(summary.failures.is_empty(), "{summary:?}"),
                Err(ConversationError::Lost(_)) => client = again(&host, &proxy, client).await,
                Err(error) => panic!("{error}"),
            }
        }
        let (here, there) = (client.path("t"), host.home("ann").join("t"));
        let (from, to) = if is_push { (&here, &there) } else { (&there, &here) };
        assert_eq!(read(to), wanted, "{:?} {delete:?}", patterns.0);
        assert_eq!(read(from), source);
        assert_same_times(from, to, patterns);
        // Once more, there is nothing to do.
        client.retries = u32::MAX;
        client.changes();
        let again = match is_push {
            true => client.push("t", "/t", &options).await.unwrap(),
            false => client.pull("/t", "t", &options).await.unwrap(),
        };
        assert_eq!((again.files, again.links, again.deleted, client.changes()), (0, 0, 0, 0), "{again:?}");
        assert_eq!(read(to), wanted);
        destination = wanted;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_cut_connections_makes_what_the_model_says() {
    synchronise(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_over_cut_connections_makes_what_the_model_says() {
    synchronise(false).await;
}
