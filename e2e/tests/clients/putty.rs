//! PuTTY's `psftp` and `pscp`. FileZilla uses the code of `psftp` for SFTP.

use crate::site::{Site, run, succeed};
use sshome_e2e::tree::{contents, mode, noise};
use sshome_e2e::{Outcome, foreign};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const MIB: usize = 1 << 20;

/// PuTTY's programs, with the key in PuTTY's format.
struct Putty {
    site: Site,
    programs: PathBuf,
    key: PathBuf,
    host_key: String,
}

impl Putty {
    /// With sshomed and with sshd; empty if the program is missing.
    async fn at_both(test: &str, settings: &str) -> Vec<Putty> {
        let sites = Site::both(test, settings).await;
        sites.into_iter().filter_map(|site| Putty::new(test, site)).collect()
    }

    /// With sshomed, for features that only it has.
    async fn ours(test: &str, settings: &str) -> Option<Putty> {
        Putty::new(test, Site::ours("", settings).await)
    }

    fn new(test: &str, site: Site) -> Option<Putty> {
        let [puttygen, psftp, _] = ["puttygen", "psftp", "pscp"].map(|name| foreign::program(name, test));
        let (puttygen, programs) = (puttygen?, psftp?.parent()?.to_owned());
        let key = site.client().home().join("id.ppk");
        let mut convert = site.client().foreign(puttygen);
        succeed(convert.arg(site.client().key()).args(["-O", "private", "-o"]).arg(&key));
        let known = fs::read_to_string(site.client().known_hosts()).unwrap();
        let host_key = known.split_whitespace().last().unwrap().to_owned();
        Some(Putty { site, programs, key, host_key })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.site.client().foreign(self.programs.join(program));
        command.args(["-batch", "-hostkey", &self.host_key, "-P", &self.site.client().port(), "-i"]);
        command.arg(&self.key);
        command
    }

    /// Runs the lines of a script in `psftp`; the first that fails ends it.
    fn psftp(&self, script: &str) -> Outcome {
        let file = self.site.client().home().join("script");
        fs::write(&file, script).unwrap();
        run(self.command("psftp").arg("-b").arg(file).arg(self.site.client().destination()))
    }

    #[track_caller]
    fn does(&self, script: &str) -> String {
        let outcome = self.psftp(script);
        assert_eq!(outcome.code, Some(0), "{script}\n{outcome}");
        outcome.out()
    }

    #[track_caller]
    fn refuses(&self, line: &str, why: &str) {
        let outcome = self.psftp(line);
        assert_ne!(outcome.code, Some(0), "{line}\n{outcome}");
        assert!(format!("{outcome}").contains(why), "{line}\n{outcome}");
    }

    /// `pscp` in one of its protocols, `-sftp` or `-scp`; names on the server have a colon before them.
    fn pscp(&self, protocol: &str, arguments: &[&str]) -> Outcome {
        let names = arguments.iter().map(|argument| match argument.strip_prefix(':') {
            Some(name) => format!("{}:{}", self.site.client().destination(), self.site.path(name)),
            None => (*argument).to_owned(),
        });
        run(self.command("pscp").args([protocol, "-q"]).args(names))
    }
}

/// A tree without the names that PuTTY refuses to store: it considers invalid characters an attack.
fn plant(top: &Path) {
    for (name, length) in [("a/b/deep", 5), ("with space", 4321), ("gr\u{fc}n", 1), ("-dash", 9)] {
        fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
        fs::write(top.join(name), noise(length, name)).unwrap();
    }
    fs::create_dir(top.join("empty folder")).unwrap();
    fs::write(top.join("empty"), b"").unwrap();
    fs::write(top.join("large"), noise(3 * MIB + 17, "large")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_psftp_works() {
    for putty in Putty::at_both("every_command_of_psftp_works", "").await {
        let site = &putty.site;
        let content = noise(MIB, "f");
        fs::write(site.here("f"), &content).unwrap();
        fs::write(site.here("f2"), &content).unwrap();
        let out = putty.does("pwd\nput f\nput f g\nmput f*\nmkdir d\ncd d\npwd\nput f\ndir\nls *\ncd ..");
        assert!(out.contains(&format!("Remote directory is {}", site.path("d"))), "{out}");
        for name in ["f", "g", "f2", "d/f"] {
            assert!(fs::read(site.there(name)).unwrap() == content, "{name}");
        }
        putty.does("get g back\nmget f*\nmv f2 moved\nren g d\nchmod 640 moved\nchmod u+x moved");
        assert!(
            fs::read(site.here("back")).unwrap() == content
                && fs::read(site.there("d/g")).unwrap() == content
        );
        assert_eq!(mode(site.there("moved")).unwrap(), 0o740);
        let long = putty.does("ls");
        assert!(long.contains("-rwxr-----") && long.contains("1048576"), "{long}");
        putty.does("rm moved\ndel f\nrm d/*\nrmdir d\nlpwd\nlcd ..\n!true\nhelp\nquit\nthis is never read");
        assert!(!site.there("d").exists() && !site.there("f").exists());
        putty.refuses("get none", "no such file");
        putty.refuses("cd none", "no such file");
        putty.refuses("rmdir none", "no such file");
        putty.refuses("mkdir none/d", "no such file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psftp_transfers_trees_and_resumes() {
    for putty in Putty::at_both("psftp_transfers_trees_and_resumes", "").await {
        let site = &putty.site;
        plant(&site.here("tree"));
        putty.does("put -r tree\nget -r tree back");
        let wanted = contents(&site.here("tree")).unwrap();
        assert_eq!(contents(&site.there("tree")).unwrap(), wanted);
        assert_eq!(contents(&site.here("back")).unwrap(), wanted);
        let content = noise(700_001, "part");
        for offset in [0, 1, 32767, 32768, 500_000, 700_001] {
            fs::write(site.here("up"), &content).unwrap();
            fs::write(site.there("up"), &content[..offset]).unwrap();
            fs::write(site.there("down"), &content).unwrap();
            fs::write(site.here("down"), &content[..offset]).unwrap();
            putty.does("reput up\nreget down");
            assert!(fs::read(site.there("up")).unwrap() == content, "reput at {offset}");
            assert!(fs::read(site.here("down")).unwrap() == content, "reget at {offset}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psftp_reports_the_quota() {
    let Some(putty) = Putty::ours("psftp_reports_the_quota", "quota = \"1 MiB\"").await else { return };
    fs::write(putty.site.here("f"), noise(MIB + 1, "f")).unwrap();
    // psftp shows its own text for the code, not ours.
    putty.refuses("put f", "error while writing: failure");
    putty.does("rm f");
    fs::write(putty.site.here("f"), noise(MIB, "f")).unwrap();
    putty.does("put f\nput f");
}

#[tokio::test(flavor = "multi_thread")]
async fn pscp_copies_in_both_protocols() {
    for putty in Putty::at_both("pscp_copies_in_both_protocols", "").await {
        let site = &putty.site;
        plant(&site.here("tree"));
        for protocol in ["-sftp", "-scp"] {
            let does = |arguments: &[&str]| {
                let outcome = putty.pscp(protocol, arguments);
                assert_eq!(
                    (outcome.code, outcome.err().as_str()),
                    (Some(0), ""),
                    "{protocol} {arguments:?}: {outcome}"
                );
                outcome.out()
            };
            let (there, back) = (format!("there{protocol}"), format!("back{protocol}"));
            for folder in [site.there(&there), site.here(&back)] {
                fs::create_dir(folder).unwrap();
            }
            does(&["-r", "-p", "tree", "tree/large", &format!(":{there}")]);
            does(&["-r", "-p", &format!(":{there}/tree"), &back]);
            let wanted = contents(&site.here("tree")).unwrap();
            assert_eq!(contents(&site.there(&there).join("tree")).unwrap(), wanted, "{protocol}");
            assert_eq!(contents(&site.here(&back).join("tree")).unwrap(), wanted, "{protocol}");
            let mtime = |path: PathBuf| fs::metadata(path).unwrap().mtime();
            let planted = mtime(site.here("tree/large"));
            assert_eq!(mtime(site.there(&there).join("large")), planted, "{protocol}");
            assert_eq!(mtime(site.here(&back).join("tree/large")), planted, "{protocol}");
            does(&["tree/large", &format!(":{there}/named")]);
            does(&[&format!(":{there}/named"), &format!("{back}/named")]);
            assert!(
                fs::read(site.here(&back).join("named")).unwrap()
                    == fs::read(site.here("tree/large")).unwrap()
            );
            let outcome = putty.pscp(protocol, &["-ls", &format!(":{there}")]);
            // If a whole answer of the old protocol arrives before pscp first reads, pscp fails without a message: see
            // docs/clients.md.
            assert!(
                outcome.code == Some(0) || protocol == "-scp" && outcome.code == Some(1),
                "{protocol}: {outcome}"
            );
            let listing = outcome.out();
            assert!(listing.contains("named") && listing.contains("-rw-"), "{protocol}: {listing}");
            let outcome = putty.pscp(protocol, &[":none", "."]);
            assert_eq!(outcome.code, Some(1), "{protocol}: {outcome}");
            assert!(outcome.err().to_lowercase().contains("no such file"), "{protocol}: {outcome}");
        }
    }
}

/// `pscp -scp` leaves a pattern to the server's shell. Our server has none, and says so. With SFTP, pscp expands the
/// pattern itself.
#[tokio::test(flavor = "multi_thread")]
async fn pscp_matches_names_over_sftp_only() {
    for putty in Putty::at_both("pscp_matches_names_over_sftp_only", "").await {
        for name in ["one.txt", "two.txt"] {
            fs::write(putty.site.there(name), name).unwrap();
        }
        let outcome = putty.pscp("-sftp", &[":*.txt", "."]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(fs::read(putty.site.here("two.txt")).unwrap(), b"two.txt");
        let outcome = putty.pscp("-scp", &["-unsafe", ":*.txt", "."]);
        if putty.site.is_sshd() {
            assert_eq!(outcome.err(), "");
        } else {
            assert!(outcome.err().contains("there is no shell here"), "{outcome}");
        }
    }
}
