//! The files of pods, from their first to their last moment. The runtime is the virtual engine: what containers would see is looked at from
//! outside.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A node with files, and the folder that they are in.
async fn node() -> (Cluster, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let files = PodFiles::new(root.path(), Users::OfTheMachine, false).unwrap();
    (Cluster::with_files(Some(files)).await, root)
}

fn pod_folder(root: &tempfile::TempDir, pod: &Pod) -> PathBuf {
    root.path().join("pods").join(&pod.metadata.uid)
}

/// Waits until a file says something.
async fn until_says(file: &Path, text: &str) {
    let start = Instant::now();
    while fs::read_to_string(file).ok().as_deref() != Some(text) {
        assert!(start.elapsed() < Duration::from_secs(60), "{}: {:?}", file.display(), fs::read_to_string(file));
        sleep(Duration::from_millis(1)).await;
    }
}

const VOLUME: &str = "volumes: [{name: v, configMap: {name: c}}]\ncontainers: [{name: web, image: nginx}]";

/// I7 of files: a change of the config map reaches a running pod.
#[tokio::test(start_paused = true)]
async fn a_config_map_is_a_folder_that_follows_it_and_goes_with_the_pod() {
    let (cluster, root) = node().await;
    cluster.api.set_config_map("c", &[("greeting", "hello"), ("gone", "x")]);
    let pod = cluster.create(VOLUME);
    cluster.until_ready().await;
    let volume = pod_folder(&root, &pod).join("volumes/kubernetes.io~configmap/v");
    assert_eq!(fs::read_to_string(volume.join("greeting")).unwrap(), "hello");
    cluster.api.set_config_map("c", &[("greeting", "good evening")]);
    until_says(&volume.join("greeting"), "good evening").await;
    assert!(!volume.join("gone").exists());
    cluster.delete(1);
    cluster.until_gone().await;
    assert!(!pod_folder(&root, &pod).exists(), "no file outlives its pod's object");
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_comes_back_keeps_files_in_step_and_removes_what_is_left_over() {
    let (cluster, root) = node().await;
    cluster.api.set_config_map("c", &[("k", "1")]);
    let pod = cluster.create(VOLUME);
    cluster.until_ready().await;
    let orphan = root.path().join("pods/uid-of-long-ago/volumes/kubernetes.io~empty-dir/v");
    fs::create_dir_all(&orphan).unwrap();
    let cluster = cluster.restart().await;
    cluster.api.set_config_map("c", &[("k", "2")]);
    until_says(&pod_folder(&root, &pod).join("volumes/kubernetes.io~configmap/v/k"), "2").await;
    cluster.until("tidy", |_| !root.path().join("pods/uid-of-long-ago").exists()).await;
    assert!(pod_folder(&root, &pod).exists());
}

#[tokio::test(start_paused = true)]
async fn new_labels_reach_the_files_of_the_downward_api() {
    let (cluster, root) = node().await;
    let items = "items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]";
    let pod = cluster.create(&format!(
        "volumes: [{{name: v, downwardAPI: {{{items}}}}}]\ncontainers: [{{name: web, image: nginx}}]"
    ));
    cluster.until_ready().await;
    let file = pod_folder(&root, &pod).join("volumes/kubernetes.io~downward-api/v/labels");
    until_says(&file, "").await;
    cluster.change(|pod| drop(pod.metadata.labels.insert("app".to_owned(), "web".to_owned())));
    until_says(&file, "app=\"web\"").await;
}

#[tokio::test(start_paused = true)]
async fn a_config_map_that_loses_a_key_is_told_and_the_files_stay() {
    let (cluster, root) = node().await;
    cluster.api.set_config_map("c", &[("k", "1")]);
    let spec = "volumes: [{name: v, configMap: {name: c, items: [{key: k, path: k}]}}]\ncontainers: [{name: web, image: nginx}]";
    let pod = cluster.create(spec);
    cluster.until_ready().await;
    cluster.api.set_config_map("c", &[]);
    let told = "Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap references non-existent config key: k";
    cluster.until("told", |_| cluster.api.events.lock().iter().any(|event| event == told)).await;
    until_says(&pod_folder(&root, &pod).join("volumes/kubernetes.io~configmap/v/k"), "1").await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_the_disk_refuses_is_told_and_made_when_it_can_be() {
    let (cluster, root) = node().await;
    cluster.api.set_config_map("c", &[("k", "1")]);
    let pod = cluster.create(VOLUME);
    cluster.until_ready().await;
    let volume = pod_folder(&root, &pod).join("volumes/kubernetes.io~configmap/v");
    let in_the_way = volume.join("..data_tmp");
    fs::create_dir(&in_the_way).unwrap();
    cluster.api.set_config_map("c", &[("k", "2")]);
    let told = "Warning FailedMount: MountVolume.SetUp failed for volume \"v\" : ";
    cluster.until("told", |_| cluster.api.events.lock().iter().any(|event| event.starts_with(told))).await;
    until_says(&volume.join("k"), "1").await;
    fs::remove_dir(&in_the_way).unwrap();
    until_says(&volume.join("k"), "2").await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_dir_outlives_containers_and_a_finished_pod_keeps_nothing() {
    let (cluster, root) = node().await;
    let pod = cluster.create(
        "restartPolicy: Never\nvolumes: [{name: v, emptyDir: {}}]\ncontainers: [{name: web, image: busybox, command: [sleep, '60']}]",
    );
    cluster.until_ready().await;
    let volume = pod_folder(&root, &pod).join("volumes/kubernetes.io~empty-dir/v");
    fs::write(volume.join("x"), "1").unwrap();
    cluster.until("over", |status| status.is_some_and(|status| status.phase == "Succeeded")).await;
    cluster.until("tidy", |_| !pod_folder(&root, &pod).exists()).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_gets_a_hosts_file_and_a_place_for_its_last_words() {
    let (cluster, root) = node().await;
    let pod = cluster.create(
        "hostAliases: [{ip: 10.1.2.3, hostnames: [db]}]\ncontainers: [{name: web, image: nginx, terminationMessagePath: /dev/termination-log}]",
    );
    cluster.until_ready().await;
    let hosts = fs::read_to_string(pod_folder(&root, &pod).join("etc-hosts")).unwrap();
    assert!(hosts.contains("\tweb\n") && hosts.ends_with("10.1.2.3\tdb\n"), "{hosts}");
    let last_words = pod_folder(&root, &pod).join("containers/web/0");
    fs::write(last_words, "so long").unwrap();
    cluster.change(|pod| pod.spec.containers[0].image = "nginx:1".to_owned());
    let said = |status: Option<&PodStatus>| {
        let last = status?.container_statuses.first()?.last_state.terminated.clone()?;
        Some(last.message)
    };
    cluster.until("told", |status| said(status).is_some_and(|message| message == "so long")).await;
}

#[tokio::test(start_paused = true)]
async fn each_volume_that_fails_is_told_and_after_two_minutes_all_of_them() {
    let cluster = Cluster::new().await;
    cluster.create(
        "volumes: [{name: a, configMap: {name: c}}, {name: b, secret: {secretName: s}}, {name: p, persistentVolumeClaim: {claimName: data}}]\n\
         containers: [{name: web, image: nginx}]",
    );
    sleep(Duration::from_millis(200)).await;
    assert_eq!(
        cluster.events(),
        [
            "Warning FailedMount: MountVolume.SetUp failed for volume \"a\" : configmap \"c\" not found",
            "Warning FailedMount: MountVolume.SetUp failed for volume \"b\" : secret \"s\" not found",
            "Warning FailedMount: MountVolume.SetUp failed for volume \"p\" : persistentvolumeclaim \"data\" not found",
        ]
    );
    sleep(Duration::from_secs(125)).await;
    let all = "Warning FailedMount: Unable to attach or mount volumes: unmounted volumes=[a b p], unattached volumes=[], \
               failed to process volumes=[]: context deadline exceeded";
    assert!(cluster.events().iter().any(|event| event == all));
    let status = cluster.status().unwrap();
    let waiting = status.container_statuses[0].state.waiting.clone().unwrap();
    assert_eq!((status.phase.as_str(), waiting.reason.as_str()), ("Pending", "ContainerCreating"));
}

#[tokio::test(start_paused = true)]
async fn what_a_container_cannot_mount_is_its_config_error() {
    let cluster = Cluster::new().await;
    cluster.create(
        "volumes: [{name: v, emptyDir: {}}]\n\
         containers: [{name: web, image: nginx, volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(NAME)}]}]",
    );
    cluster.until_waiting("CreateContainerConfigError").await;
    let told = "Warning Failed: Error: missing value for NAME".to_owned();
    let events = cluster.events();
    assert!(events.contains(&told), "{events:?}");
}
