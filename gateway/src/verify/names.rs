//! Names that only one may hold: each product on sale holds its SKU in its
//! store, and nobody else holds any.

use std::collections::HashMap;

use mallbots_domain::{event::DomainEvent, id::AnyId, stores::product::ProductEvent};
use mallbots_eventstore::{
    audit::{HeldName, Snapshot},
    error::StoreError,
};

use super::{Check, Seen};

/// The kind of name that products hold.
const SKU: &str = "sku";

pub(super) struct Names {
    check: Check,
    /// What each product on sale must hold.
    due: HashMap<AnyId, String>,
}

impl Names {
    pub(super) fn new() -> Self {
        let check = Check::new("names are held by those who took them");
        Self { check, due: HashMap::new() }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let Some(DomainEvent::Product(event)) = seen.event else { return };
        let product = seen.message.stream;
        match event {
            ProductEvent::ProductAdded { store_id, sku, .. } => {
                self.due.insert(product, format!("{store_id}/{sku}"));
            }
            ProductEvent::ProductRemoved {} => {
                self.due.remove(&product);
            }
            ProductEvent::ProductRebranded { .. }
            | ProductEvent::ProductPriceIncreased { .. }
            | ProductEvent::ProductPriceDecreased { .. } => {}
        }
    }

    pub(super) async fn end(mut self, snapshot: &Snapshot) -> Result<Check, StoreError> {
        for HeldName { scope, key, owner } in snapshot.names().await? {
            self.check.saw();
            if scope != SKU {
                self.check.differs(format!("{owner} holds {key}, a {scope}, which nobody needs"));
                continue;
            }
            let holder = owner.parse::<AnyId>().ok();
            match holder.and_then(|product| self.due.remove(&product)) {
                Some(due) if due == key => {}
                Some(due) => {
                    self.check.differs(format!("{owner} holds the SKU {key} instead of {due}"));
                }
                None => {
                    self.check.differs(format!("{owner} holds the SKU {key} and is not on sale"));
                }
            }
        }
        let mut lacking: Vec<_> = self.due.into_iter().collect();
        lacking.sort_unstable();
        for (product, sku) in lacking {
            self.check.differs(format!("{product} is on sale and does not hold its SKU {sku}"));
        }
        Ok(self.check)
    }
}
