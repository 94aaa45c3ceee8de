//! The interfaces: the bridge, and the pair that connects a sandbox to it. Each step may be done again.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;

use futures::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{Error, Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::netlink::is;
use crate::node::cidr::Cidr;

/// Sees to it that the bridge is there, has the range's first address and no other, and is up.
pub(super) async fn bridge(handle: &Handle, name: &str, owner: &str, range: Cidr) -> Result<(), Error> {
    let index = match index_of(handle, name).await? {
        Some(index) => index,
        None => {
            // With an address of its own, a bridge keeps it when its ports come and go, and nobody's ARP entry goes stale.
            let gateway = range.gateway().octets();
            let address = [&[0x02, 0x74], &gateway[..]].concat();
            existing(handle.link().add(LinkBridge::new(name).address(address).build()).execute().await)?;
            index_of(handle, name).await?.ok_or(Error::RequestFailed)?
        }
    };
    let addresses: Vec<AddressMessage> =
        handle.address().get().set_link_index_filter(index).execute().try_collect().await?;
    for address in addresses {
        if address.header.family == AddressFamily::Inet && local(&address) != Some(range.gateway()) {
            handle.address().del(address).execute().await?;
        }
    }
    let add = handle.address().add(index, range.gateway().into(), prefix(range));
    existing(add.execute().await)?;
    handle.link().set(LinkUnspec::new_with_index(index).alias(owner).up().build()).execute().await
}

/// Makes a pair whose one end is a port of the bridge, and the other `eth0` in a namespace.
pub(super) async fn pair(
    handle: &Handle,
    bridge: &str,
    interface: &str,
    alias: &str,
    namespace: &File,
) -> Result<(), Error> {
    // One of the same name is what an attempt that was given up has left.
    delete(handle, interface).await?;
    let bridge = index_of(handle, bridge).await?.ok_or(Error::RequestFailed)?;
    let peer = LinkUnspec::new_with_name("eth0").setns_by_fd(namespace.as_raw_fd()).build();
    let pair = LinkVeth::new(interface, "eth0").set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
    handle.link().add(pair.build()).execute().await?;
    let index = index_of(handle, interface).await?.ok_or(Error::RequestFailed)?;
    let set = LinkUnspec::new_with_index(index).controller(bridge).alias(alias).up();
    handle.link().set(set.build()).execute().await
}

/// In the sandbox's namespace: brings `lo` and `eth0` up, with address and route.
pub(super) async fn inside(handle: &Handle, address: Ipv4Addr, range: Cidr) -> Result<(), Error> {
    for name in ["lo", "eth0"] {
        let index = index_of(handle, name).await?.ok_or(Error::RequestFailed)?;
        if name == "eth0" {
            existing(handle.address().add(index, address.into(), prefix(range)).execute().await)?;
        }
        handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await?;
    }
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(range.gateway()).build();
    existing(handle.route().add(route).execute().await)
}

/// Deletes an interface. One that is not there is deleted.
pub(super) async fn delete(handle: &Handle, name: &str) -> Result<(), Error> {
    let Some(index) = index_of(handle, name).await? else { return Ok(()) };
    match handle.link().del(index).execute().await {
        Err(gone) if is(&gone, Errno::ENODEV) => Ok(()),
        other => other,
    }
}

/// Our bridges whose kubelet's folder is gone, and that no sandbox is connected to: nobody will ever come back for them.
pub(super) async fn orphans(handle: &Handle) -> Result<Vec<String>, Error> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    let controller = |link: &LinkMessage| {
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Controller(index) => Some(*index),
            _ => None,
        })
    };
    let in_use: Vec<u32> = links.iter().filter_map(controller).collect();
    let (mut orphans, idle) = (Vec::new(), |link: &&LinkMessage| !in_use.contains(&link.header.index));
    for link in links.iter().filter(idle) {
        let (mut name, mut owner) = (None, None);
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = Some(text.clone()),
                LinkAttribute::IfAlias(text) => owner = text.strip_prefix(super::OWNER),
                _ => {}
            }
        }
        let folder = owner.and_then(|owner| owner.split_once(", ")).map(|(_, folder)| folder);
        if let (Some(name), Some(folder)) = (name, folder)
            && name.starts_with("tp")
            && !name.starts_with("tpv")
            && !Path::new(folder).exists()
        {
            orphans.push(name);
        }
    }
    Ok(orphans)
}

/// The number of an interface.
pub(super) async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, Error> {
    match handle.link().get().match_name(name).execute().try_next().await {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(missing) if is(&missing, Errno::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The IPv4 address that an interface has.
pub(super) fn local(address: &AddressMessage) -> Option<Ipv4Addr> {
    address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(std::net::IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}

fn prefix(range: Cidr) -> u8 {
    u8::try_from(range.bits()).unwrap_or(32)
}

/// What is there already need not be made.
fn existing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(there) if is(&there, Errno::EEXIST) => Ok(()),
        other => other,
    }
}
