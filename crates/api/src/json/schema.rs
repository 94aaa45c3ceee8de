//! Tables of what JSON may contain, generated for each message. They serve strict decoding and strategic merge patches.

/// A message and its members.
#[derive(Debug)]
pub struct Message {
    /// The Go type's name, as error messages show it.
    pub name: &'static str,
    /// Objects of this message also carry `apiVersion` and `kind`.
    pub is_kind: bool,
    /// In the order of field numbers.
    pub fields: &'static [Field],
}

/// A member of a message.
#[derive(Debug)]
pub struct Field {
    /// Name in JSON.
    pub json: &'static str,
    /// One, a list or a map.
    pub shape: Shape,
    /// Type of the value, or of a list's or map's elements.
    pub ty: Type,
    /// Unset differs from zero.
    pub optional: bool,
    /// The members of this message belong to the parent.
    pub inline: bool,
    /// JSON shows the field even when it is empty, zero or null: clients count on it.
    pub always: bool,
    /// A strategic merge patch merges this list by that member of its elements.
    pub merge_key: Option<&'static str>,
    /// A strategic merge patch merges this list of scalars or this map.
    pub merge: bool,
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One.
    Single,
    /// An array.
    List,
    /// An object with free keys.
    Map,
}

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Text.
    String,
    /// true or false.
    Bool,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer, written as a number.
    Int64,
    /// Base64.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with exactly six digits of a second's fraction.
    MicroTime,
    /// A number with a unit, as a string or a plain number.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// Any JSON.
    Any,
    /// An object.
    Message(&'static Message),
}

impl Message {
    /// The member of that name, also among the inlined ones.
    pub fn field(&self, json: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| !f.inline && f.json == json).or_else(|| {
            self.fields.iter().filter(|f| f.inline).find_map(|f| match f.ty {
                Type::Message(inner) => inner.field(json),
                _ => None,
            })
        })
    }
}
