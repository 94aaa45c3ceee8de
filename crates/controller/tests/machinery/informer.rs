//! What an informer tells its handlers, over every way in which a watch can end.

mod scene;

use api::Error;
use api::core::v1::Pod;
use scene::{Scene, pod};
use std::time::Duration;
use telemetry::Cause;
use testkit::scripted::traceparent;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn what_exists_is_told_with_its_causes_as_replayed_and_then_the_informer_is_synced() {
    let mut scene = Scene::start();
    let watch = scene.server.watch::<Pod>().await;
    assert_eq!(watch.options.send_initial_events, Some(true));
    assert_eq!(watch.options.resource_version_match, "NotOlderThan");
    assert!(watch.options.allow_watch_bookmarks);
    assert_eq!(watch.options.label_selector, "app");
    assert!((300..600).contains(&watch.options.timeout_seconds.unwrap()));
    watch.added(&pod("a", 3));
    watch.bookmark(9);
    scene.hears(&["added a@3"]).await;
    assert!(!scene.informer.is_synced(), "a bookmark on the way is not the end of what exists");
    watch.initial_events_end(10);
    assert!(scene.informer.synced().await);
    watch.modified(&pod("a", 11));
    scene.hears(&["updated a@3..11"]).await;
    let causes = scene.causes.lock();
    let told: Vec<_> = causes.iter().map(|c| (c.revision, c.context.traceparent(), c.replayed)).collect();
    assert_eq!(told, [(3, traceparent(3), true), (11, traceparent(11), false)]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_resumed_from_the_last_revision_without_repeating_anything() {
    let (mut scene, watch) = Scene::filled().await;
    watch.modified(&pod("a", 12));
    watch.deleted(&pod("b", 13));
    scene.hears(&["updated a@3..12", "removed b@13"]).await;
    scene.server.network().cut();
    let watch = scene.resumed("13").await;
    // A server that resumes too early: both are known.
    watch.modified(&pod("a", 12));
    watch.deleted(&pod("b", 13));
    watch.added(&pod("c", 14));
    scene.hears(&["added c@14"]).await;
    // The connection is lost and cannot be made for a while.
    scene.server.network().down();
    tokio::time::sleep(Duration::from_secs(60)).await;
    scene.server.network().up();
    let watch = scene.resumed("14").await;
    watch.modified(&pod("c", 15));
    scene.hears(&["updated c@14..15"]).await;
    assert_eq!(scene.informer.cache().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_moves_the_place_to_resume_from() {
    let (mut scene, watch) = Scene::filled().await;
    watch.bookmark(500);
    drop(watch);
    let watch = scene.resumed("500").await;
    // An older one does not move it back.
    watch.bookmark(400);
    watch.fail(&Error::unavailable("going away"));
    scene.resumed("500").await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_server_ends_in_good_order_is_resumed_at_once() {
    let (mut scene, watch) = Scene::filled().await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let start = Instant::now();
    drop(watch);
    scene.resumed("10").await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_at_once_is_not_flooded() {
    let (mut scene, watch) = Scene::filled().await;
    drop(watch);
    let start = Instant::now();
    for _ in 0..10 {
        drop(scene.resumed("10").await);
    }
    assert!(start.elapsed() > Duration::from_secs(10), "ten watches in {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_expired_revision_fills_again_and_finds_what_was_removed_changed_and_made_anew() {
    let (mut scene, watch) = Scene::filled().await;
    watch.added(&pod("c", 11));
    watch.added(&pod("d", 12));
    scene.hears(&["added c@11", "added d@12"]).await;
    watch.fail(&Error::too_old_resource_version(12, 90));
    let watch = scene.refilled().await;
    assert_eq!(scene.informer.cache().len(), 4, "until the new state is complete the old one stays");
    let mut anew = pod("c", 95);
    anew.metadata.uid = "another".to_owned();
    watch.added(&pod("a", 3));
    watch.added(&anew);
    watch.added(&pod("d", 80));
    scene.hears(&["removed c@11", "added c@95", "updated d@12..80"]).await;
    assert!(scene.informer.is_synced(), "once synced, always synced");
    watch.initial_events_end(100);
    scene.hears(&["removed b@5"]).await;
    let unknown = scene.causes.lock().last().unwrap().clone();
    assert_eq!(unknown, Cause::default(), "who removed it is not known");
    watch.deleted(&pod("a", 101));
    scene.hears(&["removed a@101"]).await;
    drop(watch);
    scene.resumed("101").await;
}

#[tokio::test(start_paused = true)]
async fn a_revision_from_the_future_fills_again() {
    let (mut scene, watch) = Scene::filled().await;
    drop(watch);
    // etcd was restored from a backup: its revisions are lower now.
    let call = scene.server.expect::<Pod>("Watch").await;
    call.refuse(&Error::too_large_resource_version(10, 4, 1));
    let watch = scene.refilled().await;
    watch.added(&pod("b", 2));
    watch.initial_events_end(4);
    scene.hears(&["updated b@5..2", "removed a@3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_filling_that_breaks_starts_from_nothing_and_keeps_what_it_told() {
    let mut scene = Scene::start();
    let watch = scene.server.watch::<Pod>().await;
    watch.added(&pod("a", 3));
    watch.added(&pod("b", 5));
    scene.hears(&["added a@3", "added b@5"]).await;
    watch.fail(&Error::unavailable("the apiserver is shutting down"));
    let watch = scene.refilled().await;
    assert!(!scene.informer.is_synced());
    // Ended in good order, and yet too early.
    watch.added(&pod("a", 3));
    drop(watch);
    let watch = scene.refilled().await;
    watch.added(&pod("a", 4));
    watch.added(&pod("c", 6));
    watch.initial_events_end(10);
    assert!(scene.informer.synced().await);
    scene.hears(&["updated a@3..4", "added c@6", "removed b@5"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_before_the_end_of_what_exists_is_told_as_one() {
    let mut scene = Scene::start();
    let watch = scene.server.watch::<Pod>().await;
    watch.added(&pod("a", 3));
    watch.modified(&pod("a", 11));
    watch.added(&pod("b", 5));
    watch.deleted(&pod("b", 12));
    watch.initial_events_end(12);
    scene.hears(&["added a@3", "updated a@3..11", "added b@5", "removed b@12"]).await;
    let replayed: Vec<bool> = scene.causes.lock().iter().map(|cause| cause.replayed).collect();
    assert_eq!(replayed, [true, false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_known_is_not_told_as_removed() {
    let (scene, watch) = Scene::filled().await;
    watch.deleted(&pod("stranger", 11));
    watch.modified(&pod("b", 12));
    scene.hears(&["updated b@5..12"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_ever_more_seldom_and_found_soon() {
    let mut scene = Scene::start();
    scene.server.network().down();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    scene.server.network().up();
    let start = Instant::now();
    scene.server.watch::<Pod>().await.initial_events_end(1);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(scene.informer.synced().await);
}

#[tokio::test(start_paused = true)]
async fn refused_requests_are_tried_again_no_sooner_than_the_server_asks() {
    let mut scene = Scene::start();
    let start = Instant::now();
    for _ in 0..5 {
        scene.server.expect::<Pod>("Watch").await.refuse(&Error::too_many_requests("busy", 2));
    }
    scene.server.watch::<Pod>().await;
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_server_forgot_to_end_is_ended_by_the_client() {
    let (mut scene, watch) = Scene::filled().await;
    let start = Instant::now();
    watch.abandoned().await;
    assert!(start.elapsed() >= Duration::from_secs(300) && start.elapsed() < Duration::from_secs(700));
    scene.resumed("10").await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_watch_and_whoever_waits_for_it() {
    let mut scene = Scene::start();
    let watch = scene.server.watch::<Pod>().await;
    let waiting = tokio::spawn({
        let informer = scene.informer.clone();
        async move { informer.synced().await }
    });
    scene.shutdown.trigger();
    watch.abandoned().await;
    scene.supervisor.wait(Duration::from_secs(1)).await.unwrap();
    assert!(!waiting.await.unwrap(), "it never was synced");
    assert!(scene.server.is_quiet_for(Duration::from_secs(60)).await);
}
