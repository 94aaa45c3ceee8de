//! The flags of the apiserver, named as Kubernetes names them, and what they mean once they are checked.
//!
//! [`Config`] is what was typed; [`Config::settings`] checks all of it once and loads the files, so that a wrong flag is found
//! before anything starts. Every message names the flag and the fix. Nothing else in this crate reads flags, environment or
//! files.

mod settings;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use service_kit::flags;
use service_kit::tls::TlsServingArgs;

use crate::registry::ServiceRange;

pub use settings::{ConfigError, InflightLimits, Settings, Storage};

/// Serves the Kubernetes API: one store of objects, watched by everybody else.
#[derive(Clone, Debug, Parser)]
#[command(name = "apiserver", version, max_term_width = 110)]
pub struct Config {
    /// Address to serve on; 0.0.0.0 for all addresses of the machine.
    #[arg(long, value_name = "ADDRESS", env = "TRACEPLANE_BIND_ADDRESS", default_value_t = ALL_ADDRESSES)]
    pub bind_address: IpAddr,

    /// Port to serve gRPC, health and metrics on; 0 for a free one.
    #[arg(long, value_name = "PORT", env = "TRACEPLANE_SECURE_PORT", default_value_t = 6443)]
    pub secure_port: u16,

    /// Server certificate and the authority of the clients. All three files are required.
    #[command(flatten)]
    pub tls: TlsServingArgs,

    /// File of bearer tokens: one line `token,user,uid,"group1,group2"` per client; uid and groups may be empty.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_TOKEN_AUTH_FILE", help_heading = "Secure serving")]
    pub token_auth_file: Option<PathBuf>,

    /// Where objects are kept. `memory` forgets them at exit and is for tests.
    #[arg(long, value_enum, env = "TRACEPLANE_STORAGE_BACKEND", default_value_t, help_heading = "Storage")]
    pub storage_backend: StorageBackend,

    /// Client URLs of etcd's members, separated by commas.
    #[arg(
        long,
        value_name = "URLS",
        env = "TRACEPLANE_ETCD_SERVERS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:2379",
        help_heading = "Storage"
    )]
    pub etcd_servers: Vec<String>,

    /// What every key begins with. Clusters that share an etcd need different ones.
    #[arg(
        long,
        value_name = "PREFIX",
        env = "TRACEPLANE_ETCD_PREFIX",
        default_value = "/registry",
        help_heading = "Storage"
    )]
    pub etcd_prefix: String,

    /// PEM file with the authority that signed etcd's certificate, for https URLs.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_ETCD_CAFILE", help_heading = "Storage")]
    pub etcd_cafile: Option<PathBuf>,

    /// PEM file with our certificate for etcd, if it wants one.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_ETCD_CERTFILE", help_heading = "Storage")]
    pub etcd_certfile: Option<PathBuf>,

    /// PEM file with the private key of --etcd-certfile.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_ETCD_KEYFILE", help_heading = "Storage")]
    pub etcd_keyfile: Option<PathBuf>,

    /// How long to wait at start for an etcd that does not answer; 0s waits for ever.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_ETCD_STARTUP_TIMEOUT",
        default_value = "60s",
        value_parser = flags::duration_or_zero,
        help_heading = "Storage"
    )]
    pub etcd_startup_timeout: Duration,

    /// How often to have etcd forget old revisions; 0s never.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_ETCD_COMPACTION_INTERVAL",
        default_value = "5m",
        value_parser = flags::duration_or_zero,
        help_heading = "Storage"
    )]
    pub etcd_compaction_interval: Duration,

    /// How long events are kept.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_EVENT_TTL",
        default_value = "1h",
        value_parser = flags::duration_or_zero,
        help_heading = "Storage"
    )]
    pub event_ttl: Duration,

    /// How many changes of each resource to keep for watches that resume.
    #[arg(
        long,
        value_name = "EVENTS",
        env = "TRACEPLANE_WATCH_CACHE_SIZE",
        default_value_t = 10_000,
        help_heading = "Storage"
    )]
    pub watch_cache_size: usize,

    /// IPv4 addresses that Services get their cluster IPs from.
    #[arg(
        long,
        value_name = "CIDR",
        env = "TRACEPLANE_SERVICE_CLUSTER_IP_RANGE",
        default_value = "10.96.0.0/16",
        help_heading = "Services"
    )]
    pub service_cluster_ip_range: ServiceRange,

    /// PEM file with the certificate to show kubelets, as kube-apiserver-kubelet-client. Without it there are no logs, exec, attach and
    /// port-forward.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBELET_CLIENT_CERTIFICATE", help_heading = "Kubelets")]
    pub kubelet_client_certificate: Option<PathBuf>,

    /// PEM file with the private key of --kubelet-client-certificate.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBELET_CLIENT_KEY", help_heading = "Kubelets")]
    pub kubelet_client_key: Option<PathBuf>,

    /// PEM file with the authority that signed the kubelets' serving certificates.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBELET_CERTIFICATE_AUTHORITY", help_heading = "Kubelets")]
    pub kubelet_certificate_authority: Option<PathBuf>,

    /// By which of a node's addresses its kubelet is reached, the most preferred type first.
    #[arg(
        long,
        value_name = "TYPES",
        env = "TRACEPLANE_KUBELET_PREFERRED_ADDRESS_TYPES",
        value_delimiter = ',',
        default_value = "InternalIP,ExternalIP,InternalDNS,ExternalDNS,Hostname",
        help_heading = "Kubelets"
    )]
    pub kubelet_preferred_address_types: Vec<String>,

    /// Reading requests served at once; more get "too many requests". Watches and logs do not count. 0 for no limit.
    #[arg(
        long,
        value_name = "N",
        env = "TRACEPLANE_MAX_REQUESTS_INFLIGHT",
        default_value_t = 400,
        help_heading = "Limits"
    )]
    pub max_requests_inflight: usize,

    /// Writing requests served at once; more get "too many requests". 0 for no limit.
    #[arg(
        long,
        value_name = "N",
        env = "TRACEPLANE_MAX_MUTATING_REQUESTS_INFLIGHT",
        default_value_t = 200,
        help_heading = "Limits"
    )]
    pub max_mutating_requests_inflight: usize,
}

const ALL_ADDRESSES: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where objects are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StorageBackend {
    /// etcd, by its v3 API.
    #[default]
    Etcd3,
    /// This process; for tests.
    Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_can_come_from_the_environment() {
        use clap::CommandFactory;
        for arg in Config::command().get_arguments() {
            let id = arg.get_id().as_str();
            if !matches!(id, "help" | "version") {
                let env = arg.get_env().unwrap_or_else(|| panic!("--{id} has no env"));
                assert_eq!(env.to_str().unwrap(), format!("TRACEPLANE_{}", id.to_uppercase()));
            }
        }
    }
}
