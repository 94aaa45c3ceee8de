//! Kubelets and sandbox processes that die, and what becomes of the pods.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::eventually;
use traceplane_kubelet_sim::cri::{self, ContainerState, PodSandboxState};
use traceplane_kubelet_sim::runtime::RuntimeService;

use crate::pod::{Node, PATIENCE, script};

/// D11: what runs is found again as it was, and what ended meanwhile with its own exit code.
#[tokio::test]
async fn a_new_engine_takes_up_what_runs_and_learns_what_ended() {
    let Some(mut it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let stays = it.start(&sandbox, &script("echo up; sleep 3600")).await;
    let go = it.root.path().join("go");
    let ends = it.start(&sandbox, &script("until [ -e /dev/shm/go ]; do sleep 0.1; done; exit 5")).await;
    let never = it.create(&sandbox, &script("true")).await.unwrap();
    it.has_printed(&stays, "up").await;
    let before = (it.status(&stays).await, it.engine.pod_sandbox_status(&sandbox).await.unwrap().status);
    let process = it.leftovers().sandbox_processes();

    // The first engine's connections end as if its kubelet had been killed, before anything ends.
    it.ask(&stays, "echo > /dev/shm/go").await;
    it.restart(Duration::from_secs(60)).await;
    fs::write(go, "").unwrap();
    assert_eq!(it.leftovers().sandbox_processes(), process, "the same process");
    assert_eq!((it.status(&stays).await, it.engine.pod_sandbox_status(&sandbox).await.unwrap().status), before);
    let ended = it.end_of(&ends).await;
    assert_eq!((ended.exit_code, ended.reason.as_str()), (5, "Error"));
    assert_eq!(it.status(&never).await.state(), ContainerState::ContainerCreated);
    it.engine.start_container(&never).await.unwrap();
    assert_eq!(it.end_of(&never).await.exit_code, 0);
    assert_eq!(it.ask(&stays, "echo still here").await.0, "still here\n");
    it.end().await;
}

/// I5: the kubelet sees that the sandbox is lost and begins anew.
#[tokio::test]
async fn a_killed_sandbox_process_takes_its_containers_with_it() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let id = it.start(&sandbox, &script("trap '' TERM; echo up; while :; do sleep 1; done")).await;
    it.has_printed(&id, "up").await;
    for pid in it.leftovers().sandbox_processes() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    let status = it.end_of(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    eventually("the sandbox is not ready", PATIENCE, || async {
        let status = it.engine.pod_sandbox_status(&sandbox).await.unwrap().status.unwrap();
        if status.state() == PodSandboxState::SandboxNotready && status.network.is_none() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    it.leftovers().none().await;
    it.engine.remove_pod_sandbox(&sandbox).await.unwrap();
    it.end().await;
}

#[tokio::test]
async fn pods_whose_kubelet_never_comes_back_end_by_themselves() {
    let Some(mut it) = Node::new().await else { return };
    // Enough for a slow machine to get the container going.
    it.restart(Duration::from_secs(3)).await;
    let sandbox = it.sandbox().await;
    let id = it.start(&sandbox, &script("trap '' TERM; echo up; while :; do sleep 1; done")).await;
    it.has_printed(&id, "up").await;
    it.engine.abandon();
    it.leftovers().none().await;
    it.restart(Duration::from_secs(60)).await;
    let status = it.status(&id).await;
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 137));
    let sandboxes = it.engine.list_pod_sandbox(None).await.unwrap();
    assert_eq!(sandboxes[0].state(), PodSandboxState::SandboxNotready);
    it.end().await;
}

#[tokio::test]
async fn an_orderly_end_of_the_kubelet_ends_its_pods() {
    let Some(mut it) = Node::new().await else { return };
    let id = it.run(&script("sleep 3600")).await;
    it.engine.shutdown().await;
    it.leftovers().none().await;
    it.restart(Duration::from_secs(60)).await;
    assert_eq!(it.status(&id).await.exit_code, 137);
    it.end().await;
}

/// A kubelet may be told to end in the middle of anything.
#[tokio::test]
async fn what_is_begun_while_the_kubelet_ends_is_not_left() {
    for pause in [0, 5, 20, 50, 100, 200] {
        let Some(it) = Node::new().await else { return };
        let (engine, config) = (Arc::clone(&it.engine), Some(it.pod.clone()));
        let pods = tokio::spawn(async move {
            let request = cri::RunPodSandboxRequest { config, runtime_handler: String::new() };
            // Until the engine refuses.
            while let Ok(id) = engine.run_pod_sandbox(request.clone()).await {
                assert!(!id.is_empty());
            }
        });
        tokio::time::sleep(Duration::from_millis(pause)).await;
        it.engine.shutdown().await;
        pods.await.unwrap();
        // The first end must have done it all.
        assert_eq!(it.leftovers().interfaces(), Vec::<String>::new());
        it.leftovers().none().await;
    }
}
