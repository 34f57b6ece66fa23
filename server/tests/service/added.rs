//! Sessions of a key that may only add files.

use super::world::*;
use sshome_store::memory::{CallKind, Faults};
use sshome_store::{MakeDirectory, SetAttributes};
use sshomed::service::{self, User};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Whoever waits for a call that hangs waits for ever.
const NOT_FOR_EVER: Duration = Duration::from_secs(60);

/// What such a key may do with what it has made: the kind of call that hangs, what it makes first, and the change.
type Finishing = (CallKind, fn(&User, &str), fn(&User, &str));

const FINISHING: [Finishing; 6] = [
    (CallKind::Read, make_file, |user, name| {
        service::rename(user, &path(name), &path(&format!("{name}.renamed"))).unwrap();
    }),
    (CallKind::Make, |_, _| {}, make_directory),
    (CallKind::Rename, make_file, |user, name| {
        service::rename(user, &path(name), &path(&format!("{name}.renamed"))).unwrap();
    }),
    (CallKind::Write, make_file, |user, name| {
        let wanted = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
        service::set_attributes(user, &path(name), true, &wanted).unwrap();
    }),
    (CallKind::Remove, make_file, |user, name| service::remove(user, &path(name)).unwrap()),
    (CallKind::Remove, make_directory, |user, name| service::remove_directory(user, &path(name)).unwrap()),
];

fn make_file(user: &User, name: &str) {
    put(user, name, b"").unwrap();
}

fn make_directory(user: &User, name: &str) {
    service::make_directory(user, &path(name), MakeDirectory::default()).unwrap();
}

/// Releases the calls that hang when it is dropped, so that a test that fails ends.
struct Released<'a>(&'a Faults);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[test]
fn no_session_waits_for_a_call_of_another_session_of_its_key() {
    let world = World::restricted("temporary-names = [\"*\"]", "append-only");
    for (number, (kind, make, finish)) in FINISHING.into_iter().enumerate() {
        let faults = Arc::new(Faults::default());
        let (slow, other) = (world.faulty_user(&faults), world.user());
        let name = format!("slow-{number}");
        make(&other, &name);
        std::thread::scope(|scope| {
            let released = Released(&faults);
            faults.hang_in(kind);
            scope.spawn(|| finish(&slow, &name));
            faults.wait_for_hanging(1);
            let (sender, done) = mpsc::channel();
            let other = &other;
            scope.spawn(move || {
                for (also, (_, make, finish)) in FINISHING.into_iter().enumerate() {
                    let name = format!("other-{number}-{also}");
                    make(other, &name);
                    finish(other, &name);
                }
                sender.send(()).unwrap();
            });
            let waits = done.recv_timeout(NOT_FOR_EVER).is_err();
            drop(released);
            assert!(!waits, "it waits for a call of the kind {kind:?}");
        });
    }
}
