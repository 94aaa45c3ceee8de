//! Two replicas and one lease.

mod replica;

use crate::objects::{Fate, Objects};
use api::Error;
use api::coordination::v1::Lease;
use replica::{Log, Options, Replica};
use std::time::Duration;
use testkit::scripted::ScriptedCall;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn scene() -> (Objects<Lease>, Log) {
    (Objects::new(), Log::default())
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_renews_and_the_other_stands_by() {
    let (leases, log) = scene();
    let a = Replica::start("a", &leases, &log);
    a.works().await;
    let b = Replica::start("b", &leases, &log);
    sleep(60 * SECOND).await;
    let lease = leases.only();
    assert_eq!((lease.metadata.namespace.as_str(), lease.metadata.name.as_str()), ("kube-system", "scheduler"));
    let spec = lease.spec;
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(0)));
    assert!(spec.acquire_time.is_some() && spec.renew_time.is_some());
    assert!(!b.has_worked());
    leases.calls();
    b.ended.abort();
    sleep(20 * SECOND).await;
    assert_eq!(leases.calls(), ["Update"; 10], "a renewal is one call, every two seconds");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_given_back_when_the_work_has_ended_and_no_sooner() {
    let (leases, log) = scene();
    let slow = Options { stops_in: 4 * SECOND, ..Options::of("a") };
    let a = Replica::start_with("a", &leases, &log, slow, |_| Fate::Served);
    a.works().await;
    let b = Replica::start("b", &leases, &log);
    sleep(20 * SECOND).await;
    a.shutdown.trigger();
    let handed_over = b.works().await - a.worked_until();
    assert_eq!(a.ended.await.unwrap(), None);
    assert!(handed_over < 3 * SECOND, "{handed_over:?}");
    let spec = leases.only().spec;
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_stop_keeps_the_lease_from_others_until_it_expires() {
    let (leases, log) = scene();
    let stuck = Options { stops_in: Duration::MAX, ..Options::of("a") };
    let a = Replica::start_with("a", &leases, &log, stuck, |_| Fate::Served);
    a.works().await;
    let b = Replica::start("b", &leases, &log);
    sleep(20 * SECOND).await;
    a.shutdown.trigger();
    let told = Instant::now();
    assert_eq!(a.ended.await.unwrap(), None);
    assert_eq!(told.elapsed(), 5 * SECOND, "shutdown is not held up for ever");
    let taken_over = b.works().await - told;
    assert!(taken_over >= 17 * SECOND && taken_over < 24 * SECOND, "{taken_over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_replaced_as_soon_as_its_lease_expires() {
    let (leases, log) = scene();
    let a = Replica::start("a", &leases, &log);
    a.works().await;
    let b = Replica::start("b", &leases, &log);
    sleep(21 * SECOND).await;
    a.ended.abort();
    let died = Instant::now();
    let vacant = b.works().await - died;
    assert!(vacant > 12 * SECOND && vacant < 18 * SECOND, "{vacant:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_works() {
    for (stops_in, cut_off) in [(Duration::ZERO, false), (4 * SECOND, false), (Duration::MAX, true)] {
        let (leases, log) = scene();
        let a = Replica::start_with("a", &leases, &log, Options { stops_in, ..Options::of("a") }, |_| Fate::Served);
        a.works().await;
        let b = Replica::start("b", &leases, &log);
        sleep(20 * SECOND).await;
        a.network.down();
        let (cut, started) = (Instant::now(), b.works().await);
        let ended = a.worked_until();
        assert!(ended <= started, "both worked for {:?}", ended - started);
        assert!(ended - cut > 7 * SECOND, "it gave up {:?} after it was cut off", ended - cut);
        assert!(started - cut < 18 * SECOND, "{:?}", started - cut);
        if cut_off {
            assert!(ended - cut < 15 * SECOND);
        }
        let lost = a.ended.await.unwrap().expect("it lost the lease");
        assert!(lost.contains("a has lost the lease scheduler: cannot reach apiserver"), "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_break_does_not_cost_the_lease() {
    let (leases, log) = scene();
    let a = Replica::start("a", &leases, &log);
    a.works().await;
    for _ in 0..5 {
        sleep(7 * SECOND).await;
        a.network.down();
        sleep(6 * SECOND).await;
        a.network.up();
    }
    assert!(!a.ended.is_finished());
    assert_eq!(leases.only().spec.lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_do_not_cost_the_lease() {
    let (leases, log) = scene();
    let mut writes = 0;
    let a = Replica::start_with("a", &leases, &log, Options::of("a"), move |call| {
        writes += i32::from(call.method() != "Get");
        // Of the first claim too.
        if call.method() != "Get" && writes % 3 == 1 { Fate::Unanswered } else { Fate::Served }
    });
    a.works().await;
    sleep(120 * SECOND).await;
    assert!(!a.ended.is_finished());
    let spec = leases.only().spec;
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("a"), Some(0)));
    a.shutdown.trigger();
    assert_eq!(a.ended.await.unwrap(), None);
    assert_eq!(leases.only().spec.holder_identity.as_deref(), Some(""), "given back");
}

#[tokio::test(start_paused = true)]
async fn two_replicas_of_one_name_do_not_lead_together() {
    let (leases, log) = scene();
    let named = || Options::of("scheduler");
    let a = Replica::start_with("a", &leases, &log, named(), |_| Fate::Served);
    a.works().await;
    let b = Replica::start_with("b", &leases, &log, named(), |_| Fate::Served);
    sleep(60 * SECOND).await;
    assert!(!b.has_worked());
    a.shutdown.trigger();
    assert!(b.works().await >= a.worked_until());
}

#[tokio::test(start_paused = true)]
async fn the_successor_of_a_crashed_process_takes_its_lease_at_once() {
    let (leases, log) = scene();
    let named = || Options { succeeds_namesake: true, ..Options::of("scheduler") };
    let a = Replica::start_with("a", &leases, &log, named(), |_| Fate::Served);
    a.works().await;
    a.ended.abort();
    let died = Instant::now();
    let b = Replica::start_with("b", &leases, &log, named(), |_| Fate::Served);
    let vacant = b.works().await - died;
    assert!(vacant < SECOND, "{vacant:?}");
    sleep(60 * SECOND).await;
    assert_eq!(leases.only().spec.lease_transitions, Some(1), "and keeps it");
    let stranger = Options { succeeds_namesake: true, ..Options::of("stranger") };
    let c = Replica::start_with("c", &leases, &log, stranger, |_| Fate::Served);
    sleep(60 * SECOND).await;
    assert!(!c.has_worked(), "another's lease is not taken");
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_successor_came_too_early_stops_at_its_next_renewal() {
    let (leases, log) = scene();
    let named = || Options { succeeds_namesake: true, ..Options::of("scheduler") };
    let a = Replica::start_with("a", &leases, &log, named(), |_| Fate::Served);
    a.works().await;
    sleep(60 * SECOND).await;
    let b = Replica::start_with("b", &leases, &log, named(), |_| Fate::Served);
    let taken = b.works().await;
    sleep(60 * SECOND).await;
    assert!(a.worked_until() <= taken + 2 * SECOND, "{:?}", a.worked_until() - taken);
    let error = a.ended.await.expect("it ended").expect("it lost");
    assert!(error.contains("scheduler has lost the lease"), "{error}");
    assert_eq!(leases.only().spec.lease_transitions, Some(1), "it is not taken back");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_took_is_lost_at_once_and_one_deleted_is_made_again() {
    let (leases, log) = scene();
    let a = Replica::start("a", &leases, &log);
    a.works().await;
    leases.clear();
    sleep(5 * SECOND).await;
    let mut lease = leases.only();
    assert_eq!(lease.spec.holder_identity.as_deref(), Some("a"));
    lease.spec.holder_identity = Some("thief".to_owned());
    leases.put(lease);
    let taken = Instant::now();
    let lost = a.ended.await.unwrap().expect("it lost the lease");
    assert!(lost.contains("thief holds it"), "{lost}");
    assert!(taken.elapsed() <= 2 * SECOND, "{:?}", taken.elapsed());
    assert_eq!(leases.only().spec.holder_identity.as_deref(), Some("thief"), "it is not given back");
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_stops_leaves_the_lease_alone() {
    let (leases, log) = scene();
    let a = Replica::start("a", &leases, &log);
    a.works().await;
    let b = Replica::start("b", &leases, &log);
    sleep(5 * SECOND).await;
    b.shutdown.trigger();
    assert_eq!(b.ended.await.unwrap(), None);
    assert_eq!(leases.only().spec.holder_identity.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_stops_in_the_middle_of_its_claim_takes_it_back() {
    let (leases, log) = scene();
    let unanswered = |call: &ScriptedCall| if call.method() == "Create" { Fate::Unanswered } else { Fate::Served };
    let a = Replica::start_with("a", &leases, &log, Options { stops_in: SECOND, ..Options::of("a") }, unanswered);
    sleep(SECOND).await;
    assert_eq!(leases.only().spec.holder_identity.as_deref(), Some("a"), "the claim was carried out");
    a.shutdown.trigger();
    assert_eq!(a.ended.await.unwrap(), None);
    assert_eq!(leases.only().spec.holder_identity.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn a_replica_without_the_right_to_the_lease_keeps_trying() {
    let (leases, log) = scene();
    let mut refusals = 5;
    let a = Replica::start_with("a", &leases, &log, Options { stops_in: SECOND, ..Options::of("a") }, move |_| {
        refusals -= 1;
        if refusals > 0 {
            Fate::Refused(Error::forbidden("coordination.k8s.io", "leases", "", "no"))
        } else {
            Fate::Served
        }
    });
    a.works().await;
}
