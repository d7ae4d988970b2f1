//! `mallbots saga`: the long processes that orders are in, step by step.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use mallbots_domain::saga::SagaState;
use mallbots_projections::sagas::SagaStepState;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::asking::{AskError, Mall, MallArgs, Paged, ShowArgs, ended, lower, table, tame, word};
use crate::client::details::{SagaDetails, SagaStep, retry_saga, saga, sagas};

/// What can be done with sagas.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SagaCommand {
    /// Sagas, newest first, a page of them or all.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// One of them as a picture: its steps, and what became of each.
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Lets stuck ones go on: the step each is stuck at is tried again now.
    #[command(after_help = RETRY_HELP)]
    Retry(RetryArgs),
}

const LIST_HELP: &str = "\
Examples:
  mallbots saga list
  mallbots saga list --stuck                those that wait for an operator
  mallbots saga list --state running --state compensating --all
  mallbots saga list --stuck --all --json | jq -r '.[].id' | xargs mallbots saga retry

In the column STEPS each sign is a step: · waiting, > running, + done, x refused,
~ to be tried again, < being undone, - undone, _ left out, ! stuck.

Exit codes:
  0  done, whether there are any or not
  1  the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const SHOW_HELP: &str = "\
Examples:
  mallbots saga show saga_01h455vb4pex5vsknk084sn02q
  mallbots saga show \"$(mallbots orders show ID --json | jq -r .saga.id)\"

Exit codes:
  0  done
  1  there is none, or the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const RETRY_HELP: &str = "\
Examples:
  mallbots saga retry saga_01h455vb4pex5vsknk084sn02q
  mallbots saga list --stuck --all --json | jq -r '.[].id' | xargs mallbots saga retry

Exit codes:
  0  they go on
  1  the mall refused one, for example because it is not stuck; the message says why
  2  wrong usage
  3  the mall cannot be reached";

/// Which are listed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    /// Only those in this state: running, compensating, completed, compensated
    /// or stuck; may be given several times
    #[arg(long, value_name = "STATE", value_parser = word::<SagaState>)]
    pub state: Vec<SagaState>,

    /// Only those that wait for an operator
    #[arg(long, conflicts_with = "state")]
    pub stuck: bool,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub paged: Paged,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Which go on.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RetryArgs {
    /// Which
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Does it, and tells how it ended.
pub async fn command(command: &SagaCommand) -> ExitCode {
    ended(match command {
        SagaCommand::List(args) => list(args).await,
        SagaCommand::Show(args) => show(args).await,
        SagaCommand::Retry(args) => retry(args).await,
    })
}

async fn list(args: &ListArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let stuck = [SagaState::Stuck];
    let states = if args.stuck { &stuck[..] } else { &args.state };
    let states = (!states.is_empty()).then_some(states);
    let found =
        mall.pages(args.paged, |first, after| sagas(states, first, after.as_deref())).await?;
    mall.tell(&found, |found| {
        if found.is_empty() {
            return "There are no sagas that fit.\n".to_owned();
        }
        let rows: Vec<_> = found.iter().map(row).collect();
        table(["ID", "NAME", "STATE", "STEPS", "ORDER", "BEGAN", "WHY"], &rows)
    })?;
    Ok(true)
}

fn row(saga: &SagaDetails) -> [String; 7] {
    [
        saga.id.clone(),
        saga.name.clone(),
        lower(&saga.state),
        saga.steps.iter().map(|step| sign(step.state)).collect(),
        saga.order.id.clone(),
        saga.started_at.clone(),
        why(saga).unwrap_or_default().to_owned(),
    ]
}

/// Why it is not simply going on.
fn why(saga: &SagaDetails) -> Option<&str> {
    let at_step = saga
        .steps
        .iter()
        .find(|step| matches!(step.state, SagaStepState::Stuck | SagaStepState::Retrying));
    at_step.and_then(|step| step.reason.as_deref()).or(saga.refusal.as_deref())
}

async fn show(args: &ShowArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let found = mall.ask(&saga(&args.id)).await?;
    let found = found.ok_or_else(|| AskError::Here(format!("there is no saga {}", args.id)))?;
    mall.tell(&found, picture)?;
    Ok(true)
}

async fn retry(args: &RetryArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let mut retried = Vec::new();
    for id in &args.ids {
        let answered = mall.ask(&retry_saga(id)).await?.saga;
        let saga = match answered {
            Some(saga) => Some(saga),
            // The read side is late.
            None => mall.ask(&saga(id)).await?,
        };
        retried.extend(saga);
    }
    mall.tell(&retried, |retried| {
        let mut text = String::new();
        for saga in retried {
            let _ = writeln!(text, "{}: {}", saga.id, lower(&saga.state));
        }
        text
    })?;
    Ok(true)
}

/// A step in one sign.
const fn sign(state: SagaStepState) -> char {
    match state {
        SagaStepState::Waiting => '·',
        SagaStepState::Running => '>',
        SagaStepState::Succeeded => '+',
        SagaStepState::Refused => 'x',
        SagaStepState::Retrying => '~',
        SagaStepState::Compensating => '<',
        SagaStepState::Compensated => '-',
        SagaStepState::Skipped => '_',
        SagaStepState::Stuck => '!',
    }
}

/// The steps from top to bottom; a saga that turned back is drawn walking up
/// again on the right.
fn picture(saga: &SagaDetails) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("saga", Some(format!("{}  {}  {}", saga.id, saga.name, lower(&saga.state)))),
        ("order", Some(format!("{}  {}", saga.order.id, lower(&saga.order.status)))),
        ("began", Some(saga.started_at.clone())),
        ("ended", saga.ended_at.clone()),
        ("refused", saga.refusal.clone()),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<7}  {}", tame(&value));
        }
    }
    text.push('\n');
    let width = saga.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
    // It turned at the last step that was tried at all.
    let turned = saga.steps.iter().any(|step| goes_back(step.state));
    let turn = if turned {
        saga.steps.iter().rposition(|step| step.attempts > 0 && step.started_at.is_some())
    } else {
        None
    };
    for (number, step) in saga.steps.iter().enumerate() {
        if number > 0 {
            let back = if turn.is_some_and(|turn| number <= turn) { "  ▲" } else { "" };
            let way = if turn.is_some_and(|turn| number > turn) { "┊" } else { "▼" };
            let _ = writeln!(text, "   {way}{back}");
        }
        let _ =
            writeln!(text, "  [{}] {:<width$}  {}", sign(step.state), tame(&step.name), told(step));
    }
    text
}

const fn goes_back(state: SagaStepState) -> bool {
    match state {
        SagaStepState::Compensating | SagaStepState::Compensated => true,
        SagaStepState::Waiting
        | SagaStepState::Running
        | SagaStepState::Succeeded
        | SagaStepState::Refused
        | SagaStepState::Retrying
        | SagaStepState::Skipped
        | SagaStepState::Stuck => false,
    }
}

/// What became of a step, in words.
fn told(step: &SagaStep) -> String {
    let mut words = vec![lower(&step.state)];
    if step.attempts > 1 {
        words.push(format!("tried {} times", step.attempts));
    }
    if let Some(took) = took(step) {
        words.push(format!("took {took:?}"));
    }
    if let Some(next) = &step.next_attempt_at {
        words.push(format!("again at {next}"));
    }
    let words = words.join(", ");
    match &step.reason {
        Some(reason) => format!("{words}: {}", tame(reason)),
        None => words,
    }
}

/// How long a step took that is over, to the millisecond.
fn took(step: &SagaStep) -> Option<Duration> {
    let moment = |text: &Option<String>| OffsetDateTime::parse(text.as_deref()?, &Rfc3339).ok();
    let took = moment(&step.ended_at)? - moment(&step.started_at)?;
    u64::try_from(took.whole_milliseconds()).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use mallbots_domain::ordering::OrderStatus;

    use super::*;
    use crate::client::details::OrderRef;

    fn step(name: &str, state: SagaStepState, attempts: u32, reason: Option<&str>) -> SagaStep {
        let at = |second: u32| (attempts > 0).then(|| format!("2026-11-23T11:15:0{second}Z"));
        let is_over = !matches!(
            state,
            SagaStepState::Running | SagaStepState::Retrying | SagaStepState::Stuck
        );
        SagaStep {
            name: name.to_owned(),
            state,
            attempts,
            started_at: at(0),
            ended_at: at(1).filter(|_| is_over),
            next_attempt_at: at(5).filter(|_| state == SagaStepState::Retrying),
            reason: reason.map(str::to_owned),
        }
    }

    fn saga(state: SagaState, steps: Vec<SagaStep>) -> SagaDetails {
        SagaDetails {
            id: "saga_1".to_owned(),
            name: "create_order".to_owned(),
            state,
            order: OrderRef { id: "order_1".to_owned(), status: OrderStatus::Pending },
            started_at: "2026-11-23T11:15:00Z".to_owned(),
            ended_at: None,
            refusal: None,
            steps,
        }
    }

    #[test]
    fn a_saga_that_goes_forward_is_drawn_downwards() {
        let steps = vec![
            step("AuthorizeCustomer", SagaStepState::Succeeded, 1, None),
            step("ConfirmPayment", SagaStepState::Retrying, 3, Some("TIMED_OUT")),
            step("ApproveOrder", SagaStepState::Waiting, 0, None),
        ];
        let saga = saga(SagaState::Running, steps);
        assert_eq!(
            picture(&saga),
            "saga     saga_1  create_order  running\n\
             order    order_1  pending\n\
             began    2026-11-23T11:15:00Z\n\
             \n\
             \x20 [+] AuthorizeCustomer  succeeded, took 1s\n\
             \x20  ▼\n\
             \x20 [~] ConfirmPayment     retrying, tried 3 times, again at 2026-11-23T11:15:05Z: TIMED_OUT\n\
             \x20  ▼\n\
             \x20 [·] ApproveOrder       waiting\n"
        );
        assert_eq!(row(&saga)[3], "+~·");
        assert_eq!(row(&saga)[6], "TIMED_OUT");
    }

    #[test]
    fn a_saga_that_turned_back_is_drawn_walking_back() {
        let steps = vec![
            step("AuthorizeCustomer", SagaStepState::Compensated, 1, None),
            step("ConfirmPayment", SagaStepState::Refused, 1, Some("NOT_AUTHORIZED")),
            step("ApproveOrder", SagaStepState::Skipped, 0, None),
        ];
        let saga = saga(SagaState::Compensating, steps);
        let picture = picture(&saga);
        let drawn: Vec<_> = picture.lines().skip(4).collect();
        assert_eq!(
            drawn,
            [
                "  [-] AuthorizeCustomer  compensated, took 1s",
                "   ▼  ▲",
                "  [x] ConfirmPayment     refused, took 1s: NOT_AUTHORIZED",
                "   ┊",
                "  [_] ApproveOrder       skipped",
            ]
        );
    }
}
