//! Which addresses this machine uses already.

use std::net::Ipv4Addr;

use futures::TryStreamExt;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteType};
use rtnetlink::{Error, Handle, RouteMessageBuilder};

use super::link::{index_of, local};
use crate::node::cidr::Cidr;

/// What uses an address of `range`, in words: an interface or a route. What `ours` has does not count.
pub(super) async fn user_of(handle: &Handle, range: Cidr, ours: &str) -> Result<Option<String>, Error> {
    let ours = index_of(handle, ours).await?;
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await? {
        let index = message.header.index;
        let Some(address) = local(&message).filter(|_| Some(index) != ours) else { continue };
        if Cidr::of(address, message.header.prefix_len.into()).overlaps(range) {
            let name = name_of(handle, index).await?;
            return Ok(Some(format!("interface {name} has {address}/{}", message.header.prefix_len)));
        }
    }
    let mut routes = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    while let Some(route) = routes.try_next().await? {
        let bits = route.header.destination_prefix_length;
        // The default route is a way to everywhere, and uses nothing; addresses were looked at above.
        if bits == 0 || route.header.kind != RouteType::Unicast || route.header.address_family != AddressFamily::Inet {
            continue;
        }
        let (mut destination, mut way) = (None, None);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = Some(*address),
                RouteAttribute::Oif(index) => way = Some(*index),
                _ => {}
            }
        }
        let Some(destination) = destination.filter(|_| way.is_none() || way != ours) else { continue };
        if Cidr::of(destination, bits.into()).overlaps(range) {
            let by = match way {
                Some(index) => format!(" by interface {}", name_of(handle, index).await?),
                None => String::new(),
            };
            return Ok(Some(format!("there is a route to {destination}/{bits}{by}")));
        }
    }
    Ok(None)
}

async fn name_of(handle: &Handle, index: u32) -> Result<String, Error> {
    let link = handle.link().get().match_index(index).execute().try_next().await?;
    let name = link.and_then(|link| {
        link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
    });
    Ok(name.unwrap_or_else(|| format!("number {index}")))
}
