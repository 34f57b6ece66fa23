//! The configurations.

use super::Shape;

const fn shape(
    name: &'static str,
    arguments: &'static [&'static str],
    want: &'static str,
    config: &'static str,
) -> Shape {
    Shape { name, config, arguments, want, alone: None }
}

pub(super) const SHAPES: &[Shape] = &[
    shape(
        "an alias",
        &["nas"],
        "alex@192.0.2.7:2200 key=~/.ssh/nas only",
        "\
# my machines
Host nas
    HostName 192.0.2.7
    User alex
    Port 2200
    IdentityFile ~/.ssh/nas
    IdentitiesOnly yes
",
    ),
    shape(
        "defaults at the end",
        &["nas"],
        "me@nas.example.org:2222 alive=Some(60s)*5",
        "\
Host nas
  HostName %h.example.org

Host *
  ServerAliveInterval 60
  ServerAliveCountMax 5
  Compression yes
  ForwardAgent no
  ControlMaster auto
  ControlPath ~/.ssh/cm-%C
  ControlPersist 10m
",
    ),
    shape(
        "a Mac's keychain",
        &["nas"],
        "me@nas:2222 key=~/.ssh/id_ed25519",
        "\
Host *
  IgnoreUnknown UseKeychain
  UseKeychain yes
  AddKeysToAgent yes
  IdentityFile ~/.ssh/id_ed25519
",
    ),
    shape(
        "a keyword that nobody knows",
        &["nas"],
        "me@nas:22",
        "\
Host *
  UseRoaming no
  FancyVendorOption \"x y\"
  Port 22
",
    ),
    shape(
        "a folder of configurations",
        &["nas"],
        "worker@192.0.2.10:2200",
        "\
Include DIR/config.d/*.conf
Host nas
  User nobody
",
    ),
    shape(
        "a folder for one host",
        &["box"],
        "me@box:22",
        "\
Host nas
  Include DIR/config.d/*
Host box
  Port 22
",
    ),
    shape(
        "a bastion",
        &["db.internal"],
        "me@db.internal:2222 key=~/.ssh/internal through jump@192.0.2.1:2022 key=~/.ssh/bastion",
        "\
Host bastion
  HostName 192.0.2.1
  User jump
  Port 2022
  IdentityFile ~/.ssh/bastion
Host *.internal
  ProxyJump bastion
  IdentityFile ~/.ssh/internal
",
    ),
    shape(
        "two bastions",
        &["nas"],
        "me@nas:2222 through bob@second:22 through me@first:2022",
        "\
Host nas
  ProxyJump first:2022,ssh://bob@second
",
    ),
    shape(
        "a bastion for everything, itself too",
        &["nas"],
        "me@nas:2222 through ops@gate:22",
        "\
Host *
  ProxyJump gate
Host gate
  User ops
",
    ),
    shape(
        "the bastion itself",
        &["gate"],
        "ops@gate:2222",
        "\
Host gate
  User ops
Host *
  ProxyJump gate
",
    ),
    shape(
        "ssh -W and nc",
        &["nas"],
        "me@nas:22 command=ssh -q -W nas:22 \"bastion\" 2>/dev/null",
        "\
Host nas
  Port 22
  ProxyCommand ssh -q -W %h:%p \"bastion\" 2>/dev/null
  ProxyCommand nc %h %p
",
    ),
    shape(
        "no proxy for one host",
        &["nas"],
        "me@nas:2222",
        "\
Host nas
  ProxyCommand none
Host *
  ProxyCommand nc -X 5 -x 127.0.0.1:1080 %h %p
",
    ),
    shape(
        "instances of a cloud",
        &["i-0abc"],
        "ec2-user@i-0abc:2222 command=sh -c \"aws ssm start-session --target i-0abc --parameters 'portNumber=2222'\"",
        "\
Host i-* mi-*
  User ec2-user
  ProxyCommand sh -c \"aws ssm start-session --target %h --parameters 'portNumber=%p'\"
",
    ),
    shape(
        "Match on host and user",
        &["ann@nas"],
        "ann@nas.lan:2222 key=~/.ssh/ann",
        "\
Host nas
  HostName nas.lan
Match host *.lan user ann
  IdentityFile ~/.ssh/ann
Match host *.lan user bob
  IdentityFile ~/.ssh/bob
Match originalhost web,!nas
  Port 9
",
    ),
    Shape {
        name: "Match exec",
        arguments: &["nas"],
        config: "\
Match host nas exec \"test 1 = 1\"
  ProxyJump vpn
Match host nas !exec \"test 1 = 1\"
  Port 9
Host nas
  User alex
",
        want: "alex@nas:2222 through me@vpn:22",
        alone: Some("alex@nas:2222"),
    },
    shape(
        "an agent of a password manager",
        &["nas"],
        "me@nas:2222 agent=~/.ssh/Group Containers/agent.sock",
        "\
Host *
  IdentityAgent \"DIR/Group Containers/agent.sock\"
",
    ),
    shape(
        "old devices",
        &["switch3"],
        "admin@switch3:22 no-keys",
        "\
Host switch?
  User admin
  Port 22
  KexAlgorithms +diffie-hellman-group1-sha1
  HostKeyAlgorithms +ssh-rsa
  PubkeyAcceptedAlgorithms +ssh-rsa
  Ciphers +aes128-cbc
  MACs +hmac-sha1
  PubkeyAuthentication no
",
    ),
    shape(
        "forwarding, terminals and commands",
        &["nas"],
        "me@nas:2222",
        "\
Host nas
  LocalForward 8080 localhost:80
  RemoteForward 9000 localhost:9000
  DynamicForward 1080
  ExitOnForwardFailure yes
  RequestTTY force
  RemoteCommand tmux new -A -s \"main\"
  SetEnv FOO=bar
  SendEnv LANG LC_*
  ForwardX11 yes
  PermitLocalCommand yes
  LocalCommand echo connected
",
    ),
    shape(
        "a lab that changes daily",
        &["10.0.0.5"],
        "root@10.0.0.5:2222 known=/dev/null Accept",
        "\
Host 10.0.0.* !10.0.0.1
  User root
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
",
    ),
    shape(
        "addresses and times",
        &["nas"],
        "me@nas:2222 v4 from=127.0.0.1 within=120s",
        "\
Host nas
  AddressFamily inet
  BindAddress 127.0.0.1
  ConnectTimeout 2m
  ConnectionAttempts 3
  TCPKeepAlive yes
  IPQoS throughput
",
    ),
    shape(
        "certificates, and tokens in names",
        &["ann@nas"],
        "ann@nas.example.org:2222 key=~/.ssh/ann-nas.example.org cert=~/.ssh/nas-cert.pub alias=nas",
        "\
Host nas
  HostName nas.example.org
  HostKeyAlias nas
  IdentityFile ~/.ssh/%r-%h
  CertificateFile ~/.ssh/%n-cert.pub
",
    ),
    shape(
        "Debian's file for the system",
        &["nas"],
        "me@nas:2222",
        "\
Include /etc/ssh/ssh_config.d/*.nosuch

Host *
#   ForwardAgent no
#   Port 22
    SendEnv LANG LC_*
    HashKnownHosts yes
    GSSAPIAuthentication yes
",
    ),
    shape(
        "one method only",
        &["nas"],
        "me@nas:2222 batch no-password no-questions",
        "\
Host *
  PreferredAuthentications publickey
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  BatchMode yes
",
    ),
    shape(
        "a condition of a later version",
        &["nas"],
        "me@nas:2200",
        "\
Match tagged work
  Port 9
Host nas
  Port 2200
  ObscureKeystrokeTiming no
  RequiredRSASize 2048
",
    ),
    shape(
        "equals signs, tabs, carriage returns and a last line without an end",
        &["nas"],
        "ann lee@nas:7 no-agent",
        "Host=nas\r\n\tPort\t=\t7\r\n  User = \"ann lee\"\r\nHost *\r\n  IdentityAgent none",
    ),
];
