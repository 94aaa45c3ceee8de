//! The flags of the apiserver, named as Kubernetes names them, and what they mean once they are checked.
//!
//! [`Config`] is what was typed; [`Config::settings`] checks all of it once and loads the files, so that a wrong flag is found
//! before anything starts. Every message names the flag and the fix. Nothing else in this crate reads flags, environment or
//! files.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use service_kit::tls::{ClientAuth, TlsError, TlsServingArgs, server_config};
use store::{EtcdConfig, EtcdTls};

use crate::auth::{TokenFile, TokenFileError};
use crate::registry;

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
        value_parser = parse_duration,
        help_heading = "Storage"
    )]
    pub etcd_startup_timeout: Duration,

    /// How often to have etcd forget old revisions; 0s never.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_ETCD_COMPACTION_INTERVAL",
        default_value = "5m",
        value_parser = parse_duration,
        help_heading = "Storage"
    )]
    pub etcd_compaction_interval: Duration,

    /// How long events are kept.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_EVENT_TTL",
        default_value = "1h",
        value_parser = parse_duration,
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
    pub service_cluster_ip_range: String,

    /// Reading requests served at once; more get "too many requests". Watches do not count. 0 for no limit.
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

/// A checked [`Config`], with its files loaded.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// What to present, and whose clients to believe.
    pub tls: Arc<rustls::ServerConfig>,
    /// The bearer tokens; none without a file.
    pub tokens: TokenFile,
    /// How to open the store.
    pub storage: Storage,
    /// How long to wait for the store at start; `None` for ever.
    pub startup_timeout: Option<Duration>,
    /// What the registries need to know.
    pub registry: registry::Settings,
    /// Where cluster IPs come from.
    pub service_cidr: ServiceCidr,
    /// How many requests to serve at once.
    pub limits: InflightLimits,
}

/// Which store to open.
#[derive(Clone, Debug)]
pub enum Storage {
    /// etcd, reached like this.
    Etcd(Box<EtcdConfig>),
    /// This process's memory.
    Memory,
}

/// Requests served at once, by whether they write; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InflightLimits {
    /// Gets and lists.
    pub reading: Option<usize>,
    /// Everything that may write.
    pub mutating: Option<usize>,
}

/// The range that cluster IPs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    /// The network's address: all bits after the prefix are zero.
    pub network: Ipv4Addr,
    /// Length of the prefix in bits.
    pub prefix: u32,
}

impl ServiceCidr {
    /// The first address after the network's own: that of the Service `kubernetes`.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | 1)
    }
}

/// What is wrong with a flag.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that mutual TLS cannot do without is not named.
    #[error("{flag} is missing: the apiserver serves only TLS; make certificates with `tpctl pki` and name the file")]
    MissingTls {
        /// The flag.
        flag: &'static str,
    },
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token file cannot be used.
    #[error("--token-auth-file: {0}")]
    Tokens(#[from] TokenFileError),
    /// etcd's certificates cannot be used.
    #[error("etcd's certificates: {0}; check --etcd-cafile, --etcd-certfile and --etcd-keyfile")]
    EtcdTls(store::Error),
    /// A value is out of its range.
    #[error("{flag}: {value:?} {problem}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// One of two flags that only work together.
    #[error("{given} is given without {missing}: give both, or neither")]
    Incomplete {
        /// The flag that was given.
        given: &'static str,
        /// The flag that is missing.
        missing: &'static str,
    },
}

impl Config {
    /// Checks everything and loads the files.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let identity = self.tls.identity()?.ok_or(ConfigError::MissingTls { flag: "--tls-cert-file" })?;
        let client_ca = self.tls.client_ca()?.ok_or(ConfigError::MissingTls { flag: "--client-ca-file" })?;
        if self.watch_cache_size == 0 {
            return Err(value(
                "--watch-cache-size",
                "0",
                "leaves no history for watches to resume from; give at least 1",
            ));
        }
        let limit = |n: usize| (n > 0).then_some(n);
        Ok(Settings {
            address: SocketAddr::new(self.bind_address, self.secure_port),
            // Optional, because a client may come with a token instead; a certificate that is presented must be good.
            tls: server_config(&identity, ClientAuth::Optional(&client_ca)),
            tokens: self.token_auth_file.as_deref().map(TokenFile::load).transpose()?.unwrap_or_default(),
            storage: self.storage()?,
            startup_timeout: (!self.etcd_startup_timeout.is_zero()).then_some(self.etcd_startup_timeout),
            registry: registry::Settings {
                history: self.watch_cache_size,
                service_cidr: self.service_cluster_ip_range.clone(),
                compaction_interval: self.etcd_compaction_interval,
                event_ttl: self.event_ttl,
            },
            service_cidr: parse_cidr(&self.service_cluster_ip_range)?,
            limits: InflightLimits {
                reading: limit(self.max_requests_inflight),
                mutating: limit(self.max_mutating_requests_inflight),
            },
        })
    }

    fn storage(&self) -> Result<Storage, ConfigError> {
        let root = self.etcd_prefix.trim_end_matches('/');
        if !root.starts_with('/') {
            return Err(value("--etcd-prefix", &self.etcd_prefix, "must be a path below the root, such as /registry"));
        }
        if self.storage_backend == StorageBackend::Memory {
            return Ok(Storage::Memory);
        }
        let endpoints: Vec<&str> =
            self.etcd_servers.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).collect();
        if endpoints.is_empty() {
            return Err(value("--etcd-servers", "", "names no server; give a URL such as http://127.0.0.1:2379"));
        }
        for url in &endpoints {
            let known = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if known.is_none_or(str::is_empty) {
                return Err(value("--etcd-servers", url, "is no client URL; give one such as http://127.0.0.1:2379"));
            }
        }
        let tls = self.etcd_tls()?;
        if let (true, Some(plain)) = (tls.is_some(), endpoints.iter().find(|url| url.starts_with("http://"))) {
            return Err(value("--etcd-servers", plain, "must begin with https:// because --etcd-cafile is given"));
        }
        Ok(Storage::Etcd(Box::new(EtcdConfig { root: root.to_owned(), tls, ..EtcdConfig::new(endpoints) })))
    }

    fn etcd_tls(&self) -> Result<Option<EtcdTls>, ConfigError> {
        let incomplete = |given, missing| Err(ConfigError::Incomplete { given, missing });
        let identity: Option<(&Path, &Path)> = match (&self.etcd_certfile, &self.etcd_keyfile) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return incomplete("--etcd-certfile", "--etcd-keyfile"),
            (None, Some(_)) => return incomplete("--etcd-keyfile", "--etcd-certfile"),
        };
        match (&self.etcd_cafile, identity) {
            (Some(ca), identity) => EtcdTls::from_files(ca, identity).map(Some).map_err(ConfigError::EtcdTls),
            (None, Some(_)) => incomplete("--etcd-certfile", "--etcd-cafile"),
            (None, None) => Ok(None),
        }
    }
}

fn value(flag: &'static str, value: &str, problem: &'static str) -> ConfigError {
    ConfigError::Value { flag, value: value.to_owned(), problem }
}

/// Go's notation for durations, as far as it is one number and one unit: `500ms`, `60s`, `5m`, `1h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration: give a number and a unit, such as 500ms, 60s, 5m or 1h");
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..unit].parse().map_err(|_| bad())?;
    let millis = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(bad)
}

fn parse_cidr(text: &str) -> Result<ServiceCidr, ConfigError> {
    let bad = |problem| value("--service-cluster-ip-range", text, problem);
    let no_range = "is no range of IPv4 addresses; give one such as 10.96.0.0/16";
    let (network, prefix) = text.split_once('/').ok_or_else(|| bad(no_range))?;
    let network: Ipv4Addr = network.parse().map_err(|_| bad(no_range))?;
    let prefix: u32 = prefix.parse().map_err(|_| bad(no_range))?;
    match prefix {
        0..=29 => {}
        30..=32 => return Err(bad("has no room for Services; give a prefix of at most /29")),
        _ => return Err(bad("has a prefix that is longer than its address")),
    }
    if network.to_bits() & (u32::MAX >> prefix) != 0 {
        return Err(bad("has bits set after its prefix; give the network's own address"));
    }
    Ok(ServiceCidr { network, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Config {
        Config::try_parse_from([&["apiserver"], args].concat()).unwrap()
    }

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

    #[test]
    fn tls_is_not_optional() {
        let error = parse(&[]).settings().err().unwrap().to_string();
        assert!(error.starts_with("--tls-cert-file is missing"), "{error}");
    }

    #[test]
    fn storage_flags_are_checked_by_name() {
        let table: [(&[&str], &str); 6] = [
            (&["--etcd-servers", "localhost:2379"], "--etcd-servers: \"localhost:2379\" is no client URL"),
            (&["--etcd-servers", ","], "--etcd-servers: \"\" names no server"),
            (&["--etcd-prefix", "registry"], "--etcd-prefix: \"registry\" must be a path"),
            (&["--etcd-certfile", "a"], "--etcd-certfile is given without --etcd-keyfile"),
            (&["--etcd-certfile", "a", "--etcd-keyfile", "b"], "--etcd-certfile is given without --etcd-cafile"),
            (&["--etcd-cafile", "/none"], "etcd's certificates: "),
        ];
        for (args, expected) in table {
            let error = parse(args).storage().err().unwrap().to_string();
            assert!(error.starts_with(expected), "{args:?}: {error}");
        }
        assert!(matches!(parse(&["--storage-backend=memory"]).storage(), Ok(Storage::Memory)));
        let Ok(Storage::Etcd(etcd)) = parse(&["--etcd-servers=http://a:1, http://b:2"]).storage() else { panic!() };
        assert_eq!(etcd.endpoints, ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "60", "s", "-1s", "1h30m", "99999999999999999999s", "9999999999999999999m"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_service_range_is_a_network_with_room() {
        let cidr = parse_cidr("10.96.0.0/16").unwrap();
        assert_eq!((cidr.network.to_string().as_str(), cidr.prefix), ("10.96.0.0", 16));
        assert_eq!(cidr.first().to_string(), "10.96.0.1");
        assert!(parse_cidr("0.0.0.0/0").is_ok());
        for bad in ["", "10.96.0.0", "10.96.0.0/33", "10.96.0.1/16", "10.96.0.0/30", "fd00::/108", "x/8", "10.96.0.0/x"]
        {
            let error = parse_cidr(bad).unwrap_err().to_string();
            assert!(error.starts_with("--service-cluster-ip-range: "), "{bad}: {error}");
        }
    }
}
