//! Images as the kubelet asks for them, and the built-in ones as they run.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::runtime::process_engine::network::connect_inside;

fn store(folder: &Path, catalogue: &str) -> ImageStore {
    let quick = "images: {'*': {pull-time: 0, resolve-time: 0}, '*:missing': {pull-error: not found}}";
    let catalogue = Catalogue::default().with(quick).unwrap().with(catalogue).unwrap();
    ImageStore::open(folder, Arc::new(catalogue), None).unwrap()
}

fn spec(image: &str) -> cri::ImageSpec {
    cri::ImageSpec { image: image.to_owned(), ..Default::default() }
}

async fn pull(store: &ImageStore, image: &str) -> Result<String> {
    store.pull(cri::PullImageRequest { image: Some(spec(image)), ..Default::default() }).await
}

fn can_run() -> bool {
    testkit::has("busybox") && testkit::is_root()
}

#[tokio::test]
async fn images_are_pulled_listed_and_removed() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "images: {}");
    assert_eq!(store.status(&spec("nginx")).unwrap(), None, "nothing is there before it is pulled");
    let nginx = pull(&store, "nginx").await.unwrap();
    let busybox = pull(&store, "busybox:v1").await.unwrap();
    assert_eq!(pull(&store, "busybox:1.36").await.unwrap(), busybox, "the same content is the same image");
    assert_ne!(nginx, busybox);
    assert!(nginx.starts_with("sha256:") && nginx.len() == 71, "{nginx}");

    let image = store.status(&spec("nginx:latest")).unwrap().unwrap();
    assert_eq!(image.repo_tags, ["docker.io/library/nginx:latest"]);
    assert_eq!(image.repo_digests, [format!("docker.io/library/nginx@{nginx}")]);
    assert!(image.size > 1 << 20, "{}", image.size);
    let tags = store.status(&spec(&busybox)).unwrap().unwrap().repo_tags;
    assert_eq!(tags, ["docker.io/library/busybox:1.36", "docker.io/library/busybox:v1"]);
    assert_eq!(store.config("nginx").unwrap().stop_signal(), cri::Signal::Sigquit);
    assert_eq!(store.config(&busybox).unwrap().cmd, ["sh"]);
    let used = store.fs_info().unwrap().image_filesystems[0].used_bytes.unwrap().value;
    assert_eq!(used, store.list().unwrap().iter().map(|image| image.size).sum::<u64>());

    // The next life of the kubelet has the same images, with the same ids.
    let next = self::store(folder.path(), "images: {}");
    assert_eq!(next.list().unwrap(), store.list().unwrap());
    next.remove(&spec(&busybox)).unwrap();
    next.remove(&spec(&busybox)).unwrap();
    assert_eq!(next.list().unwrap().len(), 1);
    assert!(!folder.path().join(digits(&busybox)).exists());
    assert_eq!(pull(&next, "busybox").await.unwrap(), busybox, "ids are the content's, whenever it is made");
}

/// S3 and S4: what is not there cannot be pulled, in containerd's words; the catalogue's errors hold here, too.
#[tokio::test]
async fn what_does_not_exist_cannot_be_pulled() {
    if !testkit::has("busybox") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = store(
        folder.path(),
        "images: {'down.example/*': {pull-error: 'dial tcp 10.0.0.9:443: connect: connection refused'}, odd: {inspect-error: cannot look}}",
    );
    for image in ["alpine", "nginx:missing"] {
        let name = ImageName::parse(image).unwrap().canonical();
        let error = pull(&store, image).await.unwrap_err();
        assert!(error.is_not_found());
        let expected = format!(
            "failed to pull and unpack image {name:?}: failed to resolve reference {name:?}: {name}: not found"
        );
        assert_eq!(error.message, expected);
    }
    let error = pull(&store, "down.example/app").await.unwrap_err();
    assert!(error.message.ends_with(": dial tcp 10.0.0.9:443: connect: connection refused"), "{error}");
    assert_eq!(store.status(&spec("odd")).unwrap_err().message, "cannot look");
    assert_eq!(pull(&store, "Bad Name").await.unwrap_err().code, Code::InvalidArgument);
    assert_eq!(store.config("nginx").unwrap_err().message, "failed to resolve image \"nginx\": not found");
    assert!(store.list().unwrap().is_empty());
}

#[tokio::test]
async fn an_unpacked_root_file_system_is_an_image() {
    if !can_run() {
        return;
    }
    let (folder, shop) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(shop.path().join("bin")).unwrap();
    fs::write(shop.path().join("bin/shop"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(shop.path().join("bin/shop"), fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", shop.path().join("link")).unwrap();
    std::os::unix::fs::lchown(shop.path().join("bin"), Some(1000), Some(100_000)).unwrap();
    let entry = format!(
        "images: {{example.com/shop: {{root-fs: {}, command: /bin/shop --open, env: [A=1, B=two words], user: 1000, \
         working-dir: /srv, stop-signal: SIGINT}}}}",
        shop.path().display()
    );
    let store = store(folder.path(), &entry);
    let id = pull(&store, "example.com/shop:2").await.unwrap();
    let config = store.config(&id).unwrap();
    assert_eq!(
        (config.cmd, config.env),
        (vec!["/bin/shop".to_owned(), "--open".to_owned()], vec!["A=1".to_owned(), "B=two words".to_owned()])
    );
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("1000", "/srv"));

    let container = tempfile::tempdir().unwrap();
    let root = store.root(&id, container.path(), 1 << 20).unwrap();
    let layer = container.path().join("layer");
    let about = layer.join("bin/shop").metadata().unwrap();
    assert_eq!((about.uid(), about.mode() & 0o7777), (1 << 20, 0o4755), "the image's root is the pod's");
    let bin = layer.join("bin").metadata().unwrap();
    assert_eq!((bin.uid(), bin.gid()), ((1 << 20) + 1000, (1 << 20) + 65_534), "beyond the range is nobody");
    assert_eq!(fs::read_link(layer.join("link")).unwrap(), Path::new("/etc/shadow"));

    assert_eq!(root.written().unwrap(), (0, 0), "nothing is written yet");
    let deadline = Instant::now() + Duration::from_secs(30);
    // A file system's clock has steps; what is written in the step of the copy counts as copied.
    while root.written().unwrap() == (0, 0) {
        assert!(Instant::now() < deadline, "what a container writes is not counted");
        fs::write(layer.join("new"), [1; 10_000]).unwrap();
    }
    assert!(root.written().unwrap().0 >= 10_000);
    store.remove(&spec(&id)).unwrap();
    assert!(layer.join("bin/shop").exists(), "a container keeps its files");

    let annotations = BTreeMap::from([("sim.traceplane.dev/root-fs".to_owned(), "/etc".to_owned())]);
    let thief = cri::ImageSpec { image: "example.com/any".to_owned(), annotations, ..Default::default() };
    let refused = store.pull(cri::PullImageRequest { image: Some(thief), ..Default::default() }).await.unwrap_err();
    assert_eq!(refused.message, "root-fs: only the image catalogue of the node can say it");
}

/// A container of a built-in image, in a root, network and process namespace of its own.
struct Running {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Running {
    async fn of(image: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("images"), "images: {}");
        let id = pull(&store, image).await.unwrap();
        let config = store.config(&id).unwrap();
        store.root(&id, folder.path(), 0).unwrap();
        let enter = "ifconfig lo up; mount --bind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";
        let child = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "busybox", "sh", "-c", enter])
            .arg(folder.path().join("layer"))
            .args(config.entrypoint.iter().chain(&config.cmd))
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, _folder: folder }
    }

    /// The container's first process, which `unshare` has forked.
    fn pid(&self) -> Pid {
        let pid = self.child.id();
        let children = eventually("it has forked", || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            children.split_whitespace().next().map(str::to_owned)
        });
        Pid::from_raw(children.parse().unwrap())
    }

    fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        connect_inside(self.pid(), port, Duration::from_secs(10))
    }

    /// Runs a command beside it.
    fn exec(&self, command: &[&str]) -> std::process::Output {
        let pid = self.pid().to_string();
        Command::new("nsenter")
            .args(["--target", &pid, "--net", "--mount", "--pid", "--root", "--wd"])
            .args(command)
            // Where images have their programs; a machine may have all of its own in /usr.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = eventually("port 80 is open", || self.connect(80).ok());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: pod\r\nUser-Agent: test\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How it ends, and what it has printed.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let status = eventually("it ends", || self.child.try_wait().unwrap());
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (status.code(), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its first process dies with it, and so all others.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > deadline => panic!("not within a minute: {what}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[tokio::test]
async fn nginx_serves_its_folder_and_leaves_politely() {
    if !can_run() {
        return;
    }
    let mut nginx = Running::of("nginx").await;
    let page = nginx.get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nServer: nginx/"), "{page}");
    assert!(page.contains("Content-Type: text/html\r\n") && page.contains("Welcome to nginx!"), "{page}");
    assert!(nginx.get("/none").starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(nginx.get("/../../../etc/passwd").starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(nginx.exec(&["mkdir", "/usr/share/nginx/html/sub"]).status.success());
    assert!(nginx.get("/sub").contains("\r\nLocation: /sub/\r\n"));
    // A connection that says nothing, as a TCP probe's, disturbs nobody.
    let silent = nginx.connect(80).unwrap();
    assert!(nginx.exec(&["rm", "/usr/share/nginx/html/index.html"]).status.success());
    assert!(nginx.get("/?x=1").starts_with("HTTP/1.1 403 Forbidden\r\n"), "the folder is there, the page is not");
    drop(silent);

    let version = nginx.exec(&["nginx", "-v"]);
    assert!(String::from_utf8_lossy(&version.stderr).starts_with("nginx version: nginx/"));
    assert!(nginx.exec(&["nginx", "-s", "reload"]).status.success());
    assert_eq!(nginx.exec(&["nginx", "-s", "nonsense"]).status.code(), Some(1));
    assert!(nginx.get("/none").starts_with("HTTP/1.1 404"), "it goes on after a reload");
    let quit = nginx.exec(&["/usr/sbin/nginx", "-s", "quit"]);
    // The end of process 1 is the end of all, and may come before that of the command that asked for it.
    assert!(quit.status.success() || quit.status.signal() == Some(9), "{quit:?}");
    let (code, out, err) = nginx.end();
    assert_eq!(code, Some(0), "{err}");
    let line = out.lines().next().unwrap();
    assert!(line.starts_with("127.0.0.1 - - [") && line.contains("] \"GET / HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with(" \"-\" \"test\" \"-\""), "{line}");
    assert!(err.contains("is forbidden") && err.contains("signal 3 (SIGQUIT) received, shutting down"), "{err}");
}

#[tokio::test]
async fn nginx_ends_at_once_when_told_to_terminate() {
    if !can_run() {
        return;
    }
    let mut nginx = Running::of("nginx").await;
    let silent = eventually("port 80 is open", || nginx.connect(80).ok());
    kill(nginx.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(nginx.end().0, Some(0), "an open connection does not keep it");
    drop(silent);
}

#[tokio::test]
async fn goproxy_closes_its_port_without_ending() {
    if !can_run() {
        return;
    }
    let mut proxy = Running::of("gcr.io/google_containers/goproxy:0.1").await;
    let mut stream = eventually("port 8080 is open", || proxy.connect(8080).ok());
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    // Often, because a signal may come at any moment of what the one before has set in motion.
    for _ in 0..30 {
        kill(proxy.pid(), Signal::SIGUSR1).unwrap();
        eventually("port 8080 is closed", || proxy.connect(8080).err());
        kill(proxy.pid(), Signal::SIGUSR2).unwrap();
        eventually("port 8080 is open again", || proxy.connect(8080).ok());
    }
    kill(proxy.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(proxy.end().0, Some(2));
}

#[tokio::test]
async fn pause_waits_until_it_is_told_to_end() {
    if !can_run() {
        return;
    }
    let mut pause = Running::of("registry.k8s.io/pause:3.10").await;
    eventually("it runs", || pause.exec(&["pidof", "pause"]).status.success().then_some(()));
    kill(pause.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(pause.end().0, Some(0));
}
