//! `mallbots dlq`: what is parked because it could not be handled, and what is
//! to become of it.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::asking::{AskError, Mall, MallArgs, ShowArgs, ended, table};
use crate::{
    client::operating::{
        DeadLetter, dead_letter, dead_letters, discard_dead_letter, retry_dead_letter,
    },
    config::duration,
};

/// How many are asked for at once.
const PAGE: u32 = 100;
/// How often it is looked what became of one.
const LOOK: Duration = Duration::from_millis(100);

/// What can be done with what is parked in a running mall.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DlqCommand {
    /// What is parked, in the order in which it happened.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// One of them, with its content.
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Tries again, and then, in order, what waits behind.
    #[command(after_help = SETTLE_HELP)]
    Retry(SettleArgs),
    /// Mends the content, in $EDITOR or from a file, and tries again.
    #[command(after_help = EDIT_HELP)]
    Edit(EditArgs),
    /// Throws away, for good, and tries what waits behind.
    #[command(after_help = SETTLE_HELP)]
    Discard(SettleArgs),
}

const LIST_HELP: &str = "\
Examples:
  mallbots dlq list
  mallbots dlq list --consumer depot --json | jq -r '.[].id'

Exit codes:
  0  done, whether something is parked or not
  1  the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const SHOW_HELP: &str = "\
Examples:
  mallbots dlq show deadletter_01h455vb4pex5vsknk084sn02q
  mallbots dlq show deadletter_01h455vb4pex5vsknk084sn02q --json | jq '.payload | fromjson'

Exit codes:
  0  done
  1  it is not parked, or the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const SETTLE_HELP: &str = "\
Examples:
  mallbots dlq retry deadletter_01h455vb4pex5vsknk084sn02q
  mallbots dlq list --json | jq -r '.[] | select(.attempts > 0).id' | xargs mallbots dlq retry
  mallbots dlq discard deadletter_01h455vb4pex5vsknk084sn02q --no-wait

Exit codes:
  0  handled or thrown away; with --no-wait: asked for
  1  the mall refused, or the message is still parked when the wait is over
  2  wrong usage
  3  the mall cannot be reached";

const EDIT_HELP: &str = "\
Examples:
  EDITOR=nano mallbots dlq edit deadletter_01h455vb4pex5vsknk084sn02q
  mallbots dlq edit deadletter_01h455vb4pex5vsknk084sn02q --payload mended.json
  mallbots dlq show ID --json | jq '.payload | fromjson | .quantity = 1' |
    mallbots dlq edit ID --payload -

Exit codes:
  0  handled; with --no-wait: asked for; left as it was
  1  the mall refused, or the message is still parked when the wait is over
  2  wrong usage
  3  the mall cannot be reached";

/// Which are listed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ListArgs {
    /// Only what this one could not handle
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,

    /// Only what is about this
    #[arg(long)]
    pub key: Option<String>,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Which are settled.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SettleArgs {
    /// Which
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub waiting: WaitingArgs,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// How one is mended.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EditArgs {
    /// Which
    #[arg(value_name = "ID")]
    pub id: String,

    /// The content, a JSON object: from a file, or with - from standard input
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,

    /// What to edit it with
    #[arg(long, env = "EDITOR", value_name = "COMMAND", default_value = "vi")]
    pub editor: String,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub waiting: WaitingArgs,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// How long it is waited for what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WaitingArgs {
    /// How long to wait for what becomes of it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub wait: Duration,

    /// Does not wait
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
}

/// Does it, and tells how it ended.
pub async fn command(command: &DlqCommand) -> ExitCode {
    ended(match command {
        DlqCommand::List(args) => list(args).await,
        DlqCommand::Show(args) => show(args).await,
        DlqCommand::Retry(args) => settle(args, &Say::Retry).await,
        DlqCommand::Edit(args) => edit(args).await,
        DlqCommand::Discard(args) => settle(args, &Say::Discard).await,
    })
}

async fn list(args: &ListArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let mut letters = Vec::new();
    let mut after = None;
    loop {
        let page = mall.ask(&dead_letters(PAGE, after.as_deref())).await?;
        letters.extend(page.nodes.into_iter().filter(|letter| {
            args.consumer.as_ref().is_none_or(|name| *name == letter.consumer)
                && args.key.as_ref().is_none_or(|key| *key == letter.key)
        }));
        after = page.page_info.end_cursor;
        if !page.page_info.has_next_page || after.is_none() {
            break;
        }
    }
    mall.tell(&letters, |letters| {
        if letters.is_empty() {
            return "Nothing is parked.\n".to_owned();
        }
        let rows: Vec<_> = letters.iter().map(row).collect();
        table(["ID", "CONSUMER", "MESSAGE", "KEY", "TRIED", "BEHIND", "REASON"], &rows)
    })?;
    Ok(true)
}

fn row(letter: &DeadLetter) -> [String; 7] {
    [
        letter.id.clone(),
        letter.consumer.clone(),
        letter.message_name.clone(),
        letter.key.clone(),
        letter.attempts.to_string(),
        letter.blocked.to_string(),
        letter.reason.clone(),
    ]
}

async fn show(args: &ShowArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let letter = found(&mall, &args.id).await?;
    mall.tell(&letter, |letter| {
        let mut text = String::new();
        for (name, value) in [
            ("id", &letter.id),
            ("consumer", &letter.consumer),
            ("key", &letter.key),
            ("message", &letter.message_name),
            ("reason", &letter.reason),
            ("tried", &letter.attempts.to_string()),
            ("first failed", &letter.first_failed_at),
            ("behind it", &letter.blocked.to_string()),
        ] {
            let _ = writeln!(text, "{name:<12}  {value}");
        }
        text + &pretty(&letter.payload) + "\n"
    })?;
    Ok(true)
}

async fn found(mall: &Mall, id: &str) -> Result<DeadLetter, AskError> {
    let letter = look(mall, id).await?;
    letter.ok_or_else(|| AskError::Here(format!("{id} is not parked")))
}

/// A parked message, if it is still there.
async fn look(mall: &Mall, id: &str) -> Result<Option<DeadLetter>, AskError> {
    match mall.ask(&dead_letter(id)).await {
        Err(AskError::Call(error)) if error.code() == "NOT_FOUND" => Ok(None),
        found => found,
    }
}

/// JSON for people; what is none stays as it is.
fn pretty(json: &str) -> String {
    serde_json::from_str::<Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

/// What is said about a parked message.
enum Say {
    Retry,
    Mend(String),
    Discard,
}

/// What became of a parked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Outcome {
    /// It was asked for.
    Requested,
    /// It was handled.
    Handled,
    /// It was thrown away.
    Discarded,
    /// It was waited for, and it is still there.
    StillParked,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Settling {
    id: String,
    outcome: Outcome,
    reason: Option<String>,
}

async fn settle(args: &SettleArgs, say: &Say) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let mut settled = Vec::new();
    for id in &args.ids {
        let letter = found(&mall, id).await?;
        settled.push(settle_one(&mall, &letter, say, &args.waiting).await?);
    }
    tell(&mall, &settled)
}

fn tell(mall: &Mall, settled: &[Settling]) -> Result<bool, AskError> {
    mall.tell(settled, |settled| settled.iter().map(sentence).collect())?;
    Ok(settled.iter().all(|one| one.outcome != Outcome::StillParked))
}

fn sentence(settling: &Settling) -> String {
    let Settling { id, outcome, reason } = settling;
    let reason = reason.as_deref().unwrap_or_default();
    match outcome {
        Outcome::Requested => format!("{id}: asked for\n"),
        Outcome::Handled => format!("{id}: handled\n"),
        Outcome::Discarded => format!("{id}: thrown away\n"),
        Outcome::StillParked => format!("{id}: still parked: {reason}\n"),
    }
}

async fn settle_one(
    mall: &Mall,
    letter: &DeadLetter,
    say: &Say,
    waiting: &WaitingArgs,
) -> Result<Settling, AskError> {
    let id = &letter.id;
    let (request, gone) = match say {
        Say::Retry => (retry_dead_letter(id, None), Outcome::Handled),
        Say::Mend(payload) => (retry_dead_letter(id, Some(payload)), Outcome::Handled),
        Say::Discard => (discard_dead_letter(id), Outcome::Discarded),
    };
    mall.ask(&request).await?;
    let settling =
        |outcome, reason: Option<String>| Ok(Settling { id: id.clone(), outcome, reason });
    if waiting.no_wait {
        return settling(Outcome::Requested, None);
    }
    let until = Instant::now() + waiting.wait;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match look(mall, id).await? {
            None => return settling(gone, None),
            Some(now) if now.attempts > letter.attempts || Instant::now() > until => {
                return settling(Outcome::StillParked, Some(now.reason));
            }
            Some(_) => {}
        }
    }
}

async fn edit(args: &EditArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let letter = found(&mall, &args.id).await?;
    let mended = match &args.payload {
        Some(file) if file == Path::new("-") => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(file) => fs::read_to_string(file)
            .map_err(|error| AskError::Here(format!("{}: {error}", file.display())))?,
        None => {
            let before = pretty(&letter.payload) + "\n";
            let after = edited(&args.editor, &before)?;
            if after.trim() == before.trim() {
                // With standard error gone there is nobody to tell.
                let _ = writeln!(io::stderr(), "mallbots: nothing was changed, nothing is tried");
                return Ok(true);
            }
            after
        }
    };
    // The mall would say so too, but not where.
    let object: Map<String, Value> = serde_json::from_str(&mended)
        .map_err(|error| AskError::Here(format!("the content is not a JSON object: {error}")))?;
    let say = Say::Mend(Value::Object(object).to_string());
    tell(&mall, &[settle_one(&mall, &letter, &say, &args.waiting).await?])
}

/// The text as somebody has edited it.
fn edited(editor: &str, text: &str) -> Result<String, AskError> {
    let mut file = tempfile::Builder::new().prefix("mallbots-").suffix(".json").tempfile()?;
    file.write_all(text.as_bytes())?;
    file.flush()?;
    // As other programs do it: the variable may hold arguments.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file.path())
        .status()?;
    if !status.success() {
        return Err(AskError::Here(format!("{editor} failed: nothing is tried")));
    }
    // Some editors put another file in its place: it is read by its name.
    Ok(fs::read_to_string(file.path())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_may_have_arguments_and_gives_back_what_it_wrote() {
        assert_eq!(edited("sed -i -e s/1/2/", "{\"a\":1}").unwrap(), "{\"a\":2}");
        assert!(matches!(edited("false", "{}"), Err(AskError::Here(_))));
    }

    #[test]
    fn json_is_shown_for_people_and_what_is_none_as_it_is() {
        assert_eq!(pretty("{\"a\":1}"), "{\n  \"a\": 1\n}");
        assert_eq!(pretty("{broken"), "{broken");
    }
}
