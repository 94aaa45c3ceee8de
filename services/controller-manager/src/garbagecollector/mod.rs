//! Garbage collection: what belongs to something that is gone goes too.
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>
//!
//! ```text
//! informers of all kinds --> Graph: who owns whom --> queue of uids --> plan --> delete, unlink, or let an owner go
//! ```
//!
//! | deletion of an owner | the owner | its dependents |
//! |---|---|---|
//! | background (default) | goes at once | are found without owner, and deleted |
//! | foreground | waits for the dependents that block it | are deleted first |
//! | orphan | waits until it is unlinked | stay, without the reference |
//!
//! Invariant: nothing is deleted because a cache does not show its owner. An owner is gone when the apiserver said so about its uid, and
//! the dependent is deleted on exactly the revision that was judged.

pub mod controller;
pub mod graph;
pub mod plan;
