//! Other requests of clients, which are refused.

use russh::Channel;
use russh::ChannelMsg;
use russh::client::Msg;
use sshome_e2e::foreign::program;
use sshome_e2e::{Client, Host, Outcome, connect};

/// Whether the next answer grants the request.
async fn granted(channel: &mut Channel<Msg>) -> bool {
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => return true,
            Some(ChannelMsg::Failure) => return false,
            Some(_) => {}
            None => panic!("the channel ended"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_agents_x11_and_environment_are_refused() {
    let host = Host::with_user("ann", "").await.unwrap();
    let connection = connect(&host, "ann").await.unwrap();
    let mut channel = connection.channel_open_session().await.unwrap();
    channel.request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0).await.unwrap();
    assert!(!granted(&mut channel).await, "x11");
    channel.agent_forward(true).await.unwrap();
    assert!(!granted(&mut channel).await, "agent");
    channel.set_env(true, "LD_PRELOAD", "/tmp/x.so").await.unwrap();
    assert!(!granted(&mut channel).await, "environment");
    channel.request_subsystem(true, "netconf").await.unwrap();
    assert!(!granted(&mut channel).await, "subsystem");
    assert!(connection.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1).await.is_err());
    assert!(connection.channel_open_direct_streamlocal("/run/x").await.is_err());
    assert!(connection.tcpip_forward("127.0.0.1", 0).await.is_err());
    // The channel still works.
    channel.exec(true, "put f").await.unwrap();
    assert!(granted(&mut channel).await, "a command");
    // A channel runs only one command.
    channel.exec(true, "pwd").await.unwrap();
    assert!(!granted(&mut channel).await, "a second command");
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_works_without_the_refused_features() {
    let Some(ssh) = program("ssh", "openssh_works_without_the_refused_features") else { return };
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.foreign(ssh);
    command.env("LANG", "C").args(client.openssh_options()).args(["-A", "-X", "-o", "SendEnv=LANG"]);
    let outcome: Outcome =
        command.args(["-p", &client.port(), &client.destination(), "pwd"]).output().unwrap().into();
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "/\n"), "{outcome}");
}
