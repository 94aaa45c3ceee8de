//! Hooks: what they can do, and how often.

use super::*;

fn hooked(hook: &str, handler: &str) -> String {
    format!("containers: [{{name: web, image: 'nginx:1', lifecycle: {{{hook}: {handler}}}}}]")
}

/// Each handler, and whether it succeeds in a container that listens on port 80 alone.
const HANDLERS: [(&str, bool); 7] = [
    ("{exec: {command: ['true']}}", true),
    ("{exec: {command: ['false']}}", false),
    ("{httpGet: {port: 80, path: /}}", true),
    ("{httpGet: {port: 81}}", false),
    ("{tcpSocket: {port: 80}}", true),
    ("{tcpSocket: {port: 81}}", false),
    ("{sleep: {seconds: 3}}", true),
];

#[tokio::test(start_paused = true)]
async fn h2_a_post_start_hook_is_a_command_a_request_a_connection_or_a_sleep() {
    for (handler, succeeds) in HANDLERS {
        let cluster = Cluster::new().await;
        cluster.create_with(&hooked("postStart", handler), &[("ports", "80")]);
        if succeeds {
            let took = cluster.until_ready().await;
            assert_eq!(took >= 3_000, handler.contains("sleep"), "{handler}: {took} ms");
        } else {
            cluster.until_waiting("PostStartHookError").await;
        }
        let failed = cluster.reasons().iter().any(|reason| reason == "FailedPostStartHook");
        assert_eq!(failed, !succeeds, "{handler}");
    }
}

#[tokio::test(start_paused = true)]
async fn h3_a_command_that_failed_is_told_with_its_exit_code_and_what_it_printed() {
    let cluster = Cluster::new().await;
    cluster.create(&hooked("postStart", "{exec: {command: [sh, -c, 'echo here; cat /none; exit 3']}}"));
    cluster.until_waiting("PostStartHookError").await;
    let said = "cat: can't open '/none': No such file or directory\\n";
    let expected = format!(
        "failed - error: command 'sh -c echo here; cat /none; exit 3' exited with 3: {}, message: \"here\\n{said}\"",
        said.replace("\\n", "\n")
    );
    let waiting = cluster.status().unwrap().container_statuses[0].state.waiting.clone().unwrap();
    assert!(waiting.message.ends_with(&expected), "{}", waiting.message);
}

#[tokio::test(start_paused = true)]
async fn h2_h3_a_pre_stop_hook_may_be_the_same_and_when_it_fails_stopping_goes_on() {
    for (handler, succeeds) in HANDLERS {
        let cluster = Cluster::new().await;
        cluster.create_with(&hooked("preStop", handler), &[("ports", "80")]);
        cluster.until_ready().await;
        cluster.events();
        cluster.delete(30);
        let took = cluster.until_gone().await;
        assert_eq!(took >= 3_000, handler.contains("sleep"), "{handler}: {took} ms");
        let mut expected = vec!["Killing"];
        expected.extend((!succeeds).then_some("FailedPreStopHook"));
        assert_eq!(cluster.reasons(), expected, "{handler}");
    }
}

#[tokio::test(start_paused = true)]
async fn h4_d11_a_hook_that_was_under_way_when_the_kubelet_died_runs_again_in_a_whole_grace_period() {
    let cluster = Cluster::new().await;
    cluster.create(&hooked("preStop", "{sleep: {seconds: 20}}"));
    cluster.until_ready().await;
    cluster.delete(30);
    sleep(Duration::from_secs(15)).await;
    let cluster = cluster.restart().await;
    let took = cluster.until_gone().await;
    assert!(
        (20_000..20_500).contains(&took),
        "20 s again, which 15 s of the old grace period would not have allowed: {took} ms"
    );
}

#[tokio::test(start_paused = true)]
async fn s4_the_pull_policy_and_its_default_by_tag_decide_what_is_fetched() {
    // Image, policy, and the events of a second pod on a node that has the image.
    let cases = [
        ("nginx", "", &["Pulling", "Pulled"][..]),
        ("nginx:latest", "", &["Pulling", "Pulled"]),
        ("nginx:1", "", &["Pulled"]),
        ("nginx:1", "IfNotPresent", &["Pulled"]),
        ("nginx:1", "Always", &["Pulling", "Pulled"]),
        ("nginx", "IfNotPresent", &["Pulled"]),
        ("nginx", "Never", &["Pulled"]),
    ];
    for (image, policy, expected) in cases {
        let cluster = Cluster::new().await;
        cluster.create(&format!("containers: [{{name: web, image: '{image}'}}]"));
        cluster.until_ready().await;
        let first = cluster.events();
        assert!(
            first.iter().any(|event| event.contains("Successfully pulled image") && event.contains("600ms")),
            "{first:?}"
        );
        cluster.delete(0);
        cluster.until_gone().await;
        cluster.events();
        let policy = if policy.is_empty() { String::new() } else { format!(", imagePullPolicy: {policy}") };
        cluster.create(&format!("containers: [{{name: web, image: '{image}'{policy}}}]"));
        cluster.until_ready().await;
        let reasons = cluster.reasons();
        assert_eq!(
            reasons.strip_suffix(&["Created".to_owned(), "Started".to_owned()]).unwrap(),
            expected,
            "{image}{policy}"
        );
    }
}
