//! When a node counts as short of something, as flags say it: `memory.available<100Mi,nodefs.available<10%`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use api::quantity::{Amount, Format};
use service_kit::flags;

use super::signal::Signal;

/// An amount, or a part of what there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `100Mi`.
    Quantity(Amount),
    /// `10%` is 0.1. As Kubernetes has it, which shows in the amounts that it gives.
    Part(f32),
}

impl Value {
    /// The amount, of this capacity.
    pub fn of(self, capacity: Amount) -> Amount {
        match self {
            Self::Quantity(amount) => amount,
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "Kubernetes' arithmetic")]
            Self::Part(part) => Amount::new((capacity.value() as f64 * f64::from(part)) as i64, Format::BinarySi),
        }
    }
}

/// A line that must not be crossed.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// What is measured.
    pub signal: Signal,
    /// Less than this is too little.
    pub value: Value,
    /// How long too little is borne; zero for a hard threshold.
    pub grace: Duration,
    /// How much more than the threshold has to be there again before the node stops reclaiming.
    pub min_reclaim: Option<Value>,
}

impl Threshold {
    /// Whether pods are ended at once.
    pub fn is_hard(&self) -> bool {
        self.grace.is_zero()
    }
}

/// Thresholds of a flag: `memory.available<100Mi`. A part of 0 % or 100 % is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statements(pub BTreeMap<Signal, Value>);

/// Times of a flag: `memory.available=1m30s`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracePeriods(pub BTreeMap<Signal, Duration>);

/// Amounts of a flag: `memory.available=500Mi`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reclaims(pub BTreeMap<Signal, Value>);

impl FromStr for Statements {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut statements = BTreeMap::new();
        for (signal, value) in pairs(text, '<')? {
            if matches!(value, "0%" | "100%") {
                continue;
            }
            let parsed = value_of(value)?;
            match parsed {
                Value::Part(part) if !(0.0..=1.0).contains(&part) => {
                    return Err(format!("{}: {value} is not between 0% and 100%", signal.as_str()));
                }
                Value::Quantity(amount) if amount.is_zero() || amount.is_negative() => {
                    return Err(format!("eviction threshold {} must be positive: {value}", signal.as_str()));
                }
                _ => _ = statements.insert(signal, parsed),
            }
        }
        Ok(Self(statements))
    }
}

impl FromStr for GracePeriods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let period = |(signal, value)| Ok((signal, flags::duration_or_zero(value)?));
        pairs(text, '=')?.into_iter().map(period).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Reclaims {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reclaim = |(signal, value): (Signal, &str)| match value_of(value)? {
            Value::Quantity(amount) if amount.is_negative() => {
                Err(format!("negative eviction minimum reclaim specified for {}", signal.as_str()))
            }
            Value::Part(part) if part <= 0.0 => {
                Err(format!("eviction percentage minimum reclaim {} must be positive: {value}", signal.as_str()))
            }
            parsed => Ok((signal, parsed)),
        };
        pairs(text, '=')?.into_iter().map(reclaim).collect::<Result<_, _>>().map(Self)
    }
}

fn pairs(text: &str, separator: char) -> Result<Vec<(Signal, &str)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &'_ str| -> Result<(Signal, usize), String> {
        let at = part.find(separator).ok_or_else(|| format!("{part:?} has no {separator:?}"))?;
        Ok((part[..at].trim().parse()?, at))
    };
    parts.map(|part| pair(part).map(|(signal, at)| (signal, part[at + 1..].trim()))).collect()
}

fn value_of(text: &str) -> Result<Value, String> {
    match text.strip_suffix('%') {
        Some(number) => match number.parse::<f32>() {
            Ok(percent) if percent.is_finite() => Ok(Value::Part(percent / 100.0)),
            _ => Err(format!("{text:?} is not a part such as 10%")),
        },
        None => text.parse().map(Value::Quantity).map_err(|error| format!("{text:?}: {error}")),
    }
}

/// All thresholds of a node, hard ones first. The hard one for memory also counts for what pods may use in all.
///
/// # Errors
/// A soft threshold without a grace period.
pub fn thresholds(
    hard: &Statements,
    soft: &Statements,
    grace: &GracePeriods,
    reclaim: &Reclaims,
) -> Result<Vec<Threshold>, String> {
    let with = |signal: Signal, value: Value, grace: Duration| {
        let min_reclaim = reclaim.0.get(&signal).copied();
        Threshold { signal, value, grace, min_reclaim }
    };
    let mut all: Vec<Threshold> = hard.0.iter().map(|(signal, value)| with(*signal, *value, Duration::ZERO)).collect();
    for (signal, value) in &soft.0 {
        let name = signal.as_str();
        let grace = grace.0.get(signal).copied().ok_or_else(|| {
            format!(
                "--eviction-soft: {name} has no grace period; give one with --eviction-soft-grace-period {name}=1m30s"
            )
        })?;
        all.push(with(*signal, *value, grace));
    }
    if let Some(memory) = all.iter().find(|t| t.is_hard() && t.signal == Signal::MemoryAvailable).cloned() {
        all.push(Threshold { signal: Signal::AllocatableMemoryAvailable, ..memory });
    }
    Ok(all)
}
