//! Every saga has ended, waits visibly for an operator, or is under way with
//! something that will wake it; and it ended as its order did.

use std::collections::HashMap;

use mallbots_domain::{
    aggregate::Aggregate,
    event::DomainEvent,
    id::{EntityId, OrderId, SagaId},
    ordering::OrderStatus,
    saga::{Saga, SagaState},
};

use super::{Check, Seen, orders::Orders, orders::key, work::Work};

pub(super) struct Sagas {
    ended: Check,
    agree: Check,
    begun: Check,
    /// Those that have not ended.
    open: HashMap<SagaId, Saga>,
    /// How those ended that are about an order's beginning.
    created: HashMap<OrderId, SagaState>,
}

impl Sagas {
    pub(super) fn new() -> Self {
        Self {
            ended: Check::new("every saga has ended, is stuck or is under way"),
            agree: Check::new("every order stands as its saga ended"),
            begun: Check::new("every order has its saga"),
            open: HashMap::new(),
            created: HashMap::new(),
        }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let Some(DomainEvent::Saga(event)) = seen.event else { return };
        let Ok(id) = seen.message.stream.expect::<SagaId>() else { return };
        let saga = self.open.remove(&id).unwrap_or_default().evolve(event.clone());
        let order = id.order();
        if id == order.create_saga()
            && let Some(state) = saga.state()
        {
            self.created.insert(order, state);
        }
        match saga {
            Saga::Completed | Saga::Compensated => self.ended.saw(),
            open @ (Saga::NotStarted | Saga::Underway(_)) => {
                self.open.insert(id, open);
            }
        }
    }

    pub(super) fn end(mut self, orders: &Orders, work: &Work) -> Vec<Check> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_unstable_by_key(|(id, _)| **id);
        let (mut stuck, mut under_way) = (0_u64, 0_u64);
        for (id, saga) in open {
            self.ended.saw();
            if saga.state() == Some(SagaState::Stuck) {
                stuck += 1;
            } else if work.will_wake(*id) {
                under_way += 1;
            } else {
                let state = saga.state().map_or("not begun", SagaState::as_str);
                self.ended.differs(format!("{id} is {state}, and nothing will wake it"));
            }
        }
        if stuck > 0 {
            self.ended.note(format!("{stuck} are stuck and wait for an operator"));
        }
        if under_way > 0 {
            self.ended.note(format!("{under_way} are under way"));
        }

        let mut placed: Vec<_> = orders.placed().collect();
        placed.sort_unstable();
        for (order, position) in placed {
            self.begun.saw();
            let Some(saga) = self.created.get(&order) else {
                if !work.is_waiting(Saga::CONTEXT, order.any(), position)
                    && !work.is_settled(Saga::CONTEXT, &key(order))
                {
                    self.begun.differs(format!("{order} has no saga"));
                }
                continue;
            };
            let Some(status) = orders.status(order) else { continue };
            let agrees = match saga {
                SagaState::Completed => {
                    !matches!(status, OrderStatus::Pending | OrderStatus::Rejected)
                }
                SagaState::Compensated => {
                    matches!(status, OrderStatus::Rejected | OrderStatus::Canceled)
                }
                SagaState::Running | SagaState::Compensating | SagaState::Stuck => continue,
            };
            self.agree.saw();
            if !agrees {
                let (status, saga) = (status.as_str(), saga.as_str());
                self.agree.differs(format!("{order} is {status}, its saga is {saga}"));
            }
        }
        vec![self.ended, self.begun, self.agree]
    }
}
