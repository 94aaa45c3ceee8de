//! Objects whose kind is known only at run time.
//!
//! What a user names on the command line becomes [`Targets`]; an [`ObjectApi`] reads and writes objects of one kind through the typed client,
//! and [`Follow`] keeps an eye on them over lost connections. Nothing here prints.

mod any;
mod follow;
mod path;
mod target;
mod until;

pub(crate) use any::{Change, Object, ObjectApi, api_of};
pub(crate) use follow::{Follow, Next};
pub(crate) use path::Path;
pub(crate) use target::{SelectorFlags, Targets, kind_named, select};
pub(crate) use until::until;
