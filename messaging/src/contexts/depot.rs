//! Shopping lists and the bots that carry them: where one changes the other
//! does too, in the same append.

use std::time::Duration;

use mallbots_domain::{
    baskets::Item,
    depot::{
        bot::{Bot, BotCommand},
        shopping_list::{ShoppingList, ShoppingListCommand, Shortage},
    },
    id::{BotId, OrderId, ShoppingListId},
    ordering::{Order, OrderError, OrderStatus},
};
use mallbots_eventstore::{error::CommandError, ledger::Ledger, unit::Unit};
use tokio::time::{Instant, timeout_at};

use super::{refused, settled, settled_or_absent};

/// Writes an order's list.
pub async fn create(
    unit: &mut Unit<'_>,
    id: ShoppingListId,
    order_id: OrderId,
    items: Vec<Item>,
) -> Result<(), CommandError> {
    unit.create::<ShoppingList>(id, ShoppingListCommand::Create { order_id, items }).await?;
    Ok(())
}

/// Lets bots take the list.
pub async fn initiate(unit: &mut Unit<'_>, id: ShoppingListId) -> Result<(), CommandError> {
    settled(unit.decide::<ShoppingList>(id, ShoppingListCommand::Initiate).await)?;
    Ok(())
}

/// Waits, for a moment, until the order of a list is accepted.
///
/// The saga lets bots take the list just before it approves the order. Whoever
/// saw the list become available may be faster than the approval.
pub async fn approval(
    ledger: &Ledger,
    id: ShoppingListId,
    patience: Duration,
) -> Result<(), CommandError> {
    let mut head = ledger.subscribe();
    let deadline = Instant::now() + patience;
    while ledger.load::<Order>(id.order()).await?.state.status() == Some(OrderStatus::Pending) {
        match timeout_at(deadline, head.changed()).await {
            Ok(Ok(())) => {}
            // Too late, or the process is going down: the decision will say so.
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Gives the list of an accepted order to an idle bot.
pub async fn assign(
    unit: &mut Unit<'_>,
    id: ShoppingListId,
    bot_id: BotId,
) -> Result<(), CommandError> {
    let order = unit.load::<Order>(id.order()).await?;
    if order.status() == Some(OrderStatus::Pending) {
        return Err(refused(OrderError::NotApproved(OrderStatus::Pending)));
    }
    unit.decide::<ShoppingList>(id, ShoppingListCommand::Assign { bot_id }).await?;
    unit.decide::<Bot>(bot_id, BotCommand::Assign { list_id: id }).await?;
    Ok(())
}

/// Takes what the bot brought; the bot is idle again.
pub async fn complete(
    unit: &mut Unit<'_>,
    id: ShoppingListId,
    shortages: Vec<Shortage>,
) -> Result<(), CommandError> {
    let bot_id = unit.load::<ShoppingList>(id).await?.bot_id();
    unit.decide::<ShoppingList>(id, ShoppingListCommand::Complete { shortages }).await?;
    release(unit, id, bot_id).await
}

/// Tears the list up, if there is one to tear up, and frees its bot.
pub async fn cancel(unit: &mut Unit<'_>, id: ShoppingListId) -> Result<(), CommandError> {
    let bot_id = unit.load::<ShoppingList>(id).await?.bot_id();
    settled_or_absent(unit.decide::<ShoppingList>(id, ShoppingListCommand::Cancel).await)?;
    release(unit, id, bot_id).await
}

async fn release(
    unit: &mut Unit<'_>,
    list_id: ShoppingListId,
    bot_id: Option<BotId>,
) -> Result<(), CommandError> {
    if let Some(bot_id) = bot_id {
        settled(unit.decide::<Bot>(bot_id, BotCommand::Release { list_id }).await)?;
    }
    Ok(())
}
