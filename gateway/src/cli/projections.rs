//! `mallbots projections`: how the read models stand, and filling them anew.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    asking::{AskError, Mall, MallArgs, ended, position, table},
    bar::Bar,
};
use crate::client::operating::{
    Projection, Rebuild, RebuildState, projections, rebuild_projection,
};

/// The name under which all are rebuilt in one go.
const ALL: &str = "all";
/// How often it is asked how far a rebuild is.
const LOOK: Duration = Duration::from_millis(200);

/// What can be done with the read models of a running mall.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ProjectionsCommand {
    /// How far each is behind the ledger, and what it could not take in.
    #[command(after_help = LIST_HELP)]
    List(MallArgs),
    /// Fills some, or all, anew from the ledger, while the mall goes on.
    ///
    /// The new tables are filled beside the live ones and swapped in when they
    /// have caught up. If it is killed halfway, the live ones go on serving.
    #[command(after_help = REBUILD_HELP)]
    Rebuild(RebuildArgs),
}

const LIST_HELP: &str = "\
Examples:
  mallbots projections list
  mallbots projections list --json | jq '.[] | select(.lag > 0)'

Exit codes:
  0  done
  1  the mall refused; the message says why
  2  wrong usage
  3  the mall cannot be reached";

const REBUILD_HELP: &str = "\
Examples:
  mallbots projections rebuild orders       one of them, with its progress
  mallbots projections rebuild --all        all of them, in one pass over the ledger
  mallbots projections rebuild --all --no-wait && mallbots projections list

Exit codes:
  0  the new tables are the live ones; with --no-wait: it was asked for
  1  the mall refused, or the rebuild was given up; the message says why
  2  wrong usage
  3  the mall cannot be reached";

/// Which read models are filled anew.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RebuildArgs {
    /// Which, by the names that `list` shows; one after the other
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub names: Vec<String>,

    /// All of them, in one go
    #[arg(long, conflicts_with = "names")]
    pub all: bool,

    /// Does not wait until it is done
    #[arg(long)]
    pub no_wait: bool,

    #[expect(missing_docs, reason = "clap would take it for the command's own description")]
    #[command(flatten)]
    pub mall: MallArgs,
}

/// Does it, and tells how it ended.
pub async fn command(command: &ProjectionsCommand) -> ExitCode {
    ended(match command {
        ProjectionsCommand::List(mall) => list(mall).await,
        ProjectionsCommand::Rebuild(args) => rebuild(args).await,
    })
}

async fn list(args: &MallArgs) -> Result<bool, AskError> {
    let mall = Mall::of(args)?;
    let all = mall.ask(&projections()).await?;
    mall.tell(&all, |all| {
        let rows: Vec<_> = all.iter().map(row).collect();
        table(["NAME", "POSITION", "LAG", "PARKED", "REBUILD"], &rows)
    })?;
    Ok(true)
}

fn row(projection: &Projection) -> [String; 5] {
    let rebuild = match (&projection.rebuilding, &projection.rebuild) {
        (Some(share), _) => format!("{:.0} %", share * 100.0),
        (None, Some(Rebuild { state: RebuildState::Failed, error, .. })) => {
            format!("failed: {}", error.as_deref().unwrap_or("nobody knows why"))
        }
        (None, Some(Rebuild { ended_at: Some(at), .. })) => format!("done {at}"),
        (None, Some(_) | None) => String::new(),
    };
    [
        projection.name.clone(),
        position(&projection.position),
        projection.lag.to_string(),
        projection.parked.to_string(),
        rebuild,
    ]
}

/// What became of a rebuild.
#[derive(Debug, Serialize)]
struct Rebuilt {
    name: String,
    state: RebuildState,
    error: Option<String>,
}

async fn rebuild(args: &RebuildArgs) -> Result<bool, AskError> {
    let mall = Mall::of(&args.mall)?;
    let names = if args.all { vec![ALL.to_owned()] } else { args.names.clone() };
    let mut rebuilt = Vec::new();
    for name in names {
        let begun = mall.ask_once(&rebuild_projection(&name)).await?.projection.rebuild;
        let last = match begun {
            Some(begun) if !args.no_wait => wait_for(&mall, &name, begun).await?,
            begun => begun,
        };
        let state = last.as_ref().map_or(RebuildState::Requested, |last| last.state);
        rebuilt.push(Rebuilt { name, state, error: last.and_then(|last| last.error) });
        if state == RebuildState::Failed {
            break;
        }
    }
    mall.tell(&rebuilt, |rebuilt| rebuilt.iter().map(sentence).collect())?;
    Ok(rebuilt.iter().all(|one| one.state != RebuildState::Failed))
}

fn sentence(rebuilt: &Rebuilt) -> String {
    let Rebuilt { name, state, error } = rebuilt;
    match state {
        RebuildState::Requested => format!("{name}: a rebuild was asked for\n"),
        RebuildState::Running => format!("{name}: being rebuilt\n"),
        RebuildState::Done => format!("{name}: rebuilt\n"),
        RebuildState::Failed => {
            let error = error.as_deref().unwrap_or("nobody knows why");
            format!("{name}: not rebuilt, the live tables are as they were: {error}\n")
        }
    }
}

/// Watches a rebuild until it is over.
async fn wait_for(mall: &Mall, name: &str, begun: Rebuild) -> Result<Option<Rebuild>, AskError> {
    let mut bar = Bar::new();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let all = mall.ask(&projections()).await?;
        // Each of them tells how a rebuild of all goes.
        let Some(now) = all.into_iter().find(|one| name == ALL || one.name == name) else {
            return Ok(None);
        };
        bar.at(now.rebuilding.unwrap_or_default(), &format!("rebuilding {name}"));
        match now.rebuild {
            Some(now) if now.requested_at == begun.requested_at => match now.state {
                RebuildState::Requested | RebuildState::Running => {}
                RebuildState::Done | RebuildState::Failed => return Ok(Some(now)),
            },
            // Somebody has asked for another since: this one is over.
            Some(_) | None => return Ok(Some(Rebuild { state: RebuildState::Done, ..begun })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection(rebuilding: Option<f64>, rebuild: Option<Rebuild>) -> Projection {
        Projection {
            name: "orders".to_owned(),
            position: "0000000000000012".to_owned(),
            lag: 3,
            parked: 0,
            rebuilding,
            rebuild,
        }
    }

    #[test]
    fn a_line_says_how_a_rebuild_goes_or_went() {
        let rebuild = |state, error: Option<&str>, ended_at: Option<&str>| Rebuild {
            state,
            error: error.map(str::to_owned),
            requested_at: "2026".to_owned(),
            ended_at: ended_at.map(str::to_owned),
        };
        let told = |projection| row(&projection)[4].clone();
        assert_eq!(row(&projection(None, None)), ["orders", "12", "3", "0", ""]);
        let running = Some(rebuild(RebuildState::Running, None, None));
        assert_eq!(told(projection(Some(0.426), running)), "43 %");
        let failed = Some(rebuild(RebuildState::Failed, Some("no room"), Some("2027")));
        assert_eq!(told(projection(None, failed)), "failed: no room");
        let done = Some(rebuild(RebuildState::Done, None, Some("2027")));
        assert_eq!(told(projection(None, done)), "done 2027");
    }
}
