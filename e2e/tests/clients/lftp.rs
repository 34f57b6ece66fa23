//! lftp, which runs OpenSSH's `ssh` and implements SFTP itself.

use crate::site::{Site, run};
use sshome_e2e::tree::{contents, mode, noise, plant, set_mode};
use sshome_e2e::{Outcome, foreign};
use std::fs;
use std::path::PathBuf;

const MIB: usize = 1 << 20;

struct Lftp {
    site: Site,
    program: PathBuf,
    preamble: String,
}

impl Lftp {
    /// With sshomed and with sshd; empty if the program is missing.
    async fn at_both(test: &str, settings: &str) -> Vec<Lftp> {
        let sites = Site::both(test, settings).await;
        sites.into_iter().filter_map(|site| Lftp::new(test, site)).collect()
    }

    /// With sshomed, for features that only it has.
    async fn ours(test: &str, settings: &str) -> Option<Lftp> {
        Lftp::new(test, Site::ours("", settings).await)
    }

    fn new(test: &str, site: Site) -> Option<Lftp> {
        let program = foreign::program("lftp", test)?;
        let ssh = foreign::program("ssh", test)?;
        let options = site.client().openssh_options().join(" ");
        let (user, host, port) = site.login();
        // The password is never used, but lftp would ask for one.
        let preamble = format!(
            "set cmd:fail-exit true\nset net:max-retries 1\nset bmk:save-passwords false\n\
             set sftp:connect-program \"{} -a -x {options}\"\nopen -p {port} -u {user},none sftp://{host}\n",
            ssh.display()
        );
        Some(Lftp { site, program, preamble })
    }

    /// Runs the lines of a script; the first that fails ends it.
    fn script(&self, script: &str) -> Outcome {
        let file = self.site.client().home().join("script");
        fs::write(&file, format!("{}{script}\n", self.preamble)).unwrap();
        run(self.site.client().foreign(&self.program).arg("-f").arg(file))
    }

    #[track_caller]
    fn does(&self, script: &str) -> String {
        let outcome = self.script(script);
        assert_eq!(outcome.code, Some(0), "{script}\n{outcome}");
        outcome.out()
    }

    #[track_caller]
    fn refuses(&self, line: &str, why: &str) {
        let outcome = self.script(line);
        assert_eq!(outcome.code, Some(1), "{line}\n{outcome}");
        assert!(outcome.err().contains(why), "{line}\n{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lftp_mirrors_both_ways() {
    for lftp in Lftp::at_both("lftp_mirrors_both_ways", "").await {
        let site = &lftp.site;
        fs::create_dir(site.here("tree")).unwrap();
        plant(&site.here("tree")).unwrap();
        set_mode(site.here("tree/large"), 0o640).unwrap();
        lftp.does("mirror -R --parallel=4 tree tree\nmirror --parallel=4 tree back");
        let wanted = contents(&site.here("tree")).unwrap();
        assert_eq!(contents(&site.there("tree")).unwrap(), wanted);
        assert_eq!(contents(&site.here("back")).unwrap(), wanted);
        assert_eq!(
            (mode(site.there("tree/large")).unwrap(), mode(site.here("back/large")).unwrap()),
            (0o640, 0o640)
        );
        // Only new files are sent, and files that were deleted locally are removed on the server.
        fs::remove_dir_all(site.here("tree/folder 3")).unwrap();
        fs::remove_file(site.here("tree/empty")).unwrap();
        fs::write(site.here("tree/new"), noise(MIB, "new")).unwrap();
        let out = lftp.does("mirror -R -v --delete tree tree");
        assert!(out.contains("Transferring file `new'") && !out.contains("large"), "{out}");
        assert_eq!(contents(&site.there("tree")).unwrap(), contents(&site.here("tree")).unwrap());
        lftp.does("mirror --delete tree back\nrm -r tree");
        assert_eq!(contents(&site.here("back")).unwrap(), contents(&site.here("tree")).unwrap());
        assert!(!site.there("tree").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lftp_gets_in_segments_and_resumes() {
    for lftp in Lftp::at_both("lftp_gets_in_segments_and_resumes", "").await {
        let site = &lftp.site;
        let content = noise(5 * MIB + 12_345, "f");
        fs::write(site.here("f"), &content).unwrap();
        lftp.does("put f\npget -n 5 f -o pieces");
        assert!(
            fs::read(site.there("f")).unwrap() == content
                && fs::read(site.here("pieces")).unwrap() == content
        );
        for offset in [0, 1, 32768, MIB + 1, content.len()] {
            fs::write(site.there("up"), &content[..offset]).unwrap();
            fs::write(site.here("down"), &content[..offset]).unwrap();
            lftp.does("reput f -o up\nreget f -o down");
            assert!(fs::read(site.there("up")).unwrap() == content, "reput at {offset}");
            assert!(fs::read(site.here("down")).unwrap() == content, "reget at {offset}");
        }
        // An interrupted mirror.
        for folder in ["m", "n"] {
            fs::create_dir(site.here(folder)).unwrap();
            fs::create_dir(site.there(folder)).unwrap();
        }
        fs::write(site.here("m/f"), &content).unwrap();
        fs::write(site.there("m/f"), &content[..MIB]).unwrap();
        fs::write(site.there("n/f"), &content).unwrap();
        fs::write(site.here("n/f"), &content[..MIB]).unwrap();
        lftp.does("mirror -R --continue m m\nmirror --continue n n");
        assert!(
            fs::read(site.there("m/f")).unwrap() == content && fs::read(site.here("n/f")).unwrap() == content
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_commands_of_lftp_work() {
    for lftp in Lftp::at_both("the_other_commands_of_lftp_work", "").await {
        let site = &lftp.site;
        let content = noise(MIB, "f");
        fs::write(site.here("f"), &content).unwrap();
        lftp.does("mkdir -p a/b/c\ncd a/b\nput f -o g\nmv g c/\nchmod 640 c/g\nln -s c/g soft\ncd c\nmput f");
        assert!(fs::read(site.there("a/b/soft")).unwrap() == content);
        assert_eq!(mode(site.there("a/b/c/g")).unwrap(), 0o640);
        let out = lftp
            .does("cd a\nls b\ncls -l b/c\nfind b\ndu -b b\ncat b/soft | wc -c\nmget b/c/g\nglob echo b/*");
        for said in ["b/c/g", "lrwxrwxrwx", "1048576", "-rw-r-----"] {
            assert!(out.contains(said), "{said}: {out}");
        }
        assert!(fs::read(site.here("g")).unwrap() == content);
        lftp.does("rm a/b/c/g\nglob rm a/b/c/f*\nrmdir a/b/c\nrm -r a");
        assert!(!site.there("a").exists());
        for line in ["get none", "rm none", "cd none"] {
            lftp.refuses(line, "No such file");
        }
        // lftp supports hard links only in later versions of SFTP.
        lftp.refuses("put f\nln f hard", "not supported");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lftp_reports_the_quota() {
    let Some(lftp) = Lftp::ours("lftp_reports_the_quota", "quota = \"1 MiB\"").await else { return };
    fs::write(lftp.site.here("f"), noise(MIB + 1, "f")).unwrap();
    lftp.refuses("put f", "quota exceeded");
    lftp.does("rm f");
    fs::write(lftp.site.here("f"), noise(MIB, "f")).unwrap();
    lftp.does("put f\nput f");
}
