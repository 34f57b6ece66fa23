//! Any lines to the control socket of a server. Each gets one valid answer of one line, and the server keeps running.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sshomed::config;
use sshomed::control::{ControlRequest, ControlResponse, ask};
use sshomed::server::Server;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;

/// The longest request that is read, in bytes.
const MOST: usize = 4096;

/// A server with one user, and its socket.
static SERVER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(dir.path().join("etc")).expect("a folder");
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\ncontrol-socket = \"run/control\"\n[users.ann]\n";
    std::fs::write(dir.path().join("etc/users.toml"), text).expect("a file");
    let config = config::load(dir.path(), None, &[]).expect("a configuration");
    let socket = config.control_socket.clone().expect("a socket");
    let (ready, bound) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = Server::bind(config).await.expect("a server");
            ready.send(()).expect("somebody waits");
            server.serve(std::future::pending()).await;
        });
    });
    bound.recv().expect("it listens");
    (dir, socket)
});

fuzz_target!(|input: &[u8]| {
    let socket = &SERVER.1;
    let mut stream = UnixStream::connect(socket).expect("the server listens");
    // After an invalid request the server may have closed the connection.
    let sent = stream.write_all(input).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut text = String::new();
    let heard = stream.read_to_string(&mut text);
    assert!(heard.is_ok() || sent.is_err() || std::str::from_utf8(input).is_err(), "{heard:?}");
    let most = input.split_inclusive(|byte| *byte == b'\n').map(|line| line.len().div_ceil(MOST)).sum();
    let answers: Vec<ControlResponse> =
        text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    assert!(answers.len() <= most, "{} answers", answers.len());
    if std::str::from_utf8(input).is_ok() && input.len() <= MOST {
        assert_eq!(answers.len(), most);
    }
    assert!(
        matches!(ask(socket, &ControlRequest::Status), Ok(ControlResponse::Status(_))),
        "the server keeps running"
    );
});
