//! The depot: a board of shopping lists, and a clerk for each bot who sends it
//! through the stores.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mallbots_domain::{
    depot::shopping_list::ShoppingListStatus,
    id::{BotId, ShoppingListId},
};
use rand::rngs::StdRng;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use super::{Deeds, Refused, Town, catalog};
use crate::client::operations::{self, ShoppingList, shopping_lists_changed};

/// What the depot has to do with a list.
const OURS: [ShoppingListStatus; 3] =
    [ShoppingListStatus::Available, ShoppingListStatus::Assigned, ShoppingListStatus::Active];

/// After how many lists a bot recharges.
const LISTS_A_CHARGE: u32 = 5;

/// The lists that wait for a clerk, and those that have one.
struct Board {
    town: Arc<Town>,
    waiting: tokio::sync::Mutex<UnboundedReceiver<ShoppingList>>,
    add: UnboundedSender<ShoppingList>,
    in_hand: Mutex<BTreeSet<ShoppingListId>>,
    bots: BTreeSet<BotId>,
}

/// The depot's work, for ever.
pub(super) async fn work(town: Arc<Town>) {
    let (add, waiting) = unbounded_channel();
    let bots = (1..=town.options.bots).map(catalog::id::<BotId>).collect();
    let board = Arc::new(Board {
        town: Arc::clone(&town),
        waiting: tokio::sync::Mutex::new(waiting),
        add,
        in_hand: Mutex::default(),
        bots,
    });
    let mut clerks = JoinSet::new();
    for number in 1..=town.options.bots {
        clerks.spawn(clerk(Arc::clone(&board), number));
    }
    town.watch(|| shopping_lists_changed(&OURS), |list| board.pin(list)).await;
}

impl Board {
    /// Puts a list up for the clerks, unless one has it in hand. Lists that
    /// bots have already were left by an earlier run; those of other bots are
    /// other people's.
    fn pin(&self, list: ShoppingList) -> Option<()> {
        let ours = match list.status {
            ShoppingListStatus::Available => true,
            ShoppingListStatus::Assigned | ShoppingListStatus::Active => {
                list.bot.is_some_and(|bot| self.bots.contains(&bot.id))
            }
            ShoppingListStatus::Pending
            | ShoppingListStatus::Completed
            | ShoppingListStatus::Canceled => false,
        };
        if ours && self.in_hand().insert(list.id) {
            // There are clerks for as long as there is a board.
            let _ = self.add.send(list);
        }
        None
    }

    fn in_hand(&self) -> MutexGuard<'_, BTreeSet<ShoppingListId>> {
        // A set stays a set, whoever panicked.
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work of a clerk with a bot.
async fn clerk(board: Arc<Board>, number: u32) {
    let bot: BotId = catalog::id(number);
    let town = &board.town;
    let mut rng = town.chance(1_000_000 + u64::from(number));
    let mut charge = LISTS_A_CHARGE;
    loop {
        let list = board.waiting.lock().await.recv().await;
        let Some(list) = list else { return };
        let done = shop(town, &mut rng, bot, &list).await;
        board.in_hand().remove(&list.id);
        match done {
            Ok(()) => charge -= 1,
            Err(Refused(problem)) if problem.reason().starts_with("BOT_") => {
                // Somebody else has the bot: another clerk may be luckier.
                town.while_away(&mut rng, 2.0, 4.0).await;
                board.pin(list);
            }
            // The order was called off, or somebody lent a hand.
            Err(Refused(_)) => {}
        }
        if charge == 0 {
            recharge(town, &mut rng, bot).await;
            charge = LISTS_A_CHARGE;
        }
    }
}

async fn shop(
    town: &Town,
    rng: &mut StdRng,
    bot: BotId,
    list: &ShoppingList,
) -> Result<(), Refused> {
    if list.status == ShoppingListStatus::Available {
        town.while_away(rng, 0.5, 2.0).await;
        town.call(operations::assign_shopping_list(list.id, bot)).await?;
    }
    if list.status != ShoppingListStatus::Active {
        town.while_away(rng, 0.5, 1.5).await;
        town.call(operations::start_shopping(list.id)).await?;
    }
    for (store, product, quantity) in list.missing() {
        town.while_away(rng, 1.0, 3.0).await;
        town.call(operations::pick_item(list.id, store, product, quantity)).await?;
        Deeds::count(&town.deeds.picked);
    }
    town.while_away(rng, 0.5, 2.0).await;
    town.call(operations::complete_shopping_list(list.id, &[])).await.map(drop)
}

/// A bot goes to its charger for a while.
async fn recharge(town: &Town, rng: &mut StdRng, bot: BotId) {
    if town.call(operations::take_bot_offline(bot)).await.is_ok() {
        town.while_away(rng, 6.0, 12.0).await;
        // If somebody brought it back already, so much the better.
        let _ = town.call(operations::bring_bot_online(bot)).await;
    }
}
