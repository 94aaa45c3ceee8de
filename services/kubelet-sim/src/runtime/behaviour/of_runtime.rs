//! How the simulated runtime itself behaves, apart from any container.

use std::time::Duration;

use super::InvalidSetting;
use super::values::time;

/// When the runtime and its network are ready, counted from the kubelet's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeBehaviour {
    /// Until then the runtime is not up.
    pub ready_after: Duration,
    /// Until then pods get no network.
    pub network_ready_after: Duration,
    /// When it goes down again.
    pub down_after: Duration,
    /// And for how long.
    pub down_for: Duration,
}

impl RuntimeBehaviour {
    /// The settings that there are.
    pub const KEYS: [&str; 4] =
        ["runtime-ready-after", "network-ready-after", "runtime-down-after", "runtime-down-for"];

    /// Applies one setting, e.g. `("network-ready-after", "10s")`.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidSetting> {
        let field = match key {
            "runtime-ready-after" => &mut self.ready_after,
            "network-ready-after" => &mut self.network_ready_after,
            "runtime-down-after" => &mut self.down_after,
            "runtime-down-for" => &mut self.down_for,
            _ => {
                let problem = format!("there is no such setting; there are {}", Self::KEYS.join(", "));
                return Err(InvalidSetting { key: key.to_owned(), problem });
            }
        };
        *field = time(value).map_err(|problem| InvalidSetting { key: key.to_owned(), problem })?;
        Ok(())
    }

    /// Applies a list such as `runtime-ready-after=5s,network-ready-after=10s`.
    pub fn set_all(&mut self, list: &str) -> Result<(), String> {
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no \"=\""))?;
            self.set(key, value).map_err(|wrong| wrong.to_string())?;
        }
        Ok(())
    }

    /// Whether the runtime is up at an age.
    pub fn is_up(&self, age: Duration) -> bool {
        let down = age >= self.down_after && age < self.down_after.saturating_add(self.down_for);
        age >= self.ready_after && !down
    }

    /// Whether its network is ready at an age.
    pub fn network_is_ready(&self, age: Duration) -> bool {
        age >= self.network_ready_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_comes_up_goes_down_and_comes_back() {
        let mut behaviour = RuntimeBehaviour::default();
        let at = |behaviour: &RuntimeBehaviour, age| {
            let age = Duration::from_secs(age);
            (behaviour.is_up(age), behaviour.network_is_ready(age))
        };
        assert_eq!(at(&behaviour, 0), (true, true));
        behaviour
            .set_all("runtime-ready-after=5s, network-ready-after=8s,runtime-down-after=20s,runtime-down-for=10s")
            .unwrap();
        let seen = [0, 5, 8, 20, 29, 30].map(|age| at(&behaviour, age));
        assert_eq!(seen, [(false, false), (true, false), (true, true), (false, true), (false, true), (true, true)]);
        assert!(behaviour.set_all("network=1s").unwrap_err().contains("there are runtime-ready-after"));
        assert_eq!(behaviour.set_all("runtime-down-for").unwrap_err(), "\"runtime-down-for\" has no \"=\"");
        assert!(behaviour.set_all("runtime-down-for=long").unwrap_err().contains("is not a time"));
    }
}
