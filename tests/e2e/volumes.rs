//! I7, S3: config maps and secrets as volumes, from the pod that waits for one to the events about what is missing; and what containers
//! that run for real see of them.

use crate::PATIENCE;
use api::core::v1::{Event, Pod};
use api::meta::v1::{DeleteOptions, ListOptions};
use client::Api;
use testkit::cluster::Cluster;
use testkit::eventually;

const WAITING: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  volumes:
  - name: config
    configMap: {name: settings, items: [{key: color, path: color.txt}]}
  - name: keys
    secret: {secretName: keys}
  containers:
  - name: web
    image: nginx
    volumeMounts: [{name: config, mountPath: /etc/web}, {name: keys, mountPath: /etc/keys}]
";

/// Waits until an event says this about the pod.
async fn told(cluster: &Cluster, pod: &str, message: &str) {
    let events = Api::<Event>::namespaced(cluster.client(), "default");
    let options = ListOptions { field_selector: format!("involvedObject.name={pod}"), ..ListOptions::default() };
    eventually(&format!("{message:?} is told"), PATIENCE, async || {
        let events = events.list(options.clone()).await.map_err(|error| error.to_string())?.items;
        let shown: Vec<String> = events.iter().map(|event| format!("{}: {}", event.reason, event.message)).collect();
        if shown.iter().any(|event| event == message) { Ok(()) } else { Err(shown.join("; ")) }
    })
    .await;
}

async fn ready(pods: &Api<Pod>, name: &str) {
    eventually(&format!("{name} is Ready"), PATIENCE, async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if crate::is(&pod, "Ready") { Ok(()) } else { Err(crate::shown(&[pod])) }
    })
    .await;
}

/// S3: a volume that names a missing config map, then one without the key that is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_what_its_volumes_name_and_goes_on_when_it_appears() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    cluster.tpctl_with_input(&["apply", "-f", "-"], WAITING).await.success();
    let failed =
        |volume: &str, why: &str| format!("FailedMount: MountVolume.SetUp failed for volume {volume:?} : {why}");
    told(&cluster, "web", &failed("config", "configmap \"settings\" not found")).await;
    told(&cluster, "web", &failed("keys", "secret \"keys\" not found")).await;
    let shown = cluster.tpctl(&["get", "pods"]).await.success();
    assert!(shown.contains("ContainerCreating"), "{shown}");

    let apply = async |manifest: &str| cluster.tpctl_with_input(&["apply", "-f", "-"], manifest).await.success();
    apply("apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {k: v}\n").await;
    apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: red}\n").await;
    told(&cluster, "web", &failed("config", "configmap references non-existent config key: color")).await;
    // By now the next attempt is some time off, but the kubelet watches what its pod names.
    apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: red}\n").await;
    ready(&pods, "web").await;
}

/// S3: what a container cannot be given.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_its_variables_says_which_one_is_missing() {
    let cluster = Cluster::start_with(&["--nodes", "1"]).await;
    let pod = |name: &str, env: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: nginx, {env}}}]}}\n"
        )
    };
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: '1'}\n";
    cluster.tpctl_with_input(&["apply", "-f", "-"], settings).await.success();
    let cases = [
        ("no-map", "envFrom: [{configMapRef: {name: none}}]", "Failed: Error: configmap \"none\" not found"),
        ("no-secret", "envFrom: [{secretRef: {name: none}}]", "Failed: Error: secret \"none\" not found"),
        (
            "no-key",
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: b}}}]",
            "Failed: Error: couldn't find key b in ConfigMap default/settings",
        ),
    ];
    for (name, env, _) in cases {
        cluster.tpctl_with_input(&["apply", "-f", "-"], &pod(name, env)).await.success();
    }
    for (name, _, message) in cases {
        told(&cluster, name, message).await;
    }
    let shown = cluster.tpctl(&["get", "pods"]).await.success();
    assert_eq!(shown.matches("CreateContainerConfigError").count(), 3, "{shown}");
}

const OBJECTS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: red}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: s3cret}
";

/// Two containers and a volume of each kind. Their root is not the machine's.
const REAL: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {tier: front}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: config, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys, defaultMode: 256}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: shared, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
  containers:
  - name: writer
    image: busybox
    command: [sh, -c, 'mkdir /out/part; echo written > /out/part/said; sleep 1000']
    env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
    volumeMounts: [{name: shared, mountPath: /out}]
  - name: reader
    image: busybox
    command: [sleep, '1000']
    volumeMounts:
    - {name: config, mountPath: /etc/config}
    - {name: config, mountPath: /etc/color, subPath: color}
    - {name: keys, mountPath: /etc/keys, readOnly: true}
    - {name: about, mountPath: /etc/about}
    - {name: shared, mountPath: /in, readOnly: true}
    - {name: shared, mountPath: /made, subPath: made/by/us}
    - {name: memory, mountPath: /memory}
";

/// I7, P3: real containers read what the API says, share what is theirs, and leave nothing.
#[tokio::test(flavor = "multi_thread")]
async fn containers_that_run_for_real_see_the_files_of_their_volumes() {
    if !testkit::is_root() || !testkit::has("busybox") {
        return;
    }
    let cluster = Cluster::start_with(&["--nodes", "1", "--engine", "process"]).await;
    let pods = Api::<Pod>::namespaced(cluster.client(), "default");
    let apply = async |manifest: &str| cluster.tpctl_with_input(&["apply", "-f", "-"], manifest).await.success();
    apply(OBJECTS).await;
    apply(REAL).await;
    ready(&pods, "web").await;
    let run = async |container: &str, command: &[&str]| {
        cluster.tpctl(&[&["exec", "web", "-c", container, "--"], command].concat()).await
    };
    let read = async |file: &str| run("reader", &["cat", file]).await.success();

    assert_eq!(read("/etc/config/color").await, "red");
    assert_eq!(read("/etc/color").await, "red");
    assert_eq!(read("/etc/keys/token").await, "s3cret");
    assert_eq!(run("reader", &["stat", "-L", "-c", "%u %g %a", "/etc/keys/token"]).await.success(), "0 0 400\n");
    assert_eq!(read("/etc/about/labels").await, "tier=\"front\"");
    assert_eq!(run("writer", &["sh", "-c", "echo $TOKEN"]).await.success(), "s3cret\n");
    eventually("the writer has written", PATIENCE, async || match run("reader", &["cat", "/in/part/said"]).await {
        ran if ran.stdout() == "written\n" => Ok(()),
        ran => Err(ran.stderr()),
    })
    .await;
    for file in ["/in/x", "/etc/keys/x", "/etc/config/x"] {
        let refused = run("reader", &["touch", file]).await.failure();
        assert!(refused.contains("Read-only file system"), "{file}: {refused}");
    }
    run("reader", &["sh", "-c", "echo here > /made/x && echo there > /memory/x"]).await.success();
    assert_eq!(run("writer", &["cat", "/out/made/by/us/x"]).await.success(), "here\n");

    // News reach the files, but not what was mounted alone.
    apply(&OBJECTS.replace("red", "blue")).await;
    apply(&REAL.replace("tier: front", "tier: back")).await;
    let shows = async |file: &str, text: &str| {
        eventually(&format!("{file} says {text:?}"), PATIENCE, async || {
            let found = run("reader", &["cat", file]).await.stdout();
            if found == text { Ok(()) } else { Err(found) }
        })
        .await;
    };
    shows("/etc/config/color", "blue").await;
    shows("/etc/about/labels", "tier=\"back\"").await;
    assert_eq!(read("/etc/color").await, "red");

    assert_eq!(run("reader", &["stat", "-c", "%u %g", "/etc/config/..data"]).await.success(), "0 0\n");

    let folders = cluster.state().join("kubelet/node-1/pods");
    let left = || std::fs::read_dir(&folders).expect("the kubelet's folder of pods").count();
    assert_eq!(left(), 1);
    pods.delete("web", DeleteOptions::default()).await.expect("deleted");
    eventually("nothing is left of the pod", PATIENCE, async || match pods.get("web").await {
        Err(error) if error.is_not_found() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(left(), 0, "its files go before its object does");
    let mounted = || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the machine's mounts");
        mounts.lines().filter(|mount| mount.contains(&*folders.to_string_lossy())).count()
    };
    assert_eq!(mounted(), 0);

    // Paths of the machine take the operator's word.
    apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: host}, spec: {volumes: [{name: etc, hostPath: {path: /etc}}],
           containers: [{name: c, image: busybox, volumeMounts: [{name: etc, mountPath: /host}]}]}}",
    )
    .await;
    let why = "hostPath \"/etc\" is not allowed on this node: it would reach the machine that the pod runs on (its kubelet allows it with \
               --allow-privileged)";
    told(&cluster, "host", &format!("FailedMount: MountVolume.SetUp failed for volume \"etc\" : {why}")).await;

    // A kubelet that ends, and its pods with it, leaves nothing mounted.
    apply(REAL).await;
    ready(&pods, "web").await;
    assert_eq!(mounted(), 3, "memory, and two parts of volumes");
    cluster.stop().await;
    assert_eq!(mounted(), 0);
}
