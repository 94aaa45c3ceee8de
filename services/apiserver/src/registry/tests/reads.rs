//! Gets and lists: how fresh, which objects, in what pages.

use super::*;

fn version(version: &str, matching: &str) -> ListOptions {
    ListOptions {
        resource_version: version.to_owned(),
        resource_version_match: matching.to_owned(),
        ..ListOptions::default()
    }
}

async fn names(server: &Server, namespace: &str, options: &ListOptions) -> Vec<String> {
    let list = server.pods().list(&server.ctx, namespace, options).await.unwrap();
    list.objects().map(|pod| pod.metadata.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_every_write_that_was_answered_before_it() {
    let server = Server::start().await;
    for round in 0..50 {
        let name = format!("web-{round:02}");
        server.create(pod(&name)).await;
        assert!(server.get::<Pod>("default", &name).await.is_some());
        assert_eq!(names(&server, "default", &ListOptions::default()).await.len(), round + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_what_another_apiserver_wrote() {
    let first = Server::start().await;
    let second = Server::start_on(first.store.clone()).await;
    first.create(pod("web")).await;
    assert!(second.get::<Pod>("default", "web").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn lists_select_by_namespace_labels_and_fields() {
    let server = Server::start().await;
    server.create(labelled(pod("a"), "app", "web")).await;
    server.create(labelled(pod("b"), "app", "db")).await;
    server.running_pod("c").await;
    let mut elsewhere = labelled(pod("d"), "app", "web");
    elsewhere.metadata.namespace = "default-2".to_owned();
    server.create(elsewhere).await;
    let table = [
        ("default", "", "", "a b c"),
        ("", "", "", "d a b c"),
        ("", "app=web", "", "d a"),
        ("default", "app in (web,db)", "", "a b"),
        ("default", "!app", "", "c"),
        ("", "", "spec.nodeName=node-1", "c"),
        ("", "", "spec.nodeName!=node-1", "d a b"),
        ("", "", "spec.nodeName=", "d a b"),
        ("default", "", "metadata.name=b", "b"),
        ("default", "app=web", "metadata.name=b", ""),
        ("", "", "metadata.namespace=default-2", "d"),
        ("", "", "status.phase=Running,spec.schedulerName=default-scheduler", "c"),
    ];
    for (namespace, labels, fields, expected) in table {
        let found = names(&server, namespace, &selecting(labels, fields)).await.join(" ");
        // Keys are ordered as bytes, as in etcd: "default-2/" comes before "default/".
        assert_eq!(found, expected, "{namespace:?} {labels:?} {fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_list_show_one_revision_whatever_happens_in_between() {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.create(pod(name)).await;
    }
    let mut options = ListOptions { limit: 2, ..ListOptions::default() };
    let first = server.pods().list(&server.ctx, "default", &options).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    server.delete("c", &grace(0)).await.unwrap();
    server.create(pod("bb")).await;
    options.r#continue = first.metadata.r#continue.clone();
    let second = server.pods().list(&server.ctx, "default", &options).await.unwrap();
    options.r#continue = second.metadata.r#continue.clone();
    let third = server.pods().list(&server.ctx, "default", &options).await.unwrap();
    let all = [&first, &second, &third];
    let names: Vec<_> = all.iter().flat_map(|page| page.objects().map(|pod| pod.metadata.name)).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert!(all.iter().all(|page| page.metadata.resource_version == first.metadata.resource_version));
    assert_eq!(third.metadata.r#continue, "");
    assert_eq!(second.metadata.remaining_item_count, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_selector_is_full_if_it_can_be() {
    let server = Server::start().await;
    for number in 0..10 {
        server.create(labelled(pod(&format!("p{number}")), "even", &(number % 2 == 0).to_string())).await;
    }
    let mut options = ListOptions { limit: 3, ..selecting("even=true", "") };
    let first = server.pods().list(&server.ctx, "", &options).await.unwrap();
    server.create(pod("z")).await;
    options.r#continue = first.metadata.r#continue.clone();
    let second = server.pods().list(&server.ctx, "", &options).await.unwrap();
    assert_eq!((first.items.len(), second.items.len()), (3, 2));
    assert_eq!((first.metadata.remaining_item_count, second.metadata.r#continue.as_str()), (None, ""));
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_revision_is_compacted_has_expired() {
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        server.create(pod(name)).await;
    }
    let mut options = ListOptions { limit: 1, ..ListOptions::default() };
    let first = server.pods().list(&server.ctx, "", &options).await.unwrap();
    server.create(pod("d")).await;
    server.get::<Pod>("default", "d").await.unwrap();
    server.store.compact(server.store.current_revision().await.unwrap()).await.unwrap();
    options.r#continue = first.metadata.r#continue;
    let error = server.pods().list(&server.ctx, "", &options).await.unwrap_err();
    assert!(error.is_expired() && error.message.starts_with("The provided continue parameter is too old"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_version_asks_for_a_state_at_least_or_exactly_that_old() {
    let server = Server::start().await;
    let first = server.create(pod("a")).await.metadata.resource_version;
    let second = server.create(pod("b")).await.metadata.resource_version;
    assert_eq!(names(&server, "", &version(&first, "Exact")).await, ["a"]);
    assert_eq!(names(&server, "", &version(&second, "Exact")).await, ["a", "b"]);
    assert_eq!(names(&server, "", &version(&second, "NotOlderThan")).await, ["a", "b"]);
    let error = server.pods().list(&server.ctx, "", &version("999999", "NotOlderThan")).await.unwrap_err();
    assert!(error.message.starts_with("Timeout: Too large resource version: 999999"), "{error}");
    assert!(error.is_retryable());
    server.store.compact(second.parse().unwrap()).await.unwrap();
    server.create(pod("c")).await;
    server.get::<Pod>("default", "c").await.unwrap();
    let error = server.pods().list(&server.ctx, "", &version(&first, "Exact")).await.unwrap_err();
    assert_eq!(error.message, "The resourceVersion for the provided list is too old.");
}

#[tokio::test(start_paused = true)]
async fn the_encoded_list_is_the_list() {
    let server = Server::start().await;
    server.create(pod("a")).await;
    server.create(pod("b")).await;
    let answer = server.pods().list(&server.ctx, "", &ListOptions::default()).await.unwrap();
    let decoded = api::rpc::List::<Pod>::decode(answer.encode()).unwrap();
    assert_eq!(decoded.metadata, answer.metadata);
    assert_eq!(decoded.items, answer.objects().collect::<Vec<_>>());
}
