//! One consumer for each context: does what sagas ask of it and reacts to what
//! happens elsewhere.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use mallbots_domain::{
    aggregate::{Aggregate, ErrorKind},
    baskets::Basket,
    customers::Customer,
    depot::shopping_list::ShoppingList,
    event::DomainEvent,
    id::Kind,
    notifications::Notification,
    ordering::{Order, OrderCommand},
    payments::payment::Payment,
    policies::{Reaction, reactions},
    saga::{Outcome, SagaCommand},
};
use mallbots_eventstore::{
    error::{CommandError, StoreError},
    ledger::Ledger,
    message::{MessageKind, Recorded},
    unit::Unit,
};
use tracing::debug;
use uuid::Uuid;

use crate::{
    consumer::{Delivery, Failure, Handler, outcome, undecodable},
    contexts::{self, baskets::Forgotten},
    envelope::{self, CommandEnvelope},
};

/// The contexts that have a consumer.
pub const CONTEXTS: [&str; 6] = [
    Basket::CONTEXT,
    Customer::CONTEXT,
    Order::CONTEXT,
    Payment::CONTEXT,
    ShoppingList::CONTEXT,
    Notification::CONTEXT,
];

/// A context's consumer; it goes by the context's name.
#[derive(Debug, Clone)]
pub struct Inbound {
    ledger: Ledger,
    context: &'static str,
}

impl Inbound {
    /// The consumer of one of [`CONTEXTS`].
    #[must_use]
    pub const fn new(ledger: Ledger, context: &'static str) -> Self {
        Self { ledger, context }
    }

    /// Whether policies of this context look at events of such streams at all.
    fn reacts_to(&self, kind: Kind) -> bool {
        match kind {
            Kind::Basket | Kind::ShoppingList => self.context == Order::CONTEXT,
            Kind::Invoice => self.context == Order::CONTEXT || self.context == Payment::CONTEXT,
            Kind::Order => {
                self.context == Payment::CONTEXT || self.context == Notification::CONTEXT
            }
            Kind::Store
            | Kind::Product
            | Kind::Customer
            | Kind::Payment
            | Kind::Bot
            | Kind::Saga
            | Kind::Notification
            | Kind::DeadLetter => false,
        }
    }
}

impl Handler for Inbound {
    fn name(&self) -> &'static str {
        self.context
    }

    fn key(&self, message: &Recorded) -> Option<Uuid> {
        let concerns = match message.kind {
            MessageKind::Command => message.context() == self.context,
            MessageKind::Event => self.reacts_to(message.stream.kind),
            MessageKind::Reply => false,
        };
        concerns.then_some(message.stream.uuid)
    }

    fn handle<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<(), Failure>> {
        match delivery.message.kind {
            MessageKind::Command if delivery.message.name == contexts::baskets::ABANDON => {
                self.abandon(delivery).boxed()
            }
            MessageKind::Command => self.obey(delivery).boxed(),
            MessageKind::Event => self.react(delivery).boxed(),
            MessageKind::Reply => async { Ok(()) }.boxed(),
        }
    }
}

impl Inbound {
    /// Does what a saga asks and answers it. Events, answer and inbox entry
    /// enter the ledger together; a refusal leaves nothing but the answer.
    async fn obey(&self, delivery: &Delivery) -> Result<(), Failure> {
        let message = &delivery.message;
        let asked: CommandEnvelope =
            serde_json::from_str(&message.payload).map_err(|error| undecodable(&error))?;
        let metadata = message
            .metadata()
            .map_err(|error| undecodable(&error))?
            .caused_by("saga", message.message_id);
        let asked = &asked;
        let committed = self
            .ledger
            .transact(&metadata, |unit| {
                async move {
                    let outcome = match obey(unit, asked.command.clone()).await {
                        Ok(()) => Outcome::Succeeded {},
                        Err(CommandError::Refused(refusal)) => {
                            unit.discard();
                            if refusal.kind == ErrorKind::AlreadyDone {
                                Outcome::Succeeded {}
                            } else {
                                debug!(reason = refusal.reason, "command refused");
                                Outcome::Refused {
                                    reason: refusal.reason.to_owned(),
                                    message: refusal.message,
                                }
                            }
                        }
                        Err(error) => return Err(error),
                    };
                    delivery.accept(unit);
                    unit.send(envelope::reply(message, asked, outcome).map_err(encoding)?);
                    Ok(())
                }
                .boxed()
            })
            .await;
        outcome(committed)
    }

    /// Does what the context's policies say about an event.
    async fn react(&self, delivery: &Delivery) -> Result<(), Failure> {
        let message = &delivery.message;
        let event: DomainEvent = self
            .ledger
            .decode(message)
            .map_err(|error| Failure::Poison(crate::consumer::chain(&error)))?;
        let reactions = reactions(message.stream, &event)
            .map_err(|error| Failure::Poison(error.to_string()))?;
        let Some(reaction) = reactions.into_iter().find(|it| it.context() == self.context) else {
            return Ok(());
        };
        let metadata = message
            .metadata()
            .map_err(|error| undecodable(&error))?
            .caused_by("policy", message.message_id);
        let reaction = &reaction;
        let committed = self
            .ledger
            .transact(&metadata, |unit| {
                async move {
                    react(unit, reaction.clone()).await?;
                    // Nothing to do needs no entry: done again, it is nothing again.
                    if !unit.is_empty() {
                        delivery.accept(unit);
                    }
                    Ok(())
                }
                .boxed()
            })
            .await;
        outcome(committed)
    }

    async fn abandon(&self, delivery: &Delivery) -> Result<(), Failure> {
        let message = &delivery.message;
        let id = message.stream.expect().map_err(|error| Failure::Poison(error.to_string()))?;
        let forgotten: Forgotten =
            serde_json::from_str(&message.payload).map_err(|error| undecodable(&error))?;
        let metadata = message
            .metadata()
            .map_err(|error| undecodable(&error))?
            .caused_by("timer", message.message_id);
        let committed = self
            .ledger
            .transact(&metadata, |unit| {
                async move {
                    contexts::baskets::abandon(unit, id, forgotten).await?;
                    delivery.accept(unit);
                    Ok(())
                }
                .boxed()
            })
            .await;
        outcome(committed)
    }
}

async fn obey(unit: &mut Unit<'_>, command: SagaCommand) -> Result<(), CommandError> {
    match command {
        SagaCommand::AuthorizeCustomer { customer_id, order_id } => {
            contexts::customers::authorize(unit, customer_id, order_id).await
        }
        SagaCommand::CreateShoppingList { list_id, order_id, items } => {
            contexts::depot::create(unit, list_id, order_id, items).await
        }
        SagaCommand::InitiateShopping { list_id } => contexts::depot::initiate(unit, list_id).await,
        SagaCommand::CancelShoppingList { list_id } => contexts::depot::cancel(unit, list_id).await,
        SagaCommand::ConfirmPayment { payment_id, order_id, customer_id, amount } => {
            contexts::payments::confirm(unit, payment_id, order_id, customer_id, amount).await
        }
        SagaCommand::ReleasePayment { payment_id, order_id } => {
            contexts::payments::give_back(unit, payment_id, order_id).await
        }
        SagaCommand::CancelInvoice { invoice_id } => {
            contexts::payments::withdraw(unit, invoice_id).await
        }
        SagaCommand::ApproveOrder { order_id, list_id } => {
            let command = OrderCommand::Approve { shopping_list_id: list_id };
            contexts::ordering::advance(unit, order_id, command).await
        }
        SagaCommand::RejectOrder { order_id, reason } => {
            contexts::ordering::advance(unit, order_id, OrderCommand::Reject { reason }).await
        }
    }
}

async fn react(unit: &mut Unit<'_>, reaction: Reaction) -> Result<(), CommandError> {
    match reaction {
        Reaction::CreateOrder { order_id, customer_id, payment_id, items } => {
            contexts::ordering::create(unit, order_id, customer_id, payment_id, items).await
        }
        Reaction::StartOrder { order_id } => {
            contexts::ordering::advance(unit, order_id, OrderCommand::Start).await
        }
        Reaction::ReadyOrder { order_id } => {
            contexts::ordering::advance(unit, order_id, OrderCommand::Ready).await
        }
        Reaction::CompleteOrder { order_id, invoice_id } => {
            contexts::ordering::advance(unit, order_id, OrderCommand::Complete { invoice_id }).await
        }
        Reaction::CreateInvoice { order_id, customer_id, payment_id, amount } => {
            contexts::payments::bill(unit, order_id, customer_id, payment_id, amount).await
        }
        Reaction::CapturePayment { payment_id, order_id } => {
            contexts::payments::capture(unit, payment_id, order_id).await
        }
        Reaction::LetGoPayment { payment_id, order_id, customer_id } => {
            contexts::payments::let_go(unit, payment_id, order_id, customer_id).await
        }
        Reaction::Notify { customer_id, order_id, kind } => {
            contexts::notifications::request(unit, customer_id, order_id, kind).await
        }
    }
}

/// What the mall itself made cannot fail to become JSON; if it does, it shows.
pub(crate) fn encoding(error: serde_json::Error) -> CommandError {
    CommandError::Store(StoreError::Undecodable {
        name: "outgoing message".to_owned(),
        stream: String::new(),
        source: Arc::new(error),
    })
}
