//! The cashier: whose goods are at the depot, pays.

use std::sync::Arc;

use mallbots_domain::{id::OrderId, ordering::OrderStatus};
use tokio::sync::mpsc::unbounded_channel;

use super::{Deeds, Refused, Town};
use crate::client::operations::{orders_changed, pay_invoice};

/// The cashier's work, for ever.
pub(super) async fn work(town: Arc<Town>) {
    let (queue, mut served) = unbounded_channel();
    let serving = async {
        let mut rng = town.chance(2_000_000);
        while let Some(order) = served.recv().await {
            town.while_away(&mut rng, 0.5, 2.0).await;
            settle(&town, order).await;
        }
    };
    let queueing = town.watch(
        || orders_changed(&[OrderStatus::Ready]),
        |order| -> Option<()> {
            if order.status == OrderStatus::Ready {
                // The till is open for as long as there is a queue.
                let _ = queue.send(order.id);
            }
            None
        },
    );
    tokio::join!(serving, queueing);
}

async fn settle(town: &Town, order: OrderId) {
    let mut rng = town.chance(3_000_000);
    for _ in 0..10 {
        match town.call(pay_invoice(order.invoice())).await {
            Ok(_) => {
                Deeds::count(&town.deeds.paid);
                return;
            }
            // It is written a moment after the order is ready.
            Err(Refused(problem)) if problem.code() == "NOT_FOUND" => {
                town.while_away(&mut rng, 0.1, 0.5).await;
            }
            // Paid by hand, or called off.
            Err(Refused(_)) => return,
        }
    }
}
