//! The subsystem `sshome`: our own protocol, as `sshome-wire` describes it.
//!
//! [`converse`] is the one task that owns a channel. It moves bytes and waits; what they mean is the
//! business of `Conversation`, which is synchronous and runs where blocking is allowed, a bounded
//! turn at a time. While a turn runs, what the turn before has put out is on its way, and what the
//! client sends meanwhile is taken in: a side that always reads is never part of a deadlock.

mod conversation;
mod entry;
mod group;
mod inbox;
mod job;
mod output;
mod request;

use super::{Gone, Incoming, Outgoing};
use crate::operations::User;
use bytes::Bytes;
use conversation::{Conversation, Turn};
use inbox::{Flooded, Inbox};
use tokio_util::sync::CancellationToken;

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client ended it, or it was asked to while nothing was under way.
    Well,
    /// The client does not speak the protocol; it was told why.
    Violation,
    /// The client sends and sends, and does not read: nothing could be told to it.
    Flooded,
    /// The client is gone.
    Gone,
    /// A fault of ours: the turn panicked. This channel ends; nothing else is touched.
    Fault,
}

/// Serves one channel until its client ends it, or goes on over another one. `stopping` ends it as soon as
/// nothing is under way.
pub async fn converse(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    user: User,
    stopping: CancellationToken,
) -> Ended {
    let superseded = user.superseded();
    tokio::select! {
        biased;
        () = superseded.cancelled() => Ended::Gone,
        ended = serve(incoming, outgoing, user, stopping) => ended,
    }
}

async fn serve(
    incoming: impl Incoming,
    outgoing: impl Outgoing,
    user: User,
    stopping: CancellationToken,
) -> Ended {
    let mut inbox = Inbox::new(incoming);
    let turns = user.turns();
    let mut conversation = Conversation::new(user);
    let mut ready = conversation.take_output();
    let mut publish = false;
    loop {
        conversation.push(inbox.take());
        inbox.set_backlog(conversation.backlog());
        let sending = !ready.is_empty();
        let turn = async {
            // One user's sessions never hold all the threads that there are for such work.
            let _turn = turns.acquire().await;
            let turn = tokio::task::spawn_blocking(move || {
                let turn = conversation.turn(publish);
                (conversation, turn)
            });
            turn.await
        };
        let both = async { tokio::join!(turn, send(&outgoing, std::mem::take(&mut ready))) };
        let Ok((turn, sent)) = inbox.during(sending, both).await else { return Ended::Flooded };
        let Ok((returned, turn)) = turn else { return Ended::Fault };
        conversation = returned;
        ready = conversation.take_output();
        if sent.is_err() || outgoing.is_closed() {
            return Ended::Gone;
        }
        publish = false;
        if turn == Turn::Busy {
            continue;
        }
        match inbox.during(true, send(&outgoing, std::mem::take(&mut ready))).await {
            Ok(Ok(())) => {}
            Ok(Err(Gone)) => return Ended::Gone,
            Err(Flooded) => return Ended::Flooded,
        }
        match turn {
            Turn::Violation => return Ended::Violation,
            // What is staged is published as soon as the client has nothing more on the way.
            Turn::Staged => publish = !inbox.poll().await,
            Turn::Idle if !inbox.is_open() => return Ended::Well,
            Turn::Idle => {
                tokio::select! {
                    () = inbox.wait() => {}
                    () = stopping.cancelled(), if !conversation.is_receiving() => return Ended::Well,
                }
            }
            Turn::Busy => {}
        }
    }
}

async fn send(outgoing: &impl Outgoing, chunks: Vec<Bytes>) -> Result<(), Gone> {
    for chunk in chunks {
        outgoing.send(chunk).await?;
    }
    Ok(())
}
