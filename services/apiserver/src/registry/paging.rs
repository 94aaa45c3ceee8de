//! Continue tokens: where the next page of a list begins, and at which revision.
//!
//! The form is Kubernetes' (base64url of JSON), so that its tools can read it. Clients only pass it on.

use api::Error;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use store::Revision;

/// A decoded continue token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The revision of the first page, and so of all.
    pub(super) revision: Revision,
    /// The last key of the page before, below the prefix of the list.
    pub(super) after: String,
}

#[derive(Serialize, Deserialize)]
struct Json {
    v: String,
    rv: i64,
    start: String,
}

const VERSION: &str = "meta.k8s.io/v1";

impl Token {
    pub(super) fn encode(&self) -> String {
        // Kubernetes names the first key that may come; after any key that is the key with a zero byte.
        let json = Json { v: VERSION.to_owned(), rv: self.revision.get(), start: format!("{}\0", self.after) };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&json).expect("strings and numbers can always be written"))
    }

    /// # Errors
    /// `BadRequest` for anything that was not encoded here.
    pub(super) fn decode(text: &str) -> Result<Self, Error> {
        let invalid =
            |why: &str| Error::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|e| invalid(&e.to_string()))?;
        let json: Json = serde_json::from_slice(&bytes).map_err(|e| invalid(&e.to_string()))?;
        if json.v != VERSION {
            return Err(invalid(&format!("server does not recognize this encoded version {:?}", json.v)));
        }
        if json.rv <= 0 {
            return Err(invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
        }
        let after = json.start.strip_suffix('\0').unwrap_or(&json.start);
        if after.is_empty() {
            return Err(invalid("encoded start key empty (version meta.k8s.io/v1)"));
        }
        Ok(Self { revision: Revision::new(json.rv), after: after.to_owned() })
    }
}

/// The history that the token needs is gone.
pub(super) fn expired_token() -> Error {
    Error::expired(
        "The provided continue parameter is too old to display a consistent list result. \
         You must start a new list without the continue parameter.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_was_put_into_it() {
        let token = Token { revision: Revision::new(42), after: "default/web-0".to_owned() };
        assert_eq!(Token::decode(&token.encode()), Ok(token));
    }

    #[test]
    fn what_is_no_token_is_a_bad_request() {
        let foreign = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for text in [
            "%%%".to_owned(),
            foreign("{}"),
            foreign(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a"}"#),
            foreign(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#),
            foreign(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"\u0000"}"#),
        ] {
            let error = Token::decode(&text).unwrap_err();
            assert_eq!(error.code(), 400, "{error}");
        }
    }
}
