//! From what a client presents to a user.
//!
//! A client certificate counts first: TLS has verified it, its common name is the user, its organizations are the groups. Without
//! one, a bearer token is looked up. Whoever presents neither is nobody; a token that is not known is an error, not nobody,
//! so that a mistyped token is noticed.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use service_kit::tls::PeerIdentity;

use super::{AUTHENTICATED, TokenFile};
use crate::request::UserInfo;

/// Finds out who asks.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    tokens: TokenFile,
}

impl Authenticator {
    /// Believes certificates that TLS verified, and these tokens.
    pub fn new(tokens: TokenFile) -> Self {
        Self { tokens }
    }

    /// The user behind a request: `None` if it presents nothing. Errors: `Unauthorized` for a token that is not known.
    pub fn authenticate(&self, peer: Option<&PeerIdentity>, headers: &HeaderMap) -> api::Result<Option<Arc<UserInfo>>> {
        if let Some(peer) = peer {
            return Ok(Some(Arc::new(user(&peer.common_name, peer.organizations.iter().map(String::as_str)))));
        }
        let Some(token) = bearer_token(headers) else { return Ok(None) };
        self.tokens.user(token).map(Some).ok_or_else(|| api::Error::unauthorized("the bearer token is not known"))
    }
}

/// What an anonymous request is told where identity is needed.
pub(crate) fn who_are_you() -> api::Error {
    api::Error::unauthorized(
        "the request has no identity: present a client certificate of the cluster's authority (see `tpctl pki`), \
         or the header `authorization: Bearer <token>`",
    )
}

/// A user that was found out, with the group that all such have.
pub(super) fn user<'a>(name: &str, groups: impl Iterator<Item = &'a str>) -> UserInfo {
    let mut groups: Vec<String> = groups.map(str::to_owned).collect();
    if !groups.iter().any(|group| group == AUTHENTICATED) {
        groups.push(AUTHENTICATED.to_owned());
    }
    UserInfo { name: name.to_owned(), groups }
}

/// The token of `authorization: Bearer <token>`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn a_certificate_names_user_and_groups() {
        let peer =
            PeerIdentity { common_name: "kubernetes-admin".into(), organizations: vec!["system:masters".into()] };
        let user = Authenticator::default().authenticate(Some(&peer), &HeaderMap::new()).unwrap().unwrap();
        assert_eq!(user.name, "kubernetes-admin");
        assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    }

    #[test]
    fn nothing_presented_is_nobody_and_an_unknown_token_is_an_error() {
        let nobody = Authenticator::default();
        for presents_nothing in [HeaderMap::new(), headers("Basic dTpw"), headers("Bearer"), headers("Bearer  ")] {
            assert_eq!(nobody.authenticate(None, &presents_nothing), Ok(None), "{presents_nothing:?}");
        }
        let error = nobody.authenticate(None, &headers("bearer wrong")).unwrap_err();
        assert_eq!(error.reason, api::Reason::Unauthorized);
        assert!(!error.message.contains("wrong"), "the token is not repeated");
    }
}
