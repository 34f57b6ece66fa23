//! The events of `--json`, as documented in docs/automation.md.

mod cron;
#[path = "cut/proxy.rs"]
mod proxy;

use cron::{Cron, CronOutput};
use proxy::Proxy;
use serde_json::{Value, json};
use sshome_e2e::Host;
use sshome_e2e::json_schema::{UnknownProperties, violations};
use sshome_e2e::tree::noise;
use std::os::unix::ffi::OsStrExt;

const ANN: &str = "ann@127.0.0.1";

async fn host() -> Host {
    Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap()
}

/// The events of a run. Every line of standard output must be one, and have the fields of the schema only.
fn events(ended: &CronOutput) -> Vec<Value> {
    let events: Vec<Value> = ended
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(events.iter().all(|event| event["event"].is_string()), "{events:?}");
    let schema: Value = serde_json::from_str(include_str!("../../docs/schema/events.json")).unwrap();
    for event in &events {
        let violations = violations(&schema, event, UnknownProperties::Refused);
        assert!(violations.is_empty(), "{event} violates the schema: {violations:#?}");
    }
    let last = events.last().expect("no event at all");
    assert_eq!((&last["event"], &last["exit_code"]), (&json!("summary"), &json!(ended.code)));
    assert_eq!(events.iter().filter(|event| event["event"] == "summary").count(), 1);
    events
}

fn of<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn b3(content: &[u8]) -> Value {
    json!(blake3::hash(content).to_hex().as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transferred_file_has_an_event() {
    let host = host().await;
    let cron = Cron::new(&host);
    let large = vec![b'x'; 600_000];
    std::fs::create_dir(cron.path("tree")).unwrap();
    cron.write("tree/large", &large);
    cron.write("tree/small", "content");
    let put = cron.run(&["--json"], ANN, &["put", "-r", "tree"]);
    let told = events(&put);
    assert_eq!(told[0], json!({"event": "started", "command": "put", "arguments": ["--recursive", "tree"]}));
    let files = of(&told, "file");
    assert_eq!(files.len(), 2, "{told:?}");
    let small = files.iter().find(|file| file["name"] == "/tree/small").unwrap();
    let want = json!({
        "event": "file", "name": "/tree/small", "direction": "put", "bytes": 7,
        "digest": b3(b"content"), "resumed_at": 0, "status": 204,
    });
    assert_eq!(**small, want);
    let large_file = files.iter().find(|file| file["name"] == "/tree/large").unwrap();
    assert_eq!(large_file["digest"], b3(&large));
    let first = of(&told, "progress")[0];
    assert_eq!((&first["files_total"], &first["bytes_total"]), (&json!(2), &json!(600_007)));
    let sum = told.last().unwrap();
    assert_eq!((&sum["files"], &sum["bytes"], &sum["failures"]), (&json!(2), &json!(600_007), &json!(0)));
    assert!(sum["seconds"].as_f64().unwrap() > 0.0);

    let get = cron.run(&["--json", "-q"], ANN, &["get", "tree/small", "copy"]);
    let told = events(&get);
    let local = cron.path("copy").canonicalize().unwrap();
    assert_eq!(
        *of(&told, "file")[0],
        json!({
            "event": "file", "name": "/tree/small", "local": local.to_str(), "direction": "get", "bytes": 7,
            "digest": b3(b"content"), "resumed_at": 0, "status": 204,
        })
    );
    assert!(of(&told, "progress").is_empty(), "-q has no progress");
    // It already exists.
    let told = events(&cron.run(&["--json"], ANN, &["get", "tree/small", "copy"]));
    assert_eq!((&of(&told, "file")[0]["status"], of(&told, "file").len()), (&json!(202), 1));
    assert_eq!((&told.last().unwrap()["files"], &told.last().unwrap()["unchanged"]), (&json!(0), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_an_event() {
    let host = host().await;
    let cron = Cron::new(&host);
    cron.write("large", vec![b'x'; 2 << 20]);
    for (command, code, status) in [
        (&["get", "nothing"][..], 1, json!(402)),
        (&["put", "large"], 1, json!(405)),
        (&["put", "nothing"], 1, Value::Null),
        (&["rm", "nothing"], 1, json!(402)),
        (&["frobnicate"], 2, Value::Null),
    ] {
        let ran = cron.run(&["--json"], ANN, command);
        let told = events(&ran);
        let failed = of(&told, "failed");
        assert_eq!((ran.code, failed.len()), (Some(code), 1), "{command:?}: {told:?}");
        assert_eq!(failed[0]["status"], status, "{command:?}");
        assert!(failed[0]["message"].as_str().unwrap().len() > 5);
        assert_eq!(told.last().unwrap()["failures"], 1);
        assert!(ran.err.starts_with("sshome: "), "people get a message, too: {ran:?}");
    }
    let refused = cron.run(&["--json"], "nobody@127.0.0.1", &["pwd"]);
    assert_eq!((refused.code, of(&events(&refused), "failed").len()), (Some(5), 1));
    // An ignored failure has an event, but does not change the exit code.
    let batch = cron.batch(&["--json"], "# a comment\n-rm nothing\nmkdir d\n");
    let told = events(&batch);
    assert_eq!(of(&told, "failed")[0]["line"], 2);
    assert_eq!((batch.code, &told.last().unwrap()["failures"]), (Some(0), &json!(1)));
    let begun: Vec<_> = of(&told, "started").iter().map(|event| event["command"].clone()).collect();
    assert_eq!(begun, ["rm", "mkdir"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_commands_are_events() {
    let host = host().await;
    let cron = Cron::new(&host);
    let home = host.home("ann");
    std::fs::create_dir(home.join("d")).unwrap();
    std::fs::write(home.join("d/f"), "12345").unwrap();
    std::fs::write(home.join(std::ffi::OsStr::from_bytes(b"\xff\n")), "").unwrap();
    std::os::unix::fs::symlink("d/f", home.join("link")).unwrap();
    let ran = cron.batch(
        &["--json"],
        "pwd\nlpwd\nls\nls -R d\nstat d/f\nhash d/f\ndf -v\nversion\n!echo not an event\n",
    );
    let told = events(&ran);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let here = of(&told, "directory");
    assert_eq!((&here[0]["side"], &here[0]["name"]), (&json!("remote"), &json!("/")));
    assert_eq!(here[1]["side"], "local");
    let entries = of(&told, "entry");
    let names: Vec<_> = entries.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["d", "link", "\u{fffd}\n", "d/f", "d/f"]);
    assert_eq!((&entries[0]["kind"], &entries[1]["target"]), (&json!("directory"), &json!("d/f")));
    assert_eq!(entries[2]["name_bytes"], "ff0a");
    assert!(entries[0].get("name_bytes").is_none());
    assert_eq!((&entries[4]["size"], &entries[4]["kind"]), (&json!(5), &json!("file")));
    let digest = of(&told, "digest")[0];
    assert_eq!((&digest["name"], &digest["digest"]), (&json!("d/f"), &b3(b"12345")));
    let usage = of(&told, "usage")[0];
    assert_eq!((&usage["quota"], &usage["max_entries"]), (&json!(1 << 20), &json!(1_000_000)));
    assert!(of(&told, "text")[0]["text"].as_str().unwrap().starts_with("sshome "));
    assert!(ran.err.contains("not an event"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_events_are_few_and_increasing() {
    let host = host().await;
    let cron = Cron::new(&host);
    cron.write("f", vec![b'x'; 100_000]);
    let begun = std::time::Instant::now();
    // 50,000 bytes a second.
    let told = events(&cron.run(&["--json", "-l", "400"], ANN, &["get", "nothing"]));
    assert_eq!(of(&told, "failed").len(), 1);
    assert_eq!(cron.run(&[], ANN, &["put", "f"]).code, Some(0));
    let told = events(&cron.run(&["--json", "-l", "400"], ANN, &["get", "f", "g"]));
    let most = begun.elapsed().as_millis() / 300 + 2;
    let bytes: Vec<u64> =
        of(&told, "progress").iter().map(|event| event["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.len() >= 2 && (bytes.len() as u128) <= most, "{bytes:?}");
    assert!(bytes.is_sorted() && bytes.last() <= Some(&100_000), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_existing_links_have_events() {
    let host = host().await;
    let cron = Cron::new(&host);
    std::fs::create_dir(cron.path("tree")).unwrap();
    std::os::unix::fs::symlink("to/\u{fc}", cron.path("tree/link")).unwrap();
    let made = |direction: &str, status: u32| {
        json!({
            "event": "link", "name": "/tree/link", "direction": direction, "target": "to/\u{fc}",
            "status": status,
        })
    };
    for status in [204, 202] {
        let told = events(&cron.run(&["--json"], ANN, &["put", "-r", "tree"]));
        assert_eq!(of(&told, "link"), [&made("put", status)], "{told:?}");
    }
    std::fs::create_dir(cron.path("copy")).unwrap();
    for status in [204, 202] {
        let told = events(&cron.run(&["--json"], ANN, &["get", "-r", "tree", "copy"]));
        let mut want = made("get", status);
        want["local"] = json!(cron.path("copy").canonicalize().unwrap().join("tree/link"));
        assert_eq!(of(&told, "link"), [&want], "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_and_a_resumed_file_have_events() {
    let host = Host::with_user("ann", "").await.unwrap();
    let proxy = Proxy::cutting(host.address(), &[14 << 20, u64::MAX, 14 << 20]).await;
    let cron = Cron::through(&host, proxy.port());
    cron.write("large", noise(24 << 20, "large"));
    for (direction, command) in [("put", &["put", "large"][..]), ("get", &["get", "large", "copy"])] {
        let told = events(&cron.run(&["--json"], ANN, command));
        let retry = of(&told, "retry");
        assert_eq!(retry.len(), 1, "{told:?}");
        assert_eq!((&retry[0]["attempt"], &retry[0]["attempts"]), (&json!(1), &json!(24)));
        assert!(retry[0]["seconds"] == json!(0.5) && retry[0]["message"].is_string(), "{retry:?}");
        let resumed = of(&told, "resumed");
        let offset = resumed[0]["offset"].as_u64().unwrap();
        assert!(offset > 0, "{told:?}");
        let want = json!({"event": "resumed", "name": "/large", "direction": direction, "offset": offset});
        assert_eq!(resumed, [&want]);
        assert_eq!(of(&told, "file")[0]["resumed_at"], offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_requests_report_their_progress() {
    let host = Host::with_user("ann", "").await.unwrap();
    let cron = Cron::new(&host);
    std::fs::write(host.home("ann").join("large"), vec![7; 40 << 20]).unwrap();
    // The server does not know in advance how much it will copy.
    for (command, total) in
        [(&["hash", "large"][..], json!(40 << 20)), (&["cp", "large", "copy"], Value::Null)]
    {
        let told = events(&cron.run(&["--json"], ANN, command));
        let progress = of(&told, "progress");
        assert!(!progress.is_empty(), "{told:?}");
        assert_eq!((&progress[0]["direction"], &progress[0]["files_total"]), (&json!(command[0]), &json!(1)));
        assert!(progress.iter().all(|event| event["bytes_total"] == total), "{progress:?}");
        assert!(of(&events(&cron.run(&["--json", "-q"], ANN, &["hash", "large"])), "progress").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_report_one_transfer() {
    let host = Host::with_user("ann", "").await.unwrap();
    let cron = Cron::new(&host);
    std::fs::create_dir(cron.path("tree")).unwrap();
    for number in 0..6_u8 {
        cron.write(&format!("tree/{number}"), vec![number; 3 << 20]);
    }
    for command in [&["put", "-r", "-j", "3", "tree"][..], &["get", "-r", "--jobs=3", "tree", "copy"]] {
        let told = events(&cron.run(&["--json"], ANN, command));
        assert!(of(&told, "started")[0]["arguments"].as_array().unwrap().contains(&json!("--jobs=3")));
        assert_eq!(of(&told, "file").len(), 6, "{told:?}");
        let progress = of(&told, "progress");
        assert_eq!(progress[0]["files_total"], 6);
        let bytes: Vec<u64> = progress.iter().map(|event| event["bytes"].as_u64().unwrap()).collect();
        assert!(bytes.is_sorted() && bytes.last() <= Some(&(18 << 20)), "{bytes:?}");
        let sum = told.last().unwrap();
        assert_eq!((&sum["files"], &sum["bytes"]), (&json!(6), &json!(18 << 20)));
    }
}
