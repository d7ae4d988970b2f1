//! Money: all that was set aside is held, taken, let go of or paid back, and
//! nothing is taken twice or for nothing.

use std::collections::{HashMap, HashSet};

use mallbots_domain::{
    event::DomainEvent,
    id::{AnyId, OrderId},
    payments::{
        invoice::InvoiceEvent,
        payment::{PaymentEvent, PaymentStatus},
    },
};

use super::{Check, Seen};

pub(super) struct Money {
    equation: Check,
    steps: Check,
    once: Check,
    paid_for: Check,
    payments: HashMap<AnyId, (i128, PaymentStatus)>,
    authorized: i128,
    captured: i128,
    released: i128,
    refunded: i128,
    /// Which payment was taken for an order.
    taken: HashMap<OrderId, AnyId>,
    paid: HashSet<AnyId>,
    orders_paid: HashSet<OrderId>,
}

impl Money {
    pub(super) fn new() -> Self {
        Self {
            equation: Check::new("authorized = held + captured + released + refunded"),
            steps: Check::new("each payment goes from step to step as it may"),
            once: Check::new("an order is paid and captured at most once"),
            paid_for: Check::new("what was captured was paid for"),
            payments: HashMap::new(),
            authorized: 0,
            captured: 0,
            released: 0,
            refunded: 0,
            taken: HashMap::new(),
            paid: HashSet::new(),
            orders_paid: HashSet::new(),
        }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) {
        let stream = seen.message.stream;
        match seen.event {
            Some(DomainEvent::Payment(event)) => self.payment(stream, event),
            Some(DomainEvent::Invoice(event)) => self.invoice(stream, event),
            Some(_) | None => {}
        }
    }

    fn payment(&mut self, stream: AnyId, event: &PaymentEvent) {
        use PaymentStatus::{Authorized, Captured, Confirmed, Refunded, Released};

        self.steps.saw();
        let known = self.payments.get(&stream).copied();
        let amount = known.map_or(0, |(amount, _)| amount);
        let before = known.map(|(_, status)| status);
        let (after, may_follow): (_, &[_]) = match event {
            PaymentEvent::PaymentAuthorized { amount, .. } => {
                let amount = i128::from(amount.minor());
                self.authorized += amount;
                if known.is_none() {
                    self.payments.insert(stream, (amount, Authorized));
                } else {
                    self.steps.differs(format!("{stream} is authorized a second time"));
                }
                return;
            }
            PaymentEvent::PaymentConfirmed { .. } => (Confirmed, &[Authorized]),
            PaymentEvent::PaymentReleased { .. } => {
                self.released += amount;
                (Released, &[Authorized, Confirmed])
            }
            PaymentEvent::PaymentCaptured { order_id } => {
                self.captured += amount;
                self.once.saw();
                if let Some(other) = self.taken.insert(*order_id, stream) {
                    self.once.differs(format!("{order_id} is captured twice: {other}, {stream}"));
                }
                (Captured, &[Confirmed])
            }
            PaymentEvent::PaymentRefunded { order_id } => {
                self.refunded += amount;
                self.captured -= amount;
                self.taken.remove(order_id);
                (Refunded, &[Captured])
            }
        };
        if before.is_none_or(|before| !may_follow.contains(&before)) {
            let before = before.map_or("never authorized", PaymentStatus::as_str);
            let after = after.as_str();
            self.steps.differs(format!("{stream} is {before} and becomes {after}"));
        }
        self.payments.insert(stream, (amount, after));
    }

    fn invoice(&mut self, stream: AnyId, event: &InvoiceEvent) {
        match event {
            InvoiceEvent::InvoicePaid { order_id, .. } => {
                self.once.saw();
                if !self.paid.insert(stream) {
                    self.once.differs(format!("{stream} of {order_id} is paid a second time"));
                }
                self.orders_paid.insert(*order_id);
            }
            InvoiceEvent::InvoiceCreated { .. }
            | InvoiceEvent::InvoiceAdjusted { .. }
            | InvoiceEvent::InvoiceCanceled {} => {}
        }
    }

    pub(super) fn end(mut self) -> Vec<Check> {
        let held: i128 = self
            .payments
            .values()
            .filter(|(_, status)| {
                matches!(status, PaymentStatus::Authorized | PaymentStatus::Confirmed)
            })
            .map(|(amount, _)| amount)
            .sum();
        self.equation.saw();
        let Self { authorized, captured, released, refunded, .. } = self;
        let equation = format!(
            "authorized {authorized}, held {held}, captured {captured}, released {released}, \
             refunded {refunded}, in minor units"
        );
        if authorized == held + captured + released + refunded {
            self.equation.note(equation);
        } else {
            self.equation.differs(equation);
        }
        let mut taken: Vec<_> = self.taken.into_iter().collect();
        taken.sort_unstable();
        for (order, payment) in taken {
            self.paid_for.saw();
            if !self.orders_paid.contains(&order) {
                self.paid_for.differs(format!("{payment} was captured, {order} was never paid"));
            }
        }
        vec![self.equation, self.steps, self.once, self.paid_for]
    }
}
