//! The bridge from the API's quantity, which is text on the wire, to an [`Amount`].

use std::collections::BTreeMap;

use super::{Amount, ParseError, canonical};
use crate::resource::Quantity;

impl Quantity {
    /// Takes a text as Kubernetes does when it decodes an object: usually in its canonical form, see [`canonical`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Quantity { string: canonical(text)?.into_owned() })
    }

    /// Returns the amount; a quantity that is not set is zero.
    pub fn amount(&self) -> Result<Amount, ParseError> {
        if self.string.is_empty() { Ok(Amount::ZERO) } else { Amount::parse(&self.string) }
    }

    /// Returns the amount of a quantity from a stored object. It was validated, so it can be read; should it not,
    /// it counts as zero.
    pub fn amount_or_zero(&self) -> Amount {
        self.amount().unwrap_or_default()
    }
}

impl From<Amount> for Quantity {
    fn from(amount: Amount) -> Self {
        Quantity { string: amount.to_string() }
    }
}

/// Reads a resource list of a stored object, such as a container's requests.
pub fn amounts(list: &BTreeMap<String, Quantity>) -> BTreeMap<String, Amount> {
    list.iter().map(|(name, quantity)| (name.clone(), quantity.amount_or_zero())).collect()
}

/// Writes a resource list.
pub fn quantities(list: &BTreeMap<String, Amount>) -> BTreeMap<String, Quantity> {
    list.iter().map(|(name, amount)| (name.clone(), (*amount).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_amounts_convert() {
        assert_eq!(Quantity::parse("1024Mi").unwrap().string, "1Gi");
        assert_eq!(Quantity::default().amount(), Ok(Amount::ZERO));
        assert_eq!(Quantity { string: "1x".into() }.amount(), Err(ParseError::Format));
        assert_eq!(Quantity::from(Amount::parse("0.5").unwrap()).string, "500m");
        let list = BTreeMap::from([("cpu".to_owned(), Quantity::parse("2").unwrap())]);
        assert_eq!(quantities(&amounts(&list)), list);
    }
}
