//! `mallbots events`: what happened to anything, from the beginning, and on as
//! it happens.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::asking::{AskError, Mall, MallArgs, Paged, ended, position, tame};
use crate::client::{
    Backoff,
    details::{Event, EventEdge, history, history_changed},
};

/// How long a mall may be away before who follows it gives up.
const FOLLOWED_FOR: Duration = Duration::from_hours(24);

/// What the help says at its end.
pub(crate) const HELP: &str = "\
Examples:
  mallbots events order_01h455vb4pex5vsknk084sn02q
  mallbots events basket_01h455vb4pex5vsknk084sn02q --follow
  mallbots events order_01h455vb4pex5vsknk084sn02q --json | jq '.[] | {name, actor}'
  mallbots events saga_01h455vb4pex5vsknk084sn02q --follow --json | jq -c .payload

With --json it is a list; with --follow besides, an object a line. When the
connection is lost, --follow says so and goes on where it stopped once the mall
is back, without a gap and without telling anything twice.

Exit codes:
  0  done; with --follow: nobody reads any more what is told
  1  there is nothing of this id, or the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

/// Whose history is told.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EventsArgs {
    /// Of what: an order, a basket, a saga, a customer, anything with an id
    #[arg(value_name = "ID")]
    pub id: String,

    /// Goes on as it happens, until it is interrupted
    #[arg(long, short)]
    pub follow: bool,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Does it, and tells how it ended.
pub async fn command(args: &EventsArgs) -> ExitCode {
    ended(if args.follow { follow(args).await } else { list(args).await })
}

async fn list(args: &EventsArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let page = |first, after: Option<String>| history(&args.id, first, after.as_deref());
    let events = mall.pages(Paged::ALL, page).await?;
    mall.tell(&events, |events| events.iter().map(in_words).collect())?;
    Ok(true)
}

async fn follow(args: &EventsArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let mut after: Option<String> = None;
    // A mall that was never there is told sooner than one that is gone.
    let mut patience = Mall::patience();
    loop {
        let lost = match mall.watch(&history_changed(&args.id, after.as_deref())).await {
            Err(error) => error,
            Ok(mut told) => loop {
                match told.next().await {
                    Some(Ok(EventEdge { cursor, node })) => {
                        tell(&mall, &node)?;
                        after = Some(cursor);
                        patience = Backoff::lasting(FOLLOWED_FOR);
                    }
                    Some(Err(error)) => break error.into(),
                    // It says goodbye when it closes.
                    None => break AskError::Here("the mall has closed".to_owned()),
                }
            },
        };
        if !lost.is_passing() || !patience.wait().await {
            return Err(lost);
        }
        if patience.is_first() {
            // With standard error gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "mallbots: the connection is lost, trying again");
        }
    }
}

fn tell(mall: &Mall, event: &Event) -> Result<(), AskError> {
    let text = if mall.json {
        serde_json::to_string(event).map_err(|error| AskError::Here(error.to_string()))? + "\n"
    } else {
        in_words(event)
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// An event on three lines: what and when, who and why, its content.
fn in_words(event: &Event) -> String {
    let Event { version, name, at, actor, payload, cause, position: place, .. } = event;
    let actor = actor.as_deref().unwrap_or("nobody knows who");
    let because = cause.as_ref().map_or_else(String::new, |cause| {
        format!(", because of {} of {} ({})", cause.name, cause.stream, cause.id)
    });
    format!(
        "{version:>4}  {at}  {}\n      by {} at {}{}\n      {payload}\n",
        tame(name),
        tame(actor),
        position(place),
        tame(&because),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::details::Cause;

    #[test]
    fn an_event_says_what_who_why_and_with_what() {
        let event = Event {
            id: "e".to_owned(),
            position: "0000000000000007".to_owned(),
            version: 2,
            name: "ordering.OrderApproved".to_owned(),
            at: "2026-11-23T11:15:00Z".to_owned(),
            actor: Some("ada\u{1b}[2J".to_owned()),
            payload: json!({ "text": "a\nb" }),
            cause: Some(Cause {
                id: "c".to_owned(),
                name: "ordering.ApproveOrder".to_owned(),
                stream: "order_1".to_owned(),
            }),
        };
        assert_eq!(
            in_words(&event),
            "   2  2026-11-23T11:15:00Z  ordering.OrderApproved\n      \
             by ada\u{fffd}[2J at 7, because of ordering.ApproveOrder of order_1 (c)\n      \
             {\"text\":\"a\\nb\"}\n"
        );
    }
}
