//! Where the spec of a pod stands.

/// Where a spec stands. A real pod must obey a few rules more than a template.
#[derive(Clone, Copy)]
pub(super) enum In<'a> {
    /// In the pod of this name.
    Pod(&'a str),
    /// In the template of a workload.
    Template,
}
