use super::*;
use crate::limits::MaxStartups;

const ADDRESS: &str = "192.0.2.1";
const OTHER_ADDRESS: &str = "192.0.2.2";

fn admission(change: impl FnOnce(&mut ConnectionLimits)) -> Arc<AdmissionControl> {
    let mut limits = ConnectionLimits::default();
    change(&mut limits);
    AdmissionControl::new(limits)
}

fn admit(admission: &Arc<AdmissionControl>, peer: &str) -> Result<ConnectionPermit, AdmissionError> {
    admission.admit(peer.parse().unwrap(), Instant::now(), 99)
}

#[test]
fn a_login_or_a_disconnect_frees_an_unauthenticated_connection() {
    let admission = admission(|limits| limits.max_startups = MaxStartups { start: 2, rate: 100, full: 2 });
    let first = admit(&admission, ADDRESS).unwrap();
    let second = admit(&admission, OTHER_ADDRESS).unwrap();
    assert_eq!(admit(&admission, "192.0.2.9").unwrap_err(), AdmissionError::Startups(2));
    assert!(first.logged_in("ann") && first.is_logged_in());
    let third = admit(&admission, ADDRESS).unwrap();
    drop((second, third));
    let both = [admit(&admission, ADDRESS).unwrap(), admit(&admission, OTHER_ADDRESS).unwrap()];
    assert!(admit(&admission, "192.0.2.9").is_err());
    drop(both);
    assert_eq!(admission.counts().unauthenticated, 0);
    drop(first);
    let counts = admission.counts();
    assert!(counts.startups.is_empty() && counts.sources.is_empty() && counts.users.is_empty());
}

/// How many of a hundred throws of the dice refuse another connection from `peer`.
fn refused_in_percent(admission: &Arc<AdmissionControl>, peer: &str) -> usize {
    let peer = peer.parse().unwrap();
    (0..100).filter(|dice| admission.admit(peer, Instant::now(), *dice).is_err()).count()
}

#[test]
fn unauthenticated_connections_of_some_sources_keep_no_other_source_out() {
    let admission = admission(|_| {});
    let open = |peer: &str| (0..100).map_while(|_| admit(&admission, peer).ok()).collect::<Vec<_>>();
    let mut held = open("203.0.113.1");
    assert_eq!(held.len(), 25);
    assert_eq!(admit(&admission, "203.0.113.1").unwrap_err(), AdmissionError::AddressStartups(25));
    assert_eq!(refused_in_percent(&admission, ADDRESS), 0);
    for peer in ["203.0.113.2", "203.0.113.3", "203.0.113.4"] {
        held.extend(open(peer));
    }
    assert_eq!(held.len(), 100);
    // A source with few unauthenticated connections is never dropped at random. One with more is, like those that hold
    // most.
    let few: Vec<_> = (0..5).map(|_| admit(&admission, OTHER_ADDRESS).unwrap()).collect();
    assert_eq!([ADDRESS, OTHER_ADDRESS].map(|peer| refused_in_percent(&admission, peer)), [0, 0]);
    let more = admit(&admission, OTHER_ADDRESS).unwrap();
    assert_eq!(refused_in_percent(&admission, OTHER_ADDRESS), 30 + 70 * 56 / 100);
    drop((few, more));
    for peer in ["203.0.113.5", "203.0.113.6"] {
        held.extend(open(peer));
    }
    assert_eq!((held.len(), refused_in_percent(&admission, ADDRESS)), (150, 100));
    held.pop();
    assert_eq!(refused_in_percent(&admission, ADDRESS), 0);
    // A login frees its slot at once.
    assert!(admit(&admission, ADDRESS).unwrap().logged_in("ann"));
    assert_eq!(refused_in_percent(&admission, ADDRESS), 0);
}

#[test]
fn exempt_sources_have_no_share_and_harm_no_others() {
    let admission = admission(|_| {});
    let held: Vec<_> = (0..100).map(|_| admit(&admission, "127.0.0.1").unwrap()).collect();
    assert_eq!(["127.0.0.1", ADDRESS].map(|peer| refused_in_percent(&admission, peer)), [65, 0]);
    drop(held);
}

#[test]
fn connections_of_an_address_are_limited_unless_it_is_exempt() {
    let admission = admission(|limits| limits.connections_per_address = 2);
    let held = [admit(&admission, "2001:db8::1").unwrap(), admit(&admission, "2001:db8::2").unwrap()];
    assert_eq!(admit(&admission, "2001:db8::3").unwrap_err(), AdmissionError::Address(2));
    assert!(admit(&admission, "2001:db8:0:1::1").is_ok());
    assert!(held[0].logged_in("ann"), "a login changes nothing about it");
    assert!(admit(&admission, "2001:db8::3").is_err());
    drop(held);
    assert!(admit(&admission, "2001:db8::3").is_ok());
    for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
        let held: Vec<_> = (0..5).map(|_| admit(&admission, peer).unwrap()).collect();
        assert_eq!(held.len(), 5);
    }
}

#[test]
fn the_sessions_of_a_user_are_limited() {
    let admission = admission(|limits| limits.sessions_per_user = 1);
    let permits = [ADDRESS, ADDRESS, ADDRESS].map(|peer| admit(&admission, peer).unwrap());
    assert!(permits[0].logged_in("ann") && permits[0].logged_in("ann"));
    assert!(!permits[1].logged_in("ann") && !permits[1].logged_in("ann"));
    assert!(permits[2].logged_in("zcl"));
    let [first, second, _] = permits;
    drop(second);
    assert!(!admit(&admission, ADDRESS).unwrap().logged_in("ann"));
    drop(first);
    assert!(admit(&admission, ADDRESS).unwrap().logged_in("ann"));
}

#[test]
fn failed_connections_are_penalised_and_not_each_key() {
    let (admission, now) = (admission(|_| {}), Instant::now());
    let fail = |peer: &str, too_long| {
        let permit = admit(&admission, peer).unwrap();
        (0..5).for_each(|_| permit.refused());
        permit.end(too_long, now)
    };
    assert_eq!([0; 4].map(|_| fail(ADDRESS, false)), [false, false, false, true]);
    let Err(AdmissionError::Penalty(left)) = admission.admit(ADDRESS.parse().unwrap(), now, 99) else {
        panic!()
    };
    assert_eq!(left, Duration::from_secs(5));
    assert!(admission.admit(ADDRESS.parse().unwrap(), now + left, 99).is_ok());
    assert!(fail("192.0.2.2", true), "one that takes too long is enough");
    assert_eq!([0; 9].map(|_| fail("127.0.0.1", false)), [false; 9]);
    // A login at the end clears the failures of its connection.
    let permit = admit(&admission, "192.0.2.3").unwrap();
    permit.refused();
    permit.logged_in("ann");
    assert!(!permit.end(false, now));
    assert!(
        admission.counts().penalties.refused(permit.source, &admission.limits().penalties, now).is_none()
    );
}
