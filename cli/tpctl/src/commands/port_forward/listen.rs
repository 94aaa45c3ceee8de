//! The local side: on which addresses, and who connects.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::ports::Forward;
use crate::print::out;
use anyhow::{Result, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The pause after a connection could not be accepted.
const OUT_OF_RESOURCES: Duration = Duration::from_millis(100);

/// A connection to a local port.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) forward: Forward,
}

/// Where to listen. Of `localhost` one of its two addresses is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    ip: IpAddr,
    of_localhost: bool,
}

/// Reads `--address`.
pub(super) fn addresses(words: &[String]) -> Result<Vec<Address>> {
    let mut found: Vec<Address> = Vec::new();
    let mut add = |ip, of_localhost| {
        if !found.iter().any(|known| known.ip == ip) {
            found.push(Address { ip, of_localhost });
        }
    };
    for word in words {
        if word == "localhost" {
            add(Ipv4Addr::LOCALHOST.into(), true);
            add(Ipv6Addr::LOCALHOST.into(), true);
        } else if let Ok(ip) = word.parse() {
            add(ip, false);
        } else {
            bail!("{word} is not a valid IP");
        }
    }
    Ok(found)
}

/// Listeners that pass on who connects.
pub(super) struct Listening(JoinSet<Infallible>);

impl Listening {
    /// Accepts for ever. A listener that fails is a bug: it retries what the system refuses.
    pub(super) async fn run(mut self) -> Infallible {
        loop {
            if self.0.join_next().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Takes the ports, and says so. Fails if not one of them can be had.
pub(super) async fn listen(
    forwards: &[Forward],
    addresses: &[Address],
    accepted: &mpsc::Sender<Accepted>,
) -> Result<Listening> {
    let mut accepting = JoinSet::new();
    for forward in forwards {
        match bind(*forward, addresses).await {
            Ok(listeners) => {
                for (listener, forward) in listeners {
                    out(&format!("Forwarding from {} -> {}\n", listener.local_addr()?, forward.remote))?;
                    accepting.spawn(accept(listener, forward, accepted.clone()));
                }
            }
            Err(failures) => {
                let failures = failures.join(" ");
                let local = forward.local;
                eprintln!(
                    "Unable to listen on port {local}: Listeners failed to create with the following errors: [{failures}]"
                );
            }
        }
    }
    if accepting.is_empty() {
        let ports: Vec<_> = forwards.iter().map(|f| format!("{{{} {}}}", f.local, f.remote)).collect();
        bail!("unable to listen on any of the requested ports: [{}]", ports.join(" "));
    }
    Ok(Listening(accepting))
}

/// The listeners of one port, or why there are none.
async fn bind(mut forward: Forward, addresses: &[Address]) -> Result<Vec<(TcpListener, Forward)>, Vec<String>> {
    let mut listeners = Vec::new();
    let (mut failures, mut of_localhost, mut others_failed) = (Vec::new(), None, false);
    for address in addresses {
        let at = SocketAddr::new(address.ip, forward.local);
        match TcpListener::bind(at).await {
            Ok(listener) => {
                // A free port that was found on one address is the one on all.
                forward.local = listener.local_addr().map_or(forward.local, |bound| bound.port());
                listeners.push((listener, forward));
                if address.of_localhost {
                    of_localhost = Some(true);
                }
            }
            Err(error) => {
                let network = if at.is_ipv4() { "tcp4" } else { "tcp6" };
                let why = match error.kind() {
                    ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
                    ErrorKind::PermissionDenied => "bind: permission denied".to_owned(),
                    _ => error.to_string(),
                };
                failures.push(format!("unable to create listener: Error listen {network} {at}: {why}"));
                match address.of_localhost {
                    true => of_localhost = of_localhost.or(Some(false)),
                    false => others_failed = true,
                }
            }
        }
    }
    if others_failed || of_localhost == Some(false) { Err(failures) } else { Ok(listeners) }
}

async fn accept(listener: TcpListener, forward: Forward, accepted: mpsc::Sender<Accepted>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                // Who is not waited for any more is not served.
                let _ = accepted.send(Accepted { stream, forward }).await;
            }
            Err(_) => sleep(OUT_OF_RESOURCES).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_of_localhost_is_enough_and_any_other_must_be_had() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let forward = Forward { local: taken.local_addr().unwrap().port(), remote: 80 };
        let [v4, v6] = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]
            .map(|ip| Address { ip, of_localhost: true });
        assert_eq!(addresses(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap(), [v4, v6]);
        let failures = bind(forward, &[v4]).await.unwrap_err();
        let at = format!("127.0.0.1:{}", forward.local);
        assert_eq!(
            failures,
            [format!("unable to create listener: Error listen tcp4 {at}: bind: address already in use")]
        );
        let strict = Address { of_localhost: false, ..v4 };
        assert!(bind(forward, &[strict]).await.is_err());
        let free = bind(Forward { local: 0, remote: 80 }, &[v4]).await.unwrap();
        assert_ne!(free[0].1.local, 0, "the port that was found is known");
        assert!(addresses(&["example.com".to_owned()]).is_err());
    }
}
