//! Telling how it goes, on standard error.

use std::{
    io::{self, Write},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{Deeds, Town};
use crate::client::operations::{StatusCount, order_status_counts};

/// How often.
const EVERY: Duration = Duration::from_secs(5);

/// A line now and then, if there is something new, for ever.
pub(super) async fn tell(town: Arc<Town>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = String::new();
    loop {
        ticks.tick().await;
        let Ok(counts) = town.call(order_status_counts()).await else { continue };
        let line = line(&town.deeds, &counts);
        if line != before {
            // With standard error gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
            before = line;
        }
    }
}

fn line(deeds: &Deeds, counts: &[StatusCount]) -> String {
    let Deeds { bought, put_back, picked, paid, repriced } = deeds;
    let done = [
        (bought, "bought"),
        (put_back, "put back"),
        (picked, "picked"),
        (paid, "paid"),
        (repriced, "repriced"),
    ]
    .map(|(deed, what)| format!("{} {what}", deed.load(Ordering::Relaxed)));
    let orders = counts.iter().filter(|counted| counted.count > 0).map(|counted| {
        let status = counted.status.as_str().to_ascii_lowercase().replace('_', " ");
        format!("{} {status}", counted.count)
    });
    let orders: Vec<_> = orders.collect();
    let orders = if orders.is_empty() { "none".to_owned() } else { orders.join(", ") };
    format!("{} | orders: {orders}", done.join(", "))
}

#[cfg(test)]
mod tests {
    use mallbots_domain::ordering::OrderStatus;

    use super::*;

    #[test]
    fn a_line_tells_what_was_done_and_how_orders_stand() {
        let deeds = Deeds::default();
        assert_eq!(
            line(&deeds, &[]),
            "0 bought, 0 put back, 0 picked, 0 paid, 0 repriced | orders: none"
        );
        Deeds::count(&deeds.bought);
        let counts = [
            StatusCount { status: OrderStatus::Pending, count: 0 },
            StatusCount { status: OrderStatus::InProgress, count: 2 },
            StatusCount { status: OrderStatus::Completed, count: 40 },
        ];
        assert_eq!(
            line(&deeds, &counts),
            "1 bought, 0 put back, 0 picked, 0 paid, 0 repriced | \
             orders: 2 in progress, 40 completed"
        );
    }
}
