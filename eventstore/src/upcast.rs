//! Old shapes of events, brought up to the present one step at a time.
//!
//! What was stored is never rewritten. A change of an event's shape raises its
//! schema version and registers the step from the version before.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde_json::Value;

/// Turns a payload of one schema version into the next.
pub type Upcast = fn(Value) -> Value;

/// The steps from each old shape to the next. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Upcasters {
    steps: Arc<HashMap<String, Vec<Upcast>>>,
}

impl Upcasters {
    /// Adds the step that brings `name` from `from` to `from + 1`.
    ///
    /// Steps are registered in order, from version 1 on: a step out of order
    /// would leave a hole in history, so it panics at start-up.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, from: i32, step: Upcast) -> Self {
        let steps = Arc::make_mut(&mut self.steps).entry(name.into()).or_default();
        assert_eq!(usize::try_from(from), Ok(steps.len() + 1), "upcasters are registered in order");
        steps.push(step);
        self
    }

    /// The schema version that is written now.
    #[must_use]
    pub fn schema_version(&self, name: &str) -> i32 {
        self.steps.get(name).map_or(1, |steps| i32::try_from(steps.len() + 1).unwrap_or(i32::MAX))
    }

    /// The payload in its present shape. Borrows it when it has that already.
    pub fn current<'a>(
        &self,
        name: &str,
        schema_version: i32,
        payload: &'a str,
    ) -> Result<Cow<'a, str>, serde_json::Error> {
        let done = usize::try_from(schema_version).unwrap_or(1).max(1) - 1;
        let steps = self.steps.get(name).map_or(&[] as &[Upcast], Vec::as_slice);
        match steps.get(done..) {
            None | Some([]) => Ok(Cow::Borrowed(payload)),
            Some(steps) => {
                let old: Value = serde_json::from_str(payload)?;
                let new = steps.iter().fold(old, |value, step| step(value));
                serde_json::to_string(&new).map(Cow::Owned)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upcasters() -> Upcasters {
        Upcasters::default()
            .with("mall.Moved", 1, |old| json!({ "steps": old["steps"], "second": true }))
            .with("mall.Moved", 2, |old| json!({ "strides": old["steps"] }))
    }

    #[test]
    fn each_step_leads_to_the_next() {
        let upcasters = upcasters();
        assert_eq!(upcasters.schema_version("mall.Moved"), 3);
        let current = |version, payload| upcasters.current("mall.Moved", version, payload).unwrap();
        assert_eq!(current(1, "{\"steps\":2}"), "{\"strides\":2}");
        assert_eq!(current(2, "{\"steps\":2}"), "{\"strides\":2}");
    }

    #[test]
    fn what_is_of_today_is_left_as_it_is() {
        let upcasters = upcasters();
        assert_eq!(upcasters.schema_version("mall.Rested"), 1);
        for (name, version) in [("mall.Moved", 3), ("mall.Moved", 9), ("mall.Rested", 1)] {
            let current = upcasters.current(name, version, "{ \"a\": 1 }").unwrap();
            assert!(matches!(current, Cow::Borrowed("{ \"a\": 1 }")));
        }
    }

    #[test]
    fn an_old_payload_that_is_not_json_is_an_error() {
        assert!(upcasters().current("mall.Moved", 1, "nonsense").is_err());
    }

    #[test]
    #[should_panic(expected = "upcasters are registered in order")]
    fn a_step_out_of_order_is_not_taken() {
        let _ = upcasters().with("mall.Moved", 5, |old| old);
    }
}
