//! Messages to the service manager, and the unit.

use super::*;

/// The message of a service manager's socket.
fn told(manager: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = manager.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn the_service_manager_is_notified_of_start_reload_and_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let name = format!("sshomed-e2e-{:016x}", rand::random::<u64>());
    // A confined server cannot connect to abstract sockets, but it opened this one before.
    for (socket, address) in [
        (path.display().to_string(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).unwrap()),
    ] {
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
        let mut program = host.start_apart_as(|command| _ = command.env("NOTIFY_SOCKET", &socket)).unwrap();
        assert_eq!(told(&manager), "READY=1\nSTATUS=serving 1 user");
        edit(&host, |text| text + &user(&host, "bob", ""));
        // It may notice the change before it is asked.
        let _done = reload(&host);
        let reloading = told(&manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(since.parse::<u64>().unwrap() > 0);
        assert_eq!(told(&manager), "READY=1\nSTATUS=serving 2 users");
        edit(&host, |text| text + "quota = -1\n");
        assert_eq!(reload(&host).code, Some(1));
        let status = loop {
            let message = told(&manager);
            if message.contains("stay in force") {
                break message;
            }
        };
        assert!(status.starts_with("READY=1\nSTATUS=") && status.lines().count() == 2, "{status}");
        program.ask_to_end().unwrap();
        assert_eq!(program.end().unwrap(), Some(0));
        while told(&manager) != "STOPPING=1\nSTATUS=ending" {}
    }
}

#[test]
fn the_unit_is_valid_and_restrictive() {
    let Some(analyze) = foreign::program("systemd-analyze", "the_unit_is_valid_and_restrictive") else {
        return;
    };
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc/systemd");
    let [text, of_user] =
        ["sshomed.service", "user/sshomed.service"].map(|unit| fs::read_to_string(units.join(unit)).unwrap());
    // It would forbid openat2.
    assert!(
        [&text, &of_user].iter().all(|text| !text.contains("\nRestrictSUIDSGID=yes")),
        "{text}\n{of_user}"
    );
    // The installation path may not exist.
    let text = text.replace("/usr/local/bin/sshomed", binary("sshomed").unwrap().to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("sshomed.service");
    fs::write(&unit, text).unwrap();
    let run = |arguments: &[&str]| -> Outcome {
        Command::new(&analyze).args(arguments).arg(&unit).output().unwrap().into()
    };
    let verified = run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified}");
    // 2.0 on a scale where 10 is a service without restrictions.
    let exposed = run(&["security", "--offline=true", "--threshold=20"]);
    assert_eq!(exposed.code, Some(0), "{exposed}");
}
