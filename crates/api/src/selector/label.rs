//! Label selectors: `app=web,tier in (front,back),!legacy`.
//!
//! A selector comes from its text form (`parse`) or from an object's `LabelSelector`. All requirements must
//! hold; none at all selects everything. An object that has no selector selects nothing, which is why
//! [`Selector::nothing`] is a value of its own. See [labels and selectors](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ParseError;
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::meta::v1::LabelSelector;
use crate::names;
use crate::quoted::quoted;

/// How a requirement relates a label's value to its own values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key in (a,b)`: the label is one of the values.
    In,
    /// `key notin (a,b)`: the label is none of the values, or missing.
    NotIn,
    /// `key=a`, or `key==a`: the label is the value.
    Equals,
    /// `key!=a`: the label is not the value, or missing.
    NotEquals,
    /// `key`: there is such a label.
    Exists,
    /// `!key`: there is no such label.
    DoesNotExist,
    /// `key>1`: the label is a greater integer.
    GreaterThan,
    /// `key<1`: the label is a smaller integer.
    LessThan,
}

/// A demand on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

impl Requirement {
    /// Makes a requirement, if key and values are what labels can be and as many as the operator wants.
    pub fn new(
        key: impl Into<String>,
        operator: Operator,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, ParseError> {
        let (key, values) = (key.into(), values.into_iter().map(Into::into).collect());
        let requirement = Requirement { key, operator, values };
        let faults = requirement.faults();
        if faults.is_empty() { Ok(requirement) } else { Err(ParseError(faults.to_string())) }
    }

    fn faults(&self) -> ErrorList {
        let mut faults = ErrorList::new();
        let key_faults = names::qualified_name(&self.key);
        if !key_faults.is_empty() {
            faults.push(FieldError::invalid(&Path::new("key"), &self.key, key_faults.join("; ")));
        }
        let path = Path::new("values");
        let wrong_count = match (self.operator, self.values.len()) {
            (Operator::In | Operator::NotIn, 0) => Some("for 'in', 'notin' operators, values set can't be empty"),
            (Operator::In | Operator::NotIn, _) => None,
            (Operator::Exists | Operator::DoesNotExist, 0) => None,
            (Operator::Exists | Operator::DoesNotExist, _) => {
                Some("values set must be empty for exists and does not exist")
            }
            (_, 1) => None,
            (Operator::Equals | Operator::NotEquals, _) => Some("exact-match compatibility requires one single value"),
            (Operator::GreaterThan | Operator::LessThan, _) => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
        };
        if let Some(wrong_count) = wrong_count {
            faults.push(FieldError::invalid(&path, Json(&self.values), wrong_count));
        }
        for (index, value) in self.values.iter().enumerate() {
            let path = path.index(index);
            let number = matches!(self.operator, Operator::GreaterThan | Operator::LessThan);
            if number && value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                faults.push(FieldError::invalid(&path, value, detail));
            }
            let value_faults = names::label_value(value);
            if !value_faults.is_empty() {
                faults.push(FieldError::invalid(&path.key(&self.key), value, value_faults.join("; ")));
            }
        }
        faults
    }

    /// Returns the label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns how the label relates to the values.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Returns the values, sorted.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    /// Tells whether the requirement holds for these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In | Operator::Equals => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn | Operator::NotEquals => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.numbers(value).is_some_and(|(label, bound)| label > bound),
            Operator::LessThan => self.numbers(value).is_some_and(|(label, bound)| label < bound),
        }
    }

    /// Returns the label and the bound as integers, if both are.
    fn numbers(&self, value: Option<&String>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values().collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A conjunction of requirements, sorted by key; or nothing at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// `None` selects nothing.
    requirements: Option<Vec<Requirement>>,
}

impl Selector {
    /// Selects every object.
    pub fn everything() -> Self {
        Selector { requirements: Some(vec![]) }
    }

    /// Selects no object.
    pub fn nothing() -> Self {
        Selector { requirements: None }
    }

    /// Selects the objects that meet all of the requirements.
    pub fn all_of(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut requirements: Vec<_> = requirements.into_iter().collect();
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { requirements: Some(requirements) }
    }

    /// Selects the objects that carry all of these labels; they are valid already, as those of an object are.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        Selector::all_of(labels.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: BTreeSet::from([value.clone()]),
        }))
    }

    /// Reads the selector of an object. One that is missing selects nothing, an empty one everything.
    pub fn of(selector: Option<&LabelSelector>) -> Result<Self, ParseError> {
        let Some(selector) = selector else {
            return Ok(Selector::nothing());
        };
        let labels = selector.match_labels.iter();
        let labels = labels.map(|(key, value)| Requirement::new(key, Operator::Equals, [value]));
        let expressions = selector.match_expressions.iter().map(|expression| {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(ParseError(format!("{} is not a valid label selector operator", quoted(other)))),
            };
            Requirement::new(&expression.key, operator, &expression.values)
        });
        Ok(Selector::all_of(labels.chain(expressions).collect::<Result<Vec<_>, _>>()?))
    }

    /// True if nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    /// Returns the requirements; none for a selector of nothing.
    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }

    /// Tells whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.as_ref().is_some_and(|all| all.iter().all(|r| r.matches(labels)))
    }
}

/// Selects everything, as an empty text does.
impl Default for Selector {
    fn default() -> Self {
        Selector::everything()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
