//! Bad input gets one clear message that names the field or the fix, a non-zero exit, and leaves nothing half-written.

use api::Reason;
use api::core::v1::{ConfigMap, Pod};
use api::meta::v1::ListOptions;
use client::{Api, Client, Kubeconfig};
use testkit::cluster::{Cluster, binary};
use testkit::objects::{deployment, pod};

/// One line, and it names what matters.
fn is_clear(message: &str, names: &[&str]) {
    let lines = message.trim_end().lines().count();
    assert!(lines <= 2, "not one clear message:\n{message}");
    for name in names {
        assert!(message.contains(name), "{name:?} is not named in:\n{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_refused_whole_with_the_field_that_is_wrong() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---\n";
    let pod = |spec: &str| format!("{good}apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {spec}\n");
    let cases: [(&str, String, &[&str]); 6] = [
        ("not YAML", format!("{good}kind: [unclosed\n"), &["YAML", "line"]),
        (
            "an unknown field",
            pod("{containers: [{name: a, image: b, imagee: c}]}"),
            &["unknown field", "spec.containers[0].imagee"],
        ),
        ("a wrong type", pod("{containers: [{name: a, image: b, stdin: 3}]}"), &["spec.containers[0].stdin", "bool"]),
        ("no kind", format!("{good}apiVersion: v1\nmetadata: {{name: web}}\n"), &["kind"]),
        ("an unknown kind", format!("{good}apiVersion: v1\nkind: Podd\nmetadata: {{name: web}}\n"), &["Podd"]),
        (
            "an unknown version",
            format!("{good}apiVersion: apps/v9\nkind: Deployment\nmetadata: {{name: web}}\n"),
            &["apps/v9"],
        ),
    ];
    for (what, manifest, names) in cases {
        let message = cluster.tpctl_with_input(&["apply", "-f", "-"], &manifest).await.failure();
        is_clear(&message, names);
        let maps = Api::<ConfigMap>::namespaced(cluster.client(), "default")
            .list(ListOptions::default())
            .await
            .expect("a list");
        assert!(
            !maps.items.iter().any(|m| m.metadata.name == "first"),
            "{what}: the first document was written all the same"
        );
    }
    let message = cluster.tpctl(&["apply", "-f", "/no/such/file.yaml"]).await.failure();
    is_clear(&message, &["/no/such/file.yaml"]);
    let message = cluster.tpctl(&["scale", "deployment", "none", "--replicas=3"]).await.failure();
    is_clear(&message, &["deployments.apps \"none\" not found"]);
    let message = cluster.tpctl(&["get", "podz"]).await.failure();
    is_clear(&message, &["podz"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apiserver_refuses_what_is_not_valid() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let client = cluster.client();
    let pods = Api::<Pod>::namespaced(client.clone(), "default");

    let refused = pods.create(&pod("Not_A_Name", "nginx")).await.expect_err("a bad name");
    assert_eq!(refused.reason, Reason::Invalid, "{refused}");
    assert_eq!(refused.details.causes[0].field, "metadata.name");
    assert!(refused.message.contains("a lowercase RFC 1123 subdomain must consist of"), "{refused}");

    let refused = pods.create(&pod("web", "")).await.expect_err("no image");
    assert_eq!(
        (refused.reason, &*refused.details.causes[0].field),
        (Reason::Invalid, "spec.containers[0].image"),
        "{refused}"
    );
    assert_eq!(refused.message, "Pod \"web\" is invalid: spec.containers[0].image: Required value");

    let refused = Api::namespaced(client.clone(), "default")
        .create(&deployment("web", "nginx", -1))
        .await
        .expect_err("a negative count");
    assert_eq!((refused.reason, &*refused.details.causes[0].field), (Reason::Invalid, "spec.replicas"), "{refused}");
    assert!(refused.message.contains("must be greater than or equal to 0"), "{refused}");

    let refused = Api::<Pod>::namespaced(client.clone(), "nowhere")
        .create(&Pod {
            metadata: api::meta::v1::ObjectMeta { name: "web".to_owned(), ..Default::default() },
            ..pod("web", "nginx")
        })
        .await
        .expect_err("no such namespace");
    assert_eq!((refused.reason, &*refused.message), (Reason::NotFound, "namespaces \"nowhere\" not found"));

    let mut map = ConfigMap::default();
    map.metadata.name = "large".to_owned();
    map.data.insert("text".to_owned(), "x".repeat(1 << 20));
    map.binary_data.insert("more".to_owned(), vec![0; 600 << 10]);
    let refused = Api::<ConfigMap>::namespaced(client.clone(), "default").create(&map).await.expect_err("too large");
    assert!(matches!(refused.reason, Reason::RequestEntityTooLarge | Reason::Invalid), "{refused:?}");
    let names: Vec<String> = Api::<ConfigMap>::namespaced(client, "default")
        .list(ListOptions::default())
        .await
        .expect("a list")
        .items
        .into_iter()
        .map(|m| m.metadata.name)
        .collect();
    assert!(!names.contains(&"large".to_owned()));
    assert!(pods.list(ListOptions::default()).await.expect("a list").items.is_empty(), "nothing was half-written");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_certificate_or_no_right_is_told_so() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let kubeconfig = |name: &str| {
        Kubeconfig::read(&cluster.state().join(name)).expect("tpctl made it").session(None).expect("it is complete")
    };
    let mut nobody = kubeconfig("admin.kubeconfig");
    nobody.identity = None;
    let refused = Api::<Pod>::namespaced(Client::new(&nobody).expect("a server"), "default")
        .list(ListOptions::default())
        .await
        .expect_err("who is it?");
    assert_eq!(refused.reason, Reason::Unauthorized, "{refused}");
    assert!(refused.message.contains("certificate"), "the message must say what to present: {refused}");

    let scheduler = Client::new(&kubeconfig("scheduler.kubeconfig")).expect("a server");
    let refused = Api::<Pod>::namespaced(scheduler, "default")
        .create(&pod("web", "nginx"))
        .await
        .expect_err("not the scheduler's business");
    assert_eq!(refused.reason, Reason::Forbidden);
    assert!(
        refused.message.contains("User \"system:kube-scheduler\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\""),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_an_etcd_that_is_away_are_named() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let port = cluster.record()["ports"]["apiserver"].as_u64().expect("a port").to_string();
    let pki = cluster.state().join("pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let apiserver = async |port: &str, etcd: &str, more: &[&str]| {
        let run = tokio::process::Command::new(binary("apiserver"))
            .args(["--bind-address", "127.0.0.1", "--secure-port", port, "--etcd-servers", etcd])
            .args([
                "--tls-cert-file",
                &file("apiserver.crt"),
                "--tls-private-key-file",
                &file("apiserver.key"),
                "--client-ca-file",
                &file("ca.crt"),
            ])
            .args(more)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .output();
        let output = tokio::time::timeout(crate::PATIENCE, run).await.expect("it ends").expect("it starts");
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        stderr.lines().last().unwrap_or_default().to_owned()
    };
    let etcd = format!("http://127.0.0.1:{}", cluster.record()["ports"]["etcdClient"]);
    let message = apiserver(&port, &etcd, &[]).await;
    is_clear(&message, &["error:", &port, "in use", "--secure-port"]);
    let message = apiserver("0", "http://127.0.0.1:1", &["--etcd-startup-timeout", "2s"]).await;
    is_clear(&message, &["error:", "etcd", "http://127.0.0.1:1"]);

    // A second cluster on the same ports, and a client with no server.
    let other = tempfile_dir();
    let offset = tokio::process::Command::new(binary("tpctl"))
        .args(["get", "pods", "--kubeconfig", &other.join("none.kubeconfig").display().to_string()])
        .output()
        .await
        .expect("tpctl starts");
    assert!(!offset.status.success());
    is_clear(&String::from_utf8_lossy(&offset.stderr), &["none.kubeconfig"]);
}

fn tempfile_dir() -> std::path::PathBuf {
    std::env::temp_dir()
}
