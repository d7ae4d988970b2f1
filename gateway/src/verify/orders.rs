//! Orders go from step to step as they may, and what is canceled stays so.

use std::collections::HashMap;

use mallbots_domain::{
    event::DomainEvent,
    id::{AnyId, OrderId},
    ordering::{OrderEvent, OrderStatus},
};

use super::{Check, Seen};

pub(super) struct Orders {
    steps: Check,
    canceled: Check,
    /// Where each stands, and where it was placed.
    known: HashMap<OrderId, (OrderStatus, i64)>,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self {
            steps: Check::new("each order goes from step to step as it may"),
            canceled: Check::new("a canceled order is never approved"),
            known: HashMap::new(),
        }
    }

    /// Where an order stands.
    pub(super) fn status(&self, order: OrderId) -> Option<OrderStatus> {
        self.known.get(&order).map(|(status, _)| *status)
    }

    /// The orders, and where each was placed.
    pub(super) fn placed(&self) -> impl Iterator<Item = (OrderId, i64)> {
        self.known.iter().map(|(order, (_, placed))| (*order, *placed))
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        if let Some(DomainEvent::Order(event)) = seen.event
            && let Ok(order) = seen.message.stream.expect()
        {
            self.happened(order, event, seen.message.position.0);
        }
    }

    fn happened(&mut self, order: OrderId, event: &OrderEvent, position: i64) {
        use OrderStatus::{Approved, Canceled, Completed, InProgress, Pending, Ready, Rejected};

        self.steps.saw();
        let known = self.known.get(&order).copied();
        let before = known.map(|(status, _)| status);
        let (after, may_follow): (_, &[_]) = match event {
            OrderEvent::OrderCreated { .. } => (Pending, &[]),
            OrderEvent::OrderApproved { .. } => (Approved, &[Pending]),
            OrderEvent::OrderRejected { .. } => (Rejected, &[Pending]),
            OrderEvent::OrderStarted {} => (InProgress, &[Approved]),
            OrderEvent::OrderReadied { .. } => (Ready, &[InProgress]),
            OrderEvent::OrderCompleted { .. } => (Completed, &[Ready]),
            OrderEvent::OrderCanceled { .. } => (Canceled, &[Pending, Approved, InProgress]),
        };
        let may = match before {
            None => after == Pending,
            Some(before) => may_follow.contains(&before),
        };
        if !may {
            let before = before.map_or("never placed", OrderStatus::as_str);
            let after = after.as_str();
            let what = format!("{order} is {before} and becomes {after} at position {position}");
            if after == Approved.as_str() && before == Canceled.as_str() {
                self.canceled.differs(&what);
            }
            self.steps.differs(what);
        }
        if after == Canceled {
            self.canceled.saw();
        }
        self.known.insert(order, (after, known.map_or(position, |(_, placed)| placed)));
    }

    pub(super) fn end(self) -> Vec<Check> {
        vec![self.steps, self.canceled]
    }
}

/// The stream of an order.
pub(super) fn key(order: OrderId) -> String {
    use mallbots_domain::id::EntityId;

    let any: AnyId = order.any();
    any.uuid.to_string()
}
