//! Compressed frames by hand: who may send them when, and broken ones.

use super::{MIB, noise, text};
use sshome_e2e::{Host, Liar, Peer, end_of, hello};
use sshome_ssh::{CompressionMode, DataCompressor, LinkMeter};
use sshome_wire::frame::DATA_BYTES;
use sshome_wire::{
    COMPRESSED_HEAD_BYTES, COMPRESSIBLE_BYTES, CompressedData, Features, Frame, Header, Hello, MAX_FRAME,
    Payload, Put, Reply, Request, Status, Time,
};
use std::sync::{Arc, Mutex};

/// All features but the one for which a server sends a frame by itself.
const ALL: Features = Features(Features::ALL.0 & !Features::SESSION.0);

/// A compressor that compresses everything.
fn compressor() -> DataCompressor {
    DataCompressor::new(CompressionMode::Always, MAX_FRAME as usize, LinkMeter::default(), Arc::default())
}

fn compressed(data: &[u8]) -> Frame {
    let frame = compressor().compress(data).unwrap().split_off(COMPRESSED_HEAD_BYTES);
    Frame::CompressedData(CompressedData::new(data.len() as u32, frame.into()).unwrap())
}

/// A client that announces these features.
async fn peer(host: &Host, features: Features) -> Peer {
    let mut peer = Peer::silent(host, "ann").await.unwrap();
    peer.send(&Frame::Hello(Hello { features, ..hello() })).await.unwrap();
    peer
}

/// Gets a file: how many frames of plain and of compressed data come, and its content.
async fn get(peer: &mut Peer, path: &str) -> (usize, usize, Vec<u8>) {
    peer.send(&Frame::Request(Request::Get { path: path.into(), known: 0 })).await.unwrap();
    let (mut plain, mut compressed, mut content) = (0, 0, Vec::new());
    loop {
        match peer.next().await.unwrap() {
            Frame::Header(_) => {}
            Frame::Data(data) => {
                plain += 1;
                content.extend_from_slice(&data);
            }
            Frame::CompressedData(data) => {
                compressed += 1;
                content.extend(sshome_ssh::decompress(&data).unwrap());
            }
            Frame::End(end) => {
                assert_eq!((end.status, end.digest), (Status::Done, end_of(&content).digest));
                return (plain, compressed, content);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_compressed_data_only_if_it_announced_it() {
    let host = Host::with_user("ann", "").await.unwrap();
    let text = text(MIB);
    let write = |name: &str, content: &[u8]| std::fs::write(host.home("ann").join(name), content).unwrap();
    write("text", &text);
    let mut old = peer(&host, ALL.without(Features::COMPRESSION)).await;
    let (plain, compressed, content) = get(&mut old, "text").await;
    assert!(plain > 0 && compressed == 0 && content == text);
    let mut new = peer(&host, ALL).await;
    let (plain, compressed, content) = get(&mut new, "text").await;
    assert_eq!((plain, compressed), (0, MIB.div_ceil(COMPRESSIBLE_BYTES)));
    assert!(content == text);
    // What is short, or does not shrink, is sent as it is.
    write("short", &text[..1000]);
    assert_eq!(get(&mut new, "short").await, (1, 0, text[..1000].to_vec()));
    write("noise", &noise(DATA_BYTES, "noise"));
    let (plain, compressed, content) = get(&mut new, "noise").await;
    assert!(plain > 0 && compressed == 0 && content == noise(DATA_BYTES, "noise"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gets_compressed_data_only_if_it_was_announced() {
    let host = Host::with_user("ann", "").await.unwrap();
    let text = text(100_000);
    let mut new = peer(&host, Features::COMPRESSION).await;
    new.begin_put("f", Some(text.len() as u64)).await.unwrap();
    new.send(&compressed(&text[..60_000])).await.unwrap();
    new.send_data(&text[60_000..70_000]).await.unwrap();
    new.send(&compressed(&text[70_000..])).await.unwrap();
    new.send(&Frame::End(end_of(&text))).await.unwrap();
    assert_eq!(new.reply().await.unwrap().status, Status::Done);
    assert!(new.get("f").await.unwrap().unwrap() == text);
    let mut old = peer(&host, Features::default()).await;
    old.begin_put("g", Some(text.len() as u64)).await.unwrap();
    old.send(&compressed(&text)).await.unwrap();
    assert_eq!(violation(&mut old).await, "compressed data from a client that did not announce it");
}

/// The message of the 401 that ends the channel.
async fn violation(peer: &mut Peer) -> String {
    let reply = peer.reply().await.unwrap();
    assert_eq!(reply.status, Status::BadCommand, "{reply}");
    assert_eq!(peer.next_or_end().await.unwrap(), None);
    reply.message
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_compressed_data_ends_the_channel() {
    let host = Host::with_user("ann", "").await.unwrap();
    let Frame::CompressedData(data) = compressed(&text(5000)) else { panic!() };
    let zstd = data.zstd().to_vec();
    // A window of 256 KiB without a length, and one block that repeats a byte.
    let block = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x40, 5 << 3 | 3, 0, 0, b'x'].to_vec();
    // Behind magic number, descriptor and length: a block of the reserved kind.
    let mut reserved = zstd.clone();
    reserved[7] |= 6;
    let cases = [
        (5000, [&zstd[..], b"x"].concat(), "1 bytes behind its end"),
        (5000, zstd.repeat(2), "bytes behind its end"),
        (5000, zstd[..zstd.len() - 1].to_vec(), "does not decompress"),
        (5000, reserved, "does not decompress"),
        (5001, zstd.clone(), "does not decode"),
        (0, block.clone(), "does not decode"),
        (MAX_FRAME + 1, block.clone(), "does not decode"),
        (6, block.clone(), "was announced with 6"),
        (4, block, "does not decompress"),
    ];
    for (length, zstd, words) in cases {
        let mut peer = peer(&host, Features::COMPRESSION).await;
        peer.begin_put("f", None).await.unwrap();
        let body = [&length.to_be_bytes()[..], &zstd].concat();
        let frame = [&(body.len() as u32 + 1).to_be_bytes()[..], &[14], &body].concat();
        peer.send_raw(frame.into()).await.unwrap();
        // A server that took it would answer this. The channel may have ended.
        let _ = peer.send(&Frame::Abort).await;
        let message = violation(&mut peer).await;
        assert!(message.contains(words), "{message}, not {words}");
    }
    // Outside of a put it has no place.
    let mut peer = peer(&host, Features::COMPRESSION).await;
    peer.send(&compressed(&text(5000))).await.unwrap();
    assert_eq!(violation(&mut peer).await, "data outside of a put");
    assert_eq!(
        std::fs::read_dir(host.home("ann"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file())
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_zeros_than_announced_are_refused_like_any_other_data() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let mut peer = peer(&host, Features::COMPRESSION).await;
    let zeros = vec![0; COMPRESSIBLE_BYTES];
    // The size is announced, and exceeded by the fifth frame.
    peer.begin_put("f", Some(MIB as u64)).await.unwrap();
    for _ in 0..100 {
        peer.send(&compressed(&zeros)).await.unwrap();
    }
    let reply = peer.reply().await.unwrap();
    assert_eq!(reply.status, Status::DigestMismatch, "{reply}");
    peer.send(&Frame::Abort).await.unwrap();
    // No size is announced, and the quota is used up, to the byte.
    for (last, status) in [
        (MIB - 4 * COMPRESSIBLE_BYTES, Status::Done),
        (MIB - 4 * COMPRESSIBLE_BYTES + 1, Status::QuotaExceeded),
    ] {
        let content = vec![0; 4 * COMPRESSIBLE_BYTES + last];
        peer.begin_put("f", None).await.unwrap();
        for part in content.chunks(COMPRESSIBLE_BYTES) {
            peer.send(&compressed(part)).await.unwrap();
        }
        if status == Status::Done {
            peer.send(&Frame::End(end_of(&content))).await.unwrap();
        }
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.status, status, "{reply}");
        if status != Status::Done {
            peer.send(&Frame::Abort).await.unwrap();
        }
    }
    let Payload::Usage(usage) = peer.ask(Request::Df).await.unwrap().payload else { panic!() };
    assert_eq!((usage.used, usage.reserved), (MIB as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_compresses_well_can_be_cancelled() {
    const LENGTH: u64 = 2 << 30;
    let host = Host::with_user("ann", "").await.unwrap();
    std::fs::File::create(host.home("ann").join("zeros")).unwrap().set_len(LENGTH).unwrap();
    let mut peer = peer(&host, ALL).await;
    peer.send(&Frame::Request(Request::Get { path: b"zeros".to_vec(), known: 0 })).await.unwrap();
    let mut received = 0;
    loop {
        match peer.next().await.unwrap() {
            Frame::Header(_) => {}
            Frame::CompressedData(data) => {
                if received == 0 {
                    peer.send(&Frame::Cancel).await.unwrap();
                }
                received += data.length() as u64;
            }
            Frame::End(end) => break assert_eq!(end.status, Status::Cancelled),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert!(received < LENGTH / 2, "{received}");
}

/// A server that notes the frames of puts, and answers gets with `data`.
async fn liar(features: Features, data: Frame) -> (Liar, Arc<Mutex<Vec<Frame>>>) {
    let heard = Arc::<Mutex<Vec<Frame>>>::default();
    let noted = Arc::clone(&heard);
    let answer = move |frame| {
        noted.lock().unwrap().push(Frame::clone(&frame));
        match frame {
            Frame::Request(Request::Get { .. }) => {
                let header = Header { size: 5000, offset: 0, mtime: Time::default(), mode: 0o644 };
                vec![Frame::Header(header), data.clone(), Frame::End(end_of(&text(5000)))]
            }
            Frame::Request(Request::Stat { .. }) => vec![Frame::Reply(Reply::new(Status::NoSuchFile, ""))],
            Frame::Request(Request::Put(Put { .. })) | Frame::Data(_) | Frame::CompressedData(_) => vec![],
            _ => vec![Frame::Reply(Reply::new(Status::Done, ""))],
        }
    };
    (Liar::start_with(Hello { features, ..hello() }, answer).await.unwrap(), heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_gets_plain_data_and_a_new_one_compressed() {
    for (features, is_compressed) in
        [(ALL.without(Features::COMPRESSION), false), (Features::COMPRESSION, true)]
    {
        let (liar, heard) = liar(features, Frame::Abort).await;
        let client = liar.client().unwrap();
        std::fs::write(client.work().join("text"), text(5000)).unwrap();
        let mut command = client.command().unwrap();
        let output = command.arg("--compress=zstd").arg(client.destination()).args(["put", "text"]).output();
        assert!(output.unwrap().status.success());
        let heard = heard.lock().unwrap();
        let count = |kind: fn(&Frame) -> bool| heard.iter().filter(|frame| kind(frame)).count();
        assert_eq!(count(|frame| matches!(frame, Frame::CompressedData(_))) > 0, is_compressed);
        assert_eq!(count(|frame| matches!(frame, Frame::Data(_))) > 0, !is_compressed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_broken_or_unwanted_compressed_data_is_left() {
    let whole = compressed(&text(5000));
    let Frame::CompressedData(data) = &whole else { panic!() };
    let cut = CompressedData::new(5000, data.zstd().slice(..data.zstd().len() - 1)).unwrap();
    let cases = [
        (Features::COMPRESSION, "zstd", whole.clone(), None),
        (Features::COMPRESSION, "auto", whole.clone(), None),
        (Features::COMPRESSION, "zstd", Frame::CompressedData(cut), Some("does not decompress")),
        (Features::COMPRESSION, "never", whole.clone(), Some("was not agreed on")),
        (Features::default(), "zstd", whole, Some("was not agreed on")),
    ];
    for (features, mode, data, words) in cases {
        let (liar, _) = liar(features, data).await;
        let client = liar.client().unwrap();
        let mut command = client.command().unwrap();
        let option = format!("--compress={mode}");
        let outcome: sshome_e2e::Outcome =
            command.arg(option).arg(client.destination()).args(["get", "text", "-"]).output().unwrap().into();
        match words {
            None => assert_eq!((outcome.code, &outcome.stdout), (Some(0), &text(5000))),
            Some(words) => {
                assert!(outcome.code != Some(0) && outcome.stdout.is_empty(), "{outcome}");
                assert!(outcome.err().contains("violated the protocol"), "{outcome}");
                assert!(outcome.err().contains(words), "{outcome}");
            }
        }
    }
}
