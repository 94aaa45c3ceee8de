//! A certificate authority, an apiserver on a free port, and clients of it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use api::core::v1::{Container, Pod};
use api::meta::v1::ObjectMeta;
use api::rpc::{CreateRequest, GetRequest};
use clap::Parser;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use service_kit::Shutdown;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;
use traceplane_apiserver::{Config, Handle, serve};

/// The longest that anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key of a user, who is also `localhost`.
    pub(crate) fn sign(&self, user: &str, group: &str) -> (String, String) {
        self.sign_for(user, group, &["localhost", "127.0.0.1"])
    }

    /// The same for a server of these names.
    pub(crate) fn sign_for(&self, user: &str, group: &str, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A running apiserver; dropping it stops it.
pub(crate) struct Server {
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    handle: Option<Handle>,
    _files: TempDir,
}

impl Server {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further flags. The token `t0ken` is that of alice, of the group `dev`.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let authority = Authority::new();
        let files = TempDir::new().unwrap();
        let (certificate, key) = authority.sign("kube-apiserver", "");
        let path = |name: &str, content: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (kubelet_certificate, kubelet_key) = authority.sign("kube-apiserver-kubelet-client", "");
        let [certificate, key, ca, tokens, kubelet_certificate, kubelet_key] = [
            path("server.crt", &certificate),
            path("server.key", &key),
            path("ca.crt", &authority.pem),
            path("tokens.csv", "t0ken,alice,1,\"dev\"\nr00t,root,2,\"system:masters\"\n"),
            path("kubelet.crt", &kubelet_certificate),
            path("kubelet.key", &kubelet_key),
        ];
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args: Vec<String> =
            ["apiserver", "--bind-address=127.0.0.1", "--secure-port=0", "--storage-backend=memory"]
                .map(str::to_owned)
                .to_vec();
        for (flag, path) in [
            ("--tls-cert-file", &certificate),
            ("--tls-private-key-file", &key),
            ("--client-ca-file", &ca),
            ("--token-auth-file", &tokens),
            ("--kubelet-client-certificate", &kubelet_certificate),
            ("--kubelet-client-key", &kubelet_key),
            ("--kubelet-certificate-authority", &ca),
        ] {
            args.extend([flag.to_owned(), text(path)]);
        }
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let settings = Config::try_parse_from(args).unwrap().settings().unwrap();
        let shutdown = Shutdown::new();
        let handle = serve(settings, shutdown.clone()).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !handle.is_ready().await {
            assert!(Instant::now() < deadline, "the apiserver is not ready after {PATIENCE:?}");
            sleep(Duration::from_millis(10)).await;
        }
        Self { authority, address: handle.address(), shutdown, handle: Some(handle), _files: files }
    }

    /// A client with a certificate of the server's authority.
    pub(crate) async fn client(&self, user: &str, group: &str) -> Client {
        let (certificate, key) = self.authority.sign(user, group);
        self.client_with(ClientTlsConfig::new().identity(Identity::from_pem(certificate, key))).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Client {
        self.client("kubernetes-admin", "system:masters").await
    }

    /// A client that trusts the server and presents what `tls` says.
    pub(crate) async fn client_with(&self, tls: ClientTlsConfig) -> Result<Client, tonic::transport::Error> {
        let tls = tls.ca_certificate(Certificate::from_pem(&self.authority.pem)).domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await?;
        Ok(Client { channel, headers: Vec::new() })
    }

    /// Gives the signal to stop and waits for the end.
    pub(crate) async fn stop(mut self) -> Result<(), traceplane_apiserver::Error> {
        self.shutdown.trigger();
        self.handle.take().unwrap().stopped().await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Calls methods by their path.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    headers: Vec<(&'static str, String)>,
}

impl Client {
    /// The same client, sending one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, MetadataValue::try_from(value).unwrap());
        }
        request
    }

    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        grpc.ready().await.unwrap();
        grpc
    }

    pub(crate) async fn call<A, M>(&self, path: &'static str, message: M) -> Result<A, Status>
    where
        A: Message + Default + 'static,
        M: Message + 'static,
    {
        let path = http::uri::PathAndQuery::from_static(path);
        let mut grpc = self.grpc().await;
        let answer = grpc.unary(self.request(message), path, ProstCodec::<M, A>::default()).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn stream<A, M>(&self, path: &'static str, message: M) -> Result<Streaming<A>, Status>
    where
        A: Message + Default + 'static,
        M: Message + 'static,
    {
        let path = http::uri::PathAndQuery::from_static(path);
        let mut grpc = self.grpc().await;
        let answer = grpc.server_streaming(self.request(message), path, ProstCodec::<M, A>::default()).await?;
        Ok(answer.into_inner())
    }

    /// A stream both ways.
    pub(crate) async fn both_ways<A, M>(
        &self,
        path: &'static str,
        messages: impl futures::Stream<Item = M> + Send + 'static,
    ) -> Result<Streaming<A>, Status>
    where
        A: Message + Default + 'static,
        M: Message + 'static,
    {
        let path = http::uri::PathAndQuery::from_static(path);
        let mut grpc = self.grpc().await;
        let mut request = Request::new(messages);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, MetadataValue::try_from(value).unwrap());
        }
        Ok(grpc.streaming(request, path, ProstCodec::<M, A>::default()).await?.into_inner())
    }

    pub(crate) async fn create_pod(&self, object: Pod) -> Result<Pod, Status> {
        let request = CreateRequest { namespace: "default".into(), object, options: None };
        self.call("/traceplane.v1.Pods/Create", request).await
    }

    pub(crate) async fn get_pod(&self, name: &str) -> Result<Pod, Status> {
        let request = GetRequest { namespace: "default".into(), name: name.into(), options: None };
        self.call("/traceplane.v1.Pods/Get", request).await
    }
}

/// A small valid pod.
pub(crate) fn pod(name: &str) -> Pod {
    let mut pod = Pod { metadata: ObjectMeta { name: name.into(), ..ObjectMeta::default() }, ..Pod::default() };
    pod.spec.containers.push(Container { name: "web".into(), image: "nginx".into(), ..Container::default() });
    pod
}

/// The error that a status tells of.
pub(crate) fn error(status: &Status) -> api::Error {
    service_kit::rpc_status::from_status(status, "apiserver")
}
