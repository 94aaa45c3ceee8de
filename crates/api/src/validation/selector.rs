//! Label selectors inside objects.

use crate::field::{ErrorList, FieldError, Path};
use crate::meta::v1::LabelSelector;
use crate::names;

use super::metadata;

/// Checks the keys, operators and values of a selector.
pub(super) fn label_selector(selector: &LabelSelector, path: &Path, errors: &mut ErrorList) {
    metadata::labels(&selector.match_labels, &path.child("matchLabels"), errors);
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = path.child("values");
        match expression.operator.as_str() {
            "In" | "NotIn" if expression.values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&values, detail));
            }
            "Exists" | "DoesNotExist" if !expression.values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&values, detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator"));
            }
        }
        errors.push_invalid(&path.child("key"), &expression.key, names::qualified_name(&expression.key));
        for (index, value) in expression.values.iter().enumerate() {
            errors.push_invalid(&values.index(index), value, names::label_value(value));
        }
    }
}
