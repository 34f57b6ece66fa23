//! The quota, to the byte.

use sshome_e2e::tree::on_disk;
use sshome_e2e::{Host, HostBuilder, Peer, end_of};
use sshome_wire::{Frame, Payload, Request, Status, Usage};
use std::path::Path;

const MIB: usize = 1 << 20;

async fn df(peer: &mut Peer) -> Usage {
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

async fn assert_books(peer: &mut Peer, home: &Path) {
    let usage = df(peer).await;
    assert_eq!((usage.used, usage.entries), on_disk(home), "the books differ from the disk");
    assert_eq!(usage.reserved, 0, "something is reserved and nothing is under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_concurrent_uploads_only_the_five_that_fit_succeed() {
    let host = Host::with_user("ann", "quota = \"100 MiB\"").await.unwrap();
    let content = std::sync::Arc::new(vec![7; 20 * MIB]);
    let mut uploads = tokio::task::JoinSet::new();
    for i in 0..10 {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        let content = std::sync::Arc::clone(&content);
        uploads.spawn(async move {
            // The refused ones must end by themselves.
            peer.put(format!("f{i}"), &content).await.unwrap()
        });
    }
    let replies = uploads.join_all().await;
    let done = replies.iter().filter(|reply| reply.status == Status::Done).count();
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == Status::QuotaExceeded).collect();
    assert_eq!((done, refused.len()), (5, 5), "{replies:?}");
    let text = refused[0].to_string();
    assert!(text.contains(" needs 20.0 MiB, ") && text.ends_with(" of 100.0 MiB are left"), "{text}");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_books(&mut peer, &host.home("ann")).await;
    assert_eq!(df(&mut peer).await.used, 100 * MIB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_needs_the_difference_and_a_refusal_keeps_the_old_file() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &vec![1; 9 * MIB]).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("f", &vec![2; 9 * MIB]).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("f", &vec![3; 10 * MIB]).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("f", &vec![4; 10 * MIB + 1]).await.unwrap().status, Status::QuotaExceeded);
    assert!(peer.get("f").await.unwrap().unwrap() == vec![3; 10 * MIB]);
    assert_books(&mut peer, &host.home("ann")).await;
    // With an unknown length, the refusal comes halfway, and the old file stays.
    peer.begin_put("f", None).await.unwrap();
    peer.send_data(&vec![5; 11 * MIB]).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::QuotaExceeded);
    peer.send(&Frame::Abort).await.unwrap();
    assert!(peer.get("f").await.unwrap().unwrap() == vec![3; 10 * MIB]);
    // A file that fits exactly is accepted.
    let exact = vec![6; 10 * MIB];
    peer.begin_put("f", None).await.unwrap();
    peer.send_data(&exact).await.unwrap();
    peer.send(&Frame::End(end_of(&exact))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert_books(&mut peer, &host.home("ann")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn space_freed_by_a_removed_file_goes_to_the_upload_that_replaces_it() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let mut first = Peer::login(&host, "ann").await.unwrap();
    let mut second = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(first.put("f", &vec![1; 9 * MIB]).await.unwrap().status, Status::Done);
    // The first replaces f. Meanwhile the second removes f and needs its space.
    let content = vec![2; 9 * MIB];
    first.begin_put("f", Some(content.len() as u64)).await.unwrap();
    first.send_data(&content).await.unwrap();
    // Once the staged file exists, the server has read the request.
    let staging = host.home("ann").join(".sshome-staging");
    while std::fs::read_dir(&staging).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    let rm = Request::Rm { path: b"f".to_vec(), recursive: false };
    assert_eq!(second.ask(rm).await.unwrap().status, Status::Done);
    assert_eq!(second.put("g", &vec![3; MIB + 1]).await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(second.put("g", &vec![3; MIB]).await.unwrap().status, Status::Done);
    first.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(first.reply().await.unwrap().status, Status::Done);
    assert_books(&mut first, &host.home("ann")).await;
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_gives_credit_to_one_upload_and_none_while_it_is_open() {
    let host = Host::with_user("ann", "quota = \"50 MiB\"").await.unwrap();
    let content = vec![1; 40 * MIB];
    let mut first = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(first.put("f", &content).await.unwrap().status, Status::Done);
    first.begin_put("f", Some(content.len() as u64)).await.unwrap();
    first.send_data(&content[..MIB]).await.unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    while std::fs::read_dir(&staging).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    let mut second = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(second.put("f", &content).await.unwrap().status, Status::QuotaExceeded);
    first.send_data(&content[MIB..]).await.unwrap();
    first.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(first.reply().await.unwrap().status, Status::Done);
    let mut reader = Peer::login(&host, "ann").await.unwrap();
    reader.send(&Frame::Request(Request::Get { path: b"f".to_vec(), known: 0 })).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Frame::Header(_)));
    assert_eq!(second.put("f", &content).await.unwrap().status, Status::QuotaExceeded);
    while !matches!(reader.next().await.unwrap(), Frame::End(_)) {}
    reader.ask(Request::Pwd).await.unwrap();
    assert_eq!(second.put("f", &content).await.unwrap().status, Status::Done);
    assert_books(&mut second, &host.home("ann")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_accounted_for() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"\nmax-files = 50").await.unwrap();
    let home = host.home("ann");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let p = |path: &str| path.as_bytes().to_vec();
    for request in [
        Request::Mkdir { path: p("d/e/f"), parents: true, mode: None },
        Request::Cp { from: p("d"), to: p("d2"), recursive: true },
    ] {
        assert_eq!(peer.ask(request).await.unwrap().status, Status::Done);
    }
    for (name, size) in [("d/one", 100), ("d/e/two", 200), ("d/e/f/three", 300), ("four", 400)] {
        assert_eq!(peer.put(name, &vec![9; size]).await.unwrap().status, Status::Done);
    }
    assert_books(&mut peer, &home).await;
    for request in [
        Request::Cp { from: p("d"), to: p("copy"), recursive: true },
        Request::Cp { from: p("d"), to: p("copy"), recursive: true },
        Request::Cp { from: p("four"), to: p("d/one"), recursive: false },
        Request::Mv { from: p("four"), to: p("d/e/two") },
        Request::Mv { from: p("d/one"), to: p("copy") },
        Request::Mv { from: p("d/e/f/three"), to: p("d/e/f/three") },
        Request::Rm { path: p("copy/d"), recursive: true },
        Request::Rmdir { path: p("d2/e/f") },
        Request::Rm { path: p("d"), recursive: true },
    ] {
        let name = format!("{request:?}");
        assert_eq!(peer.ask(request).await.unwrap().status, Status::Done, "{name}");
        assert_books(&mut peer, &home).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_entries_is_limited() {
    let host = Host::with_user("ann", "max-files = 3").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let mkdir = |name: &str| Request::Mkdir { path: name.as_bytes().to_vec(), parents: true, mode: None };
    assert_eq!(peer.ask(mkdir("d")).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("d/f", b"1").await.unwrap().status, Status::Done);
    assert_eq!(peer.ask(mkdir("e/f")).await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.put("g", b"").await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.put("d/f", b"replaced").await.unwrap().status, Status::Done);
    assert_books(&mut peer, &host.home("ann")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_links_count_once_and_a_removed_file_until_it_is_closed() {
    let mut host = HostBuilder::new().unwrap().user("ann", "quota = \"50 MiB\"").unwrap().prepare().unwrap();
    let home = host.home("ann");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("a"), [1; 1000]).unwrap();
    std::fs::hard_link(home.join("a"), home.join("b")).unwrap();
    host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(df(&mut peer).await.used, 1000);
    // Replacing one name leaves the content under the other.
    assert_eq!(peer.put("a", &[2; 500]).await.unwrap().status, Status::Done);
    assert_books(&mut peer, &home).await;
    assert_eq!(df(&mut peer).await.used, 1500);
    let rm = |name: &str| Request::Rm { path: name.as_bytes().to_vec(), recursive: false };
    assert_eq!(peer.ask(rm("b")).await.unwrap().status, Status::Done);
    assert_books(&mut peer, &home).await;
    // A reader holds it open, but does not continue to read.
    assert_eq!(peer.put("big", &vec![3; 40 * MIB]).await.unwrap().status, Status::Done);
    let mut reader = Peer::login(&host, "ann").await.unwrap();
    reader.send(&Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 })).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), Frame::Header(_)));
    assert_eq!(peer.ask(rm("big")).await.unwrap().status, Status::Done);
    assert_eq!(df(&mut peer).await.used, 40 * MIB as u64 + 500);
    assert_eq!(peer.put("more", &vec![4; 20 * MIB]).await.unwrap().status, Status::QuotaExceeded);
    while !matches!(reader.next().await.unwrap(), Frame::End(_)) {}
    reader.ask(Request::Pwd).await.unwrap();
    assert_books(&mut peer, &home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_over_the_quota_can_read_delete_and_shrink_files_only() {
    let mut host = HostBuilder::new().unwrap().user("ann", "quota = \"1 KiB\"").unwrap().prepare().unwrap();
    let home = host.home("ann");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("a"), [1; 5000]).unwrap();
    host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("b", b"").await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.put("a", &[2; 5001]).await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.get("a").await.unwrap().unwrap(), [1; 5000]);
    // Then the usage falls.
    assert_eq!(peer.put("a", &[2; 4000]).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("b", b"").await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.get("a").await.unwrap().unwrap(), [2; 4000]);
    let rm = Request::Rm { path: b"a".to_vec(), recursive: false };
    assert_eq!(peer.ask(rm).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("b", b"now").await.unwrap().status, Status::Done);
    assert_books(&mut peer, &home).await;
}
