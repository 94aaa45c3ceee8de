//! The order of a list after two lists were merged.
//!
//! Both sides have an order: the patch that of the elements it names, the object that of the others. Each is kept. Between them, an
//! element that the patch does not name stays before the first named element that it was before; new elements, which were nowhere,
//! therefore come before it.

use serde_json::Value;

/// Puts `merged` in order: its elements that are in `patch` in the order of `patch`, the others in that of `old`.
///
/// With a `key`, elements are told apart by the value of that member.
pub(super) fn arrange(merged: Vec<Value>, patch: &[Value], old: &[Value], key: Option<&str>) -> Vec<Value> {
    let place_in = |list: &[Value], element: &Value| list.iter().position(|other| same(other, element, key));
    let (mut named, mut others): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|element| place_in(patch, element).is_some());
    named.sort_by_key(|element| place_in(patch, element));
    others.sort_by_key(|element| place_in(old, element));

    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(next_named), Some(other)) = (named.peek(), others.peek()) {
        let was_before = match (place_in(old, other), place_in(old, next_named)) {
            (Some(other), Some(named)) => other < named,
            _ => false,
        };
        arranged.extend(if was_before { others.next() } else { named.next() });
    }
    arranged.extend(named);
    arranged.extend(others);
    arranged
}

/// Whether all of `elements` are in `order`, in the same order.
pub(super) fn agrees(elements: &[&Value], order: &[Value], key: Option<&str>) -> bool {
    let mut rest = order.iter();
    elements.iter().all(|element| rest.any(|other| same(other, element, key)))
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}
