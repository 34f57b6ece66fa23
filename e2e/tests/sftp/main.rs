//! The subsystem `sftp`, packet by packet.

mod escapes;
mod extensions;
mod hostile;
mod packets;
mod pipeline;
mod quota;
mod uploads;

use bytes::Bytes;

fn b(name: &'static str) -> Bytes {
    Bytes::from_static(name.as_bytes())
}
