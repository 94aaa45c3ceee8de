//! Turns a pod's `priorityClassName` into its priority, and keeps a second default class from being made.
//!
//! The number in a pod is the server's: a pod that brings another one is refused, so that nobody raises itself above the rest:
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>.

use api::core::v1::Pod;
use api::scheduling::v1::PriorityClass;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin, forbidden, is_about};
use crate::registry::Lookup;
use crate::request::RequestContext;

/// What a pod gets without a class, and without a default class.
const NO_PRIORITY: i32 = 0;
const PREEMPT_LOWER: &str = "PreemptLowerPriority";

pub(super) struct Priority {
    classes: Lookup<PriorityClass>,
}

impl Priority {
    pub(super) fn new(classes: Lookup<PriorityClass>) -> Self {
        Self { classes }
    }

    fn default_class(&self) -> Option<PriorityClass> {
        // Two can only exist for a moment; the lower one does less harm.
        self.classes.list("").into_iter().filter(|class| class.global_default).min_by_key(|class| class.value)
    }

    /// The class that applies to a pod; the error says what is wrong.
    async fn class_of(&self, pod: &Pod) -> api::Result<Result<Option<PriorityClass>, String>> {
        let name = &pod.spec.priority_class_name;
        if name.is_empty() {
            return Ok(Ok(self.default_class()));
        }
        let found = match self.classes.get("", name) {
            Some(class) => Some(class),
            // It may have been made a moment ago.
            None => self.classes.get_live("", name).await?,
        };
        Ok(found.map(Some).ok_or_else(|| format!("no PriorityClass with name {name} was found")))
    }
}

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn concerns(&self, _: &RequestContext, attributes: &Attributes<'_>) -> bool {
        let written = [Operation::Create, Operation::Update];
        is_about(attributes, "Pod", &written) || is_about(attributes, "PriorityClass", &written)
    }

    async fn admit(&self, _: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        let old_pod = attributes.old_object.and_then(|old| old.downcast_ref::<Pod>());
        let Some(object) = attributes.object.as_deref_mut() else { return Ok(()) };
        let verdict = if let Some(pod) = object.downcast_mut::<Pod>() {
            match old_pod {
                Some(old) => {
                    keep(pod, old);
                    Ok(())
                }
                None => match self.class_of(pod).await? {
                    Ok(class) => resolve(pod, class),
                    Err(why) => Err(why),
                },
            }
        } else if let Some(class) = object.downcast_ref::<PriorityClass>() {
            only_default(class, self.default_class())
        } else {
            Ok(())
        };
        verdict.map_err(|why| forbidden(attributes, why))
    }
}

/// Sets priority and preemption policy by the class; the error says why not.
fn resolve(pod: &mut Pod, class: Option<PriorityClass>) -> Result<(), String> {
    let (value, policy) = match class {
        Some(class) => {
            pod.spec.priority_class_name = class.metadata.name;
            (class.value, class.preemption_policy.unwrap_or_else(|| PREEMPT_LOWER.to_owned()))
        }
        None => (NO_PRIORITY, PREEMPT_LOWER.to_owned()),
    };
    if let Some(given) = pod.spec.priority.filter(|given| *given != value) {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; \
             priority admission controller computed {value} from the given PriorityClass name"
        ));
    }
    if let Some(given) = pod.spec.preemption_policy.as_deref().filter(|given| *given != policy) {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    pod.spec.priority = Some(value);
    pod.spec.preemption_policy = Some(policy);
    Ok(())
}

/// An update that says nothing of the priority leaves it as it is.
fn keep(pod: &mut Pod, old: &Pod) {
    if pod.spec.priority.is_none() {
        pod.spec.priority = old.spec.priority;
    }
    if pod.spec.preemption_policy.is_none() {
        pod.spec.preemption_policy.clone_from(&old.spec.preemption_policy);
    }
}

fn only_default(class: &PriorityClass, default: Option<PriorityClass>) -> Result<(), String> {
    match default {
        Some(default) if class.global_default && default.metadata.name != class.metadata.name => Err(format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            default.metadata.name
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, value: i32, preemption_policy: Option<&str>) -> PriorityClass {
        let mut class = PriorityClass { value, ..PriorityClass::default() };
        class.metadata.name = name.into();
        class.preemption_policy = preemption_policy.map(str::to_owned);
        class
    }

    #[test]
    fn a_pod_has_the_priority_of_its_class() {
        let table = [
            (None, ("", 0, PREEMPT_LOWER)),
            (Some(class("high", 1000, None)), ("high", 1000, PREEMPT_LOWER)),
            (Some(class("calm", -5, Some("Never"))), ("calm", -5, "Never")),
        ];
        for (class, (name, priority, policy)) in table {
            let mut pod = Pod::default();
            resolve(&mut pod, class).unwrap();
            assert_eq!(pod.spec.priority_class_name, name);
            assert_eq!((pod.spec.priority, pod.spec.preemption_policy.as_deref()), (Some(priority), Some(policy)));
        }
    }

    #[test]
    fn a_pod_cannot_choose_a_number() {
        let mut pod = Pod::default();
        pod.spec.priority = Some(7);
        let why = resolve(&mut pod, Some(class("high", 1000, None))).unwrap_err();
        assert!(why.starts_with("the integer value of priority (7) must not be provided"), "{why}");
        pod.spec.priority = Some(1000);
        resolve(&mut pod, Some(class("high", 1000, None))).unwrap();
        pod.spec.preemption_policy = Some("Never".into());
        assert!(resolve(&mut pod, Some(class("high", 1000, None))).is_err());
    }

    #[test]
    fn there_is_one_default() {
        let mut second = class("second", 2, None);
        assert!(only_default(&second, Some(class("first", 1, None))).is_ok());
        second.global_default = true;
        assert!(only_default(&second, None).is_ok());
        assert!(only_default(&second, Some(second.clone())).is_ok(), "itself");
        let why = only_default(&second, Some(class("first", 1, None))).unwrap_err();
        assert_eq!(why, "PriorityClass first is already marked as default. Only one default can exist");
    }
}
