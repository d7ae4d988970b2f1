//! Telling how it goes, on standard error: one line that changes at a
//! terminal, a new line now and then elsewhere.

use std::{
    convert::Infallible,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::{Shift, summary::Counts};

const AT_A_TERMINAL: Duration = Duration::from_millis(250);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Shows the progress of a shift until it is dropped.
pub(super) async fn shown(shift: &Shift) -> Infallible {
    let terminal = io::stderr().is_terminal();
    let mut ticks = interval(if terminal { AT_A_TERMINAL } else { ELSEWHERE });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At once there is nothing to tell.
    ticks.tick().await;
    let bar = Bar(terminal.then(|| bar(shift)));
    let mut before = 0;
    loop {
        ticks.tick().await;
        let counts = shift.tally.counts();
        let line = line(counts, shift.begun.elapsed());
        match &bar.0 {
            Some(bar) => {
                bar.set_position(position(shift, counts));
                bar.set_message(line);
            }
            // With standard error gone there is nobody to tell.
            None if counts.total() > before => {
                let _ = writeln!(io::stderr(), "{line}");
            }
            None => {
                let _ = writeln!(io::stderr(), "{line}, waiting for the mall");
            }
        }
        before = counts.total();
    }
}

/// Clears its line when the work is over, so that the summary stands alone.
struct Bar(Option<ProgressBar>);

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn bar(shift: &Shift) -> ProgressBar {
    let length = match (shift.options.operations, shift.options.duration) {
        (Some(operations), _) => Some(operations),
        (None, Some(duration)) => Some(duration.as_secs()),
        (None, None) => None,
    };
    let form = if length.is_some() { "{bar:30} {percent:>3} %  {msg}" } else { "{spinner} {msg}" };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        // The bar as it comes is good enough.
        Err(_) => bar,
    }
}

fn position(shift: &Shift, counts: Counts) -> u64 {
    match (shift.options.operations, shift.options.duration) {
        (None, Some(_)) => shift.begun.elapsed().as_secs(),
        (Some(_), _) | (None, None) => counts.total(),
    }
}

fn line(counts: Counts, elapsed: Duration) -> String {
    let Counts { ok, refused, failed } = counts;
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown without decimals")]
    let rate = counts.total() as f64 / elapsed.as_secs_f64().max(1e-6);
    format!(
        "{:>3} s: {} operations, {rate:.0} a second: {ok} ok, {refused} refused, {failed} failed",
        elapsed.as_secs(),
        counts.total()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_it_goes() {
        let counts = Counts { ok: 90, refused: 8, failed: 2 };
        assert_eq!(
            line(counts, Duration::from_secs(10)),
            " 10 s: 100 operations, 10 a second: 90 ok, 8 refused, 2 failed"
        );
    }
}
