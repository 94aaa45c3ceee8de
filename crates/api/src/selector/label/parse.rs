//! The text form of label selectors.
//!
//! ```text
//! selector    = requirement { "," requirement }
//! requirement = [ "!" ] KEY
//!             | KEY ( "in" | "notin" ) "(" [ VALUE ] { "," [ VALUE ] } ")"
//!             | KEY ( "=" | "==" | "!=" | ">" | "<" ) [ VALUE ]
//! ```
//!
//! Blanks separate words and mean nothing else. `in` and `notin` are operators only where one is expected.

use std::str::FromStr;

use super::{Operator, Requirement, Selector};
use crate::field::{FieldError, Path};
use crate::names;
use crate::selector::ParseError;

/// The symbols, the longer ones first, so that `==` is not read as two.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let tokens = tokens(text);
        let mut parser = Parser { tokens: &tokens };
        let mut requirements = Vec::new();
        if parser.tokens.is_empty() {
            return Ok(Selector::everything());
        }
        if !parser.starts_requirement() {
            return parser.fail(", expected: !, identifier, or 'end of string'");
        }
        loop {
            let requirement =
                parser.requirement().map_err(|e| ParseError(format!("unable to parse requirement: {e}")))?;
            requirements.push(requirement);
            if parser.tokens.is_empty() {
                return Ok(Selector::all_of(requirements));
            }
            if !parser.take(",") {
                return parser.fail(", expected: ',' or 'end of string'");
            }
            if !parser.starts_requirement() {
                return parser.fail(", expected: identifier after ','");
            }
        }
    }
}

/// Splits into symbols and words.
fn tokens(text: &str) -> Vec<&str> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        let symbol = SYMBOLS.into_iter().find(|s| rest.starts_with(s));
        let end = match symbol {
            Some(symbol) => symbol.len(),
            None => rest.find(|c| blank(c) || "=!(),><".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after.trim_start_matches(blank);
    }
    tokens
}

/// What is not read yet.
struct Parser<'a> {
    tokens: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn fail<T>(&self, expected: &str) -> Result<T, ParseError> {
        let found = self.tokens.first().unwrap_or(&"");
        Err(ParseError(format!("found '{found}'{expected}")))
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.tokens.first() == Some(&symbol);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn take_word(&mut self) -> Option<&'a str> {
        let word = *self.tokens.first().filter(|token| !SYMBOLS.contains(*token))?;
        self.tokens = &self.tokens[1..];
        Some(word)
    }

    fn starts_requirement(&self) -> bool {
        self.tokens.first().is_some_and(|token| *token == "!" || !SYMBOLS.contains(token))
    }

    fn at_end_of_requirement(&self) -> bool {
        matches!(self.tokens.first(), None | Some(&","))
    }

    fn requirement(&mut self) -> Result<Requirement, ParseError> {
        let absent = self.take("!");
        let Some(key) = self.take_word() else {
            return self.fail(", expected: identifier");
        };
        let faults = names::qualified_name(key);
        if !faults.is_empty() {
            // The key is not part of an object; Kubernetes calls the place of such a fault <nil>.
            return Err(ParseError(FieldError::invalid(&Path::new("<nil>"), key, faults.join("; ")).to_string()));
        }
        let none = Vec::<&str>::new();
        if absent {
            return Requirement::new(key, Operator::DoesNotExist, none);
        }
        if self.at_end_of_requirement() {
            return Requirement::new(key, Operator::Exists, none);
        }
        let operator = self.operator()?;
        match operator {
            Operator::In | Operator::NotIn => Requirement::new(key, operator, self.values()?),
            _ => Requirement::new(key, operator, [self.value()?]),
        }
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        let operator = match self.tokens.first() {
            Some(&"in") => Operator::In,
            Some(&"notin") => Operator::NotIn,
            Some(&("=" | "==")) => Operator::Equals,
            Some(&"!=") => Operator::NotEquals,
            Some(&">") => Operator::GreaterThan,
            Some(&"<") => Operator::LessThan,
            _ => return self.fail(", expected: in, notin, =, ==, !=, gt, lt"),
        };
        self.tokens = &self.tokens[1..];
        Ok(operator)
    }

    fn value(&mut self) -> Result<&'a str, ParseError> {
        if self.at_end_of_requirement() {
            return Ok("");
        }
        match self.take_word() {
            Some(word) => Ok(word),
            None => self.fail(", expected: identifier"),
        }
    }

    /// Reads `(a,b)`. A value may be missing, which stands for the empty one.
    fn values(&mut self) -> Result<Vec<&'a str>, ParseError> {
        if !self.take("(") {
            return self.fail(" expected: '('");
        }
        let mut values = Vec::new();
        loop {
            values.push(self.take_word().unwrap_or(""));
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return self.fail(", expected: ',' or ')'");
            }
        }
    }
}
