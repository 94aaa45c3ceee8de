//! Faults of single fields: where, what, and which value.
//!
//! Validation collects every fault of an object in an [`ErrorList`] and never stops at the first. A fault names
//! its field by a [`Path`] such as `spec.containers[0].name`, in the object's JSON spelling. The texts follow
//! Kubernetes' `field.Error`, because users paste them into a search box. Nothing here decides what is valid.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, StatusCause};
use crate::quoted::quoted;

/// The place of a field in an object: `metadata.labels[app]`, `spec.ports[0].port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(String);

impl Path {
    /// Starts a path at a field of the object.
    pub fn new(name: impl Into<String>) -> Self {
        Path(name.into())
    }

    /// Goes on to a field, or to several at once when `name` contains dots.
    pub fn child(&self, name: &str) -> Self {
        Path(format!("{}.{name}", self.0))
    }

    /// Goes on to an element of a list.
    pub fn index(&self, index: usize) -> Self {
        Path(format!("{}[{index}]", self.0))
    }

    /// Goes on to an entry of a map.
    pub fn key(&self, key: &str) -> Self {
        Path(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The value names something that does not exist.
    NotFound,
    /// There is no value and there must be one.
    Required,
    /// The value must be unique and is not.
    Duplicate,
    /// The value is malformed or out of bounds.
    Invalid,
    /// The value is none of the known ones.
    NotSupported,
    /// The value could be right elsewhere, but not here or not now.
    Forbidden,
    /// The value has too many bytes; it is not repeated in the message.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The value has the wrong type.
    TypeInvalid,
    /// Checking failed for a reason that is not the user's.
    Internal,
}

impl Fault {
    /// Returns the reason of the cause in an error's details: `FieldValueRequired` ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::NotFound => "FieldValueNotFound",
            Fault::Required => "FieldValueRequired",
            Fault::Duplicate => "FieldValueDuplicate",
            Fault::Invalid => "FieldValueInvalid",
            Fault::NotSupported => "FieldValueNotSupported",
            Fault::Forbidden => "FieldValueForbidden",
            Fault::TooLong => "FieldValueTooLong",
            Fault::TooMany => "FieldValueTooMany",
            Fault::TypeInvalid => "FieldValueTypeInvalid",
            Fault::Internal => "InternalError",
        }
    }

    /// Returns the words that open the message.
    const fn words(self) -> &'static str {
        match self {
            Fault::NotFound => "Not found",
            Fault::Required => "Required value",
            Fault::Duplicate => "Duplicate value",
            Fault::Invalid | Fault::TypeInvalid => "Invalid value",
            Fault::NotSupported => "Unsupported value",
            Fault::Forbidden => "Forbidden",
            Fault::TooLong => "Too long",
            Fault::TooMany => "Too many",
            Fault::Internal => "Internal error",
        }
    }
}

/// A value as a message repeats it: text in quotes, numbers bare, anything else as JSON.
pub trait BadValue {
    /// Returns the value as it stands in the message.
    fn shown(&self) -> String;
}

impl BadValue for &str {
    fn shown(&self) -> String {
        quoted(self)
    }
}

impl BadValue for &String {
    fn shown(&self) -> String {
        quoted(self)
    }
}

impl BadValue for String {
    fn shown(&self) -> String {
        quoted(self)
    }
}

macro_rules! shown_bare {
    ($($number:ty),*) => {$(
        impl BadValue for $number {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
shown_bare!(i32, i64, u32, usize, bool);

/// A structured [`BadValue`], shown as JSON.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a, T: ?Sized>(pub &'a T);

impl<T: Serialize + ?Sized> BadValue for Json<'_, T> {
    fn shown(&self) -> String {
        serde_json::to_string(self.0).unwrap_or_else(|e| quoted(&e.to_string()))
    }
}

/// One fault of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// What is wrong.
    pub fault: Fault,
    /// Where.
    pub field: String,
    /// The value as the message shows it; `None` where the message does not repeat it.
    pub value: Option<String>,
    /// What would be right, or why this is not; may be empty.
    pub detail: String,
}

impl FieldError {
    fn new(fault: Fault, field: &Path, value: Option<String>, detail: impl Into<String>) -> Self {
        FieldError { fault, field: field.to_string(), value, detail: detail.into() }
    }

    /// The value names something that does not exist.
    pub fn not_found(field: &Path, value: impl BadValue) -> Self {
        FieldError::new(Fault::NotFound, field, Some(value.shown()), "")
    }

    /// There must be a value.
    pub fn required(field: &Path, detail: impl Into<String>) -> Self {
        FieldError::new(Fault::Required, field, None, detail)
    }

    /// The value occurs more than once.
    pub fn duplicate(field: &Path, value: impl BadValue) -> Self {
        FieldError::new(Fault::Duplicate, field, Some(value.shown()), "")
    }

    /// The value is malformed or out of bounds.
    pub fn invalid(field: &Path, value: impl BadValue, detail: impl Into<String>) -> Self {
        FieldError::new(Fault::Invalid, field, Some(value.shown()), detail)
    }

    /// The value has the wrong type.
    pub fn type_invalid(field: &Path, value: impl BadValue, detail: impl Into<String>) -> Self {
        FieldError::new(Fault::TypeInvalid, field, Some(value.shown()), detail)
    }

    /// The value is none of `supported`, which the message lists in the order given.
    pub fn not_supported(field: &Path, value: impl BadValue, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| quoted(s)).collect();
        let detail = match list.is_empty() {
            true => String::new(),
            false => format!("supported values: {}", list.join(", ")),
        };
        FieldError::new(Fault::NotSupported, field, Some(value.shown()), detail)
    }

    /// The value is not allowed here or now.
    pub fn forbidden(field: &Path, detail: impl Into<String>) -> Self {
        FieldError::new(Fault::Forbidden, field, None, detail)
    }

    /// The value has more than `max` bytes.
    pub fn too_long(field: &Path, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        FieldError::new(Fault::TooLong, field, None, format!("may not be more than {max} {unit}"))
    }

    /// The list has `actual` items and may have `max`.
    pub fn too_many(field: &Path, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {unit}");
        FieldError::new(Fault::TooMany, field, Some(actual.shown()), detail)
    }

    /// Checking failed for a reason that is not the user's.
    pub fn internal(field: &Path, detail: impl fmt::Display) -> Self {
        FieldError::new(Fault::Internal, field, None, detail.to_string())
    }

    /// Says more than the fault itself does.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Returns the message without the field.
    pub fn body(&self) -> String {
        let mut body = self.fault.words().to_owned();
        if let Some(value) = &self.value {
            body = format!("{body}: {value}");
        }
        if !self.detail.is_empty() {
            body = format!("{body}: {}", self.detail);
        }
        body
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl From<&FieldError> for StatusCause {
    fn from(error: &FieldError) -> Self {
        StatusCause { reason: error.fault.as_str().to_owned(), message: error.body(), field: error.field.clone() }
    }
}

/// Every fault found in an object, in the order found. Empty means valid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorList(Vec<FieldError>);

impl ErrorList {
    /// Makes an empty list.
    pub fn new() -> Self {
        ErrorList::default()
    }

    /// Adds a fault.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Adds an invalid value once for each thing that is wrong with it.
    pub fn push_invalid(&mut self, field: &Path, value: impl BadValue, details: Vec<String>) {
        let shown = value.shown();
        let errors = details.into_iter().map(|d| FieldError::new(Fault::Invalid, field, Some(shown.clone()), d));
        self.0.extend(errors);
    }

    /// True if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of faults.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Visits the faults in order.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// Returns `Ok` for an empty list, or else the 422 about the object `name` of this kind.
    pub fn into_result(self, group: &str, kind: &str, name: &str) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::invalid(group, kind, name, &self)) }
    }
}

/// One fault stands alone, several in brackets; a repeated text is shown once.
impl fmt::Display for ErrorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::with_capacity(self.0.len());
        for text in self.0.iter().map(FieldError::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [one] => f.write_str(one),
            all => write!(f, "[{}]", all.join(", ")),
        }
    }
}

impl Extend<FieldError> for ErrorList {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl FromIterator<FieldError> for ErrorList {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        ErrorList(errors.into_iter().collect())
    }
}

impl IntoIterator for ErrorList {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ErrorList {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests;
