//! `mallbots orders`: what customers have ordered, and where it stands.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, Subcommand};
use mallbots_domain::ordering::OrderStatus;

use super::asking::{AskError, Mall, MallArgs, Paged, ShowArgs, ended, lower, table, tame, word};
use crate::client::{
    details::{
        OrderDetails, OrderFilter, OrderSort, OrderSummary, StatusCount, order, order_counts,
        orders,
    },
    operations::Amount,
};

/// What can be asked about orders.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum OrdersCommand {
    /// Those that fit, a page of them or all.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// How many of those that fit are in each state.
    #[command(after_help = COUNTS_HELP)]
    Counts(CountsArgs),
    /// One of them, with all that belongs to it.
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

const LIST_HELP: &str = "\
Examples:
  mallbots orders list                      the newest 20
  mallbots orders list --status ready --status in_progress --sort oldest
  mallbots orders list --customer customer_01h455vb4pex5vsknk084sn02q --all
  mallbots orders list --text kite --min-total 50.00 --created-after 2026-11-01T00:00:00Z
  mallbots orders list --all --json | jq -r '.[] | select(.status == \"REJECTED\").id'

Exit codes:
  0  done, whether there are any or not
  1  the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const COUNTS_HELP: &str = "\
Examples:
  mallbots orders counts
  mallbots orders counts --store store_01h455vb4pex5vsknk084sn02q --json

Exit codes:
  0  done
  1  the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const SHOW_HELP: &str = "\
Examples:
  mallbots orders show order_01h455vb4pex5vsknk084sn02q
  mallbots orders show order_01h455vb4pex5vsknk084sn02q --json | jq -r .saga.id

Exit codes:
  0  done
  1  there is none, or the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

/// Which orders.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct FilterArgs {
    /// Those of this customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<String>,

    /// Those with something from this store; may be given several times
    #[arg(long, value_name = "ID")]
    pub store: Vec<String>,

    /// Those with this product; may be given several times
    #[arg(long, value_name = "ID")]
    pub product: Vec<String>,

    /// Those in this state: pending, approved, rejected, `in_progress`, ready,
    /// completed or canceled; may be given several times
    #[arg(long, value_name = "STATE", value_parser = word::<OrderStatus>)]
    pub status: Vec<OrderStatus>,

    /// Those placed at this moment or later
    #[arg(long, value_name = "RFC 3339")]
    pub created_after: Option<String>,

    /// Those placed before this moment
    #[arg(long, value_name = "RFC 3339")]
    pub created_before: Option<String>,

    /// Those that cost at least this
    #[arg(long, value_name = "AMOUNT")]
    pub min_total: Option<Amount>,

    /// Those that cost at most this
    #[arg(long, value_name = "AMOUNT")]
    pub max_total: Option<Amount>,

    /// Those with this in the name of the customer, a product or a store
    #[arg(long)]
    pub text: Option<String>,
}

/// Which are listed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How they are sorted
    #[arg(long, value_enum, default_value_t)]
    pub sort: OrderSort,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub paged: Paged,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Which are counted.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CountsArgs {
    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub filter: FilterArgs,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

impl FilterArgs {
    fn filter(&self) -> OrderFilter {
        let some = |ids: &[String]| (!ids.is_empty()).then(|| ids.to_vec());
        OrderFilter {
            customer_id: self.customer.clone(),
            store_ids: some(&self.store),
            product_ids: some(&self.product),
            statuses: (!self.status.is_empty()).then(|| self.status.clone()),
            created_after: self.created_after.clone(),
            created_before: self.created_before.clone(),
            min_total: self.min_total,
            max_total: self.max_total,
            text: self.text.clone(),
        }
    }
}

/// Does it, and tells how it ended.
pub async fn command(command: &OrdersCommand) -> ExitCode {
    ended(match command {
        OrdersCommand::List(args) => list(args).await,
        OrdersCommand::Counts(args) => counts(args).await,
        OrdersCommand::Show(args) => show(args).await,
    })
}

async fn list(args: &ListArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let filter = args.filter.filter();
    let sort = args.sort;
    let found = mall
        .pages(args.paged, |first, after| orders(&filter, sort, first, after.as_deref()))
        .await?;
    mall.tell(&found, |found| {
        if found.is_empty() {
            return "There are no orders that fit.\n".to_owned();
        }
        let rows: Vec<_> = found.iter().map(row).collect();
        table(["ID", "STATUS", "CUSTOMER", "TOTAL", "PLACED", "CHANGED"], &rows)
    })?;
    Ok(true)
}

fn row(order: &OrderSummary) -> [String; 6] {
    [
        order.id.clone(),
        lower(&order.status),
        order.customer.name.clone(),
        order.total.to_string(),
        order.created_at.clone(),
        order.updated_at.clone(),
    ]
}

async fn counts(args: &CountsArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let counts = mall.ask(&order_counts(&args.filter.filter())).await?;
    mall.tell(&counts, |counts| {
        let row = |one: &StatusCount| [lower(&one.status), one.count.to_string()];
        table(["STATUS", "ORDERS"], &counts.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(true)
}

async fn show(args: &ShowArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let found = mall.ask(&order(&args.id)).await?;
    let found = found.ok_or_else(|| AskError::Here(format!("there is no order {}", args.id)))?;
    mall.tell(&found, in_words)?;
    Ok(true)
}

fn in_words(order: &OrderDetails) -> String {
    let OrderDetails { summary, items, payment, invoice, shopping_list, saga, .. } = order;
    let billed = |one: &crate::client::details::Billed| {
        format!("{}  {}  {}", one.id, one.status.to_ascii_lowercase(), one.amount)
    };
    let list = shopping_list.as_ref();
    let list = list.map(|list| format!("{}  {}", list.id, list.status.to_ascii_lowercase()));
    let saga = saga.as_ref();
    let mut text = String::new();
    for (name, value) in [
        ("order", Some(summary.id.clone())),
        ("status", Some(lower(&summary.status))),
        ("rejected", order.rejection_reason.clone()),
        ("canceled", order.cancellation_reason.clone()),
        ("customer", Some(format!("{}  {}", summary.customer.id, summary.customer.name))),
        ("placed", Some(summary.created_at.clone())),
        ("changed", Some(summary.updated_at.clone())),
        ("payment", payment.as_ref().map(billed)),
        ("invoice", invoice.as_ref().map(billed)),
        ("list", list),
        ("saga", saga.map(|saga| format!("{}  {}  {}", saga.id, saga.name, lower(&saga.state)))),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<8}  {}", tame(&value));
        }
    }
    let row = |line: &crate::client::details::OrderLine| {
        [
            line.quantity.to_string(),
            line.product_name.clone(),
            line.store_name.clone(),
            line.price.to_string(),
            line.line_total.to_string(),
        ]
    };
    let mut rows: Vec<_> = items.iter().map(row).collect();
    rows.push([
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        summary.total.to_string(),
    ]);
    text + "\n" + &table(["PIECES", "PRODUCT", "STORE", "PRICE", "TOTAL"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_named_as_people_write() {
        assert_eq!(word::<OrderStatus>("in_progress"), Ok(OrderStatus::InProgress));
        assert_eq!(word::<OrderStatus>("READY"), Ok(OrderStatus::Ready));
        let fault = word::<OrderStatus>("lost").unwrap_err();
        assert!(fault.contains("pending") && fault.contains("canceled"), "{fault}");
    }
}
