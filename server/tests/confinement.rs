//! A confined server cannot do these things. This is a separate test binary, because some restrictions apply to the
//! whole process.

use sshomed::config;
use sshomed::confine::{ConfineError, Preparation};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

/// Whether the kernel refused it.
fn is_refused<T>(done: &io::Result<T>) -> bool {
    done.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn a_confined_process_opens_no_connection_port_program_or_other_file() {
    let place = tempfile::tempdir().unwrap();
    let (dir, outside) = (place.path().join("server"), place.path().join("outside"));
    fs::create_dir_all(dir.join("etc")).unwrap();
    fs::write(dir.join("etc/users.toml"), "[server]\nconfine = \"required\"\n").unwrap();
    fs::write(&outside, "outside").unwrap();
    let config = config::load(&dir, None, &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    TcpStream::connect(address).unwrap();

    let preparation = Preparation::begin(&config).unwrap();
    // Landlock applies to the thread that asks for it, and to the threads that it starts.
    let confined = std::thread::spawn(move || {
        match preparation.confine(&config) {
            Err(ConfineError::Landlock(error)) => {
                eprintln!(
                    "skipped: a_confined_process_opens_no_connection_port_program_or_other_file: {error}"
                );
                return;
            }
            confinement => drop(confinement.unwrap()),
        }
        assert!(is_refused(&TcpStream::connect(address)));
        assert!(is_refused(&TcpListener::bind("127.0.0.1:0")));
        assert!(is_refused(&Command::new("/bin/true").status()));
        assert!(is_refused(&File::open(&outside)));
        assert!(is_refused(&fs::write(&outside, "changed")));
        assert!(is_refused(&fs::write(config.dir.join("etc/users.toml"), "changed")));
        // It can use its own folders.
        fs::write(config.homes.join("file"), "inside").unwrap();
        File::open(config.dir.join("etc/users.toml")).unwrap();
    });
    confined.join().unwrap();
    // The listener that it opened before still accepts.
    TcpStream::connect(address).unwrap();
    listener.accept().unwrap();
}
