//! From the command line to a connection: which server, which identity, which namespace.

use crate::failure::Unreachable;
use crate::global::Global;
use crate::objects::{ObjectApi, api_of};
use anyhow::Result;
use api::{KindInfo, Reason};
use client::{Client, Kubeconfig};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long the check may take whether anything listens where the server should be.
const PROBE: Duration = Duration::from_millis(500);

/// What every command about objects works with.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The connection; made at the first call.
    pub(crate) client: Client,
    /// The namespace of what names none.
    pub(crate) namespace: String,
    /// Whether the user asked for that namespace.
    pub(crate) namespace_is_explicit: bool,
    /// What further connections are made with.
    credentials: client::Session,
    /// How long one request may take; `None`: as long as it takes.
    timeout: Option<Duration>,
}

impl Session {
    /// Reads the kubeconfig. Nothing is sent yet.
    pub(crate) fn open(global: &Global) -> Result<Session> {
        let session = Kubeconfig::read(&kubeconfig(global))?.session(global.context.as_deref())?;
        Ok(Session {
            client: Client::new(&session)?,
            namespace: global.namespace.clone().unwrap_or_else(|| session.namespace.clone()),
            namespace_is_explicit: global.namespace.is_some(),
            timeout: global.request_timeout.filter(|timeout| !timeout.is_zero()),
            credentials: session,
        })
    }

    /// Another connection: what flows there and is not read holds up nothing here.
    pub(crate) fn another_client(&self) -> Result<Client> {
        Ok(Client::new(&self.credentials)?)
    }

    /// The objects of a kind.
    pub(crate) fn api(&self, kind: &'static KindInfo) -> Box<dyn ObjectApi> {
        api_of(kind, self.client.clone(), self.timeout)
    }

    /// The namespace in which an object of this kind is looked for: ours, or none for cluster-wide kinds.
    pub(crate) fn namespace_of(&self, kind: &KindInfo) -> &str {
        if kind.namespaced { &self.namespace } else { "" }
    }

    /// Tells a server that is away from one that answers that it cannot do something now, by trying to connect.
    pub(crate) async fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let unavailable = |e: &api::Error| matches!(e.reason, Reason::ServiceUnavailable | Reason::Timeout);
        let Some(refused) = error.downcast_ref::<api::Error>().filter(|e| unavailable(e)) else { return error };
        let Ok(uri) = self.client.server().parse::<http::Uri>() else { return error };
        let (Some(host), port) = (uri.host(), uri.port_u16().unwrap_or(443)) else { return error };
        let connect = TcpStream::connect((host.trim_matches(['[', ']']), port));
        match tokio::time::timeout(PROBE, connect).await {
            Ok(Ok(_)) => error,
            _ => Unreachable { server: self.client.server().to_owned(), why: refused.message.clone() }.into(),
        }
    }
}

/// The namespace of commands that need no server: from the flag, the kubeconfig, or "default".
pub(crate) fn namespace(global: &Global) -> String {
    let configured = || {
        let config = Kubeconfig::read(&kubeconfig(global)).ok()?;
        let name = global.context.as_ref().unwrap_or(&config.current_context);
        let context = config.contexts.iter().find(|context| context.name == *name)?;
        Some(context.content.namespace.clone()).filter(|namespace| !namespace.is_empty())
    };
    global.namespace.clone().or_else(configured).unwrap_or_else(|| "default".to_owned())
}

fn kubeconfig(global: &Global) -> PathBuf {
    global.kubeconfig.clone().unwrap_or_else(|| global.state_dir.join("admin.kubeconfig"))
}

#[cfg(test)]
impl Session {
    /// A session that reaches nobody, for tests of what happens before anything is sent. Needs a runtime.
    pub(crate) fn for_tests(namespace: &str) -> Session {
        use base64::Engine as _;
        use client::{Cluster, Context, Named, User};
        service_kit::tls::install_provider();
        let authority = crate::pki::Authority::generate().expect("an authority can be made");
        let ca = base64::engine::general_purpose::STANDARD.encode(authority.certificate_pem());
        let cluster = Cluster {
            server: "https://127.0.0.1:1".to_owned(),
            certificate_authority_data: Some(ca),
            ..Cluster::default()
        };
        let name = "test".to_owned();
        let context = Context { cluster: name.clone(), user: name.clone(), ..Context::default() };
        let config = Kubeconfig {
            clusters: vec![Named { name: name.clone(), content: cluster }],
            users: vec![Named { name: name.clone(), content: User::default() }],
            contexts: vec![Named { name: name.clone(), content: context }],
            current_context: name,
            ..Kubeconfig::default()
        };
        let session = config.session(None).expect("it is complete");
        Session {
            client: Client::new(&session).expect("the address is valid"),
            namespace: namespace.to_owned(),
            namespace_is_explicit: false,
            credentials: session,
            timeout: None,
        }
    }
}
