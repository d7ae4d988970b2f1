//! Telling how far something is, on standard error: a bar at a terminal, a
//! line now and then elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where there is no terminal.
const ELSEWHERE: Duration = Duration::from_secs(5);
/// How many parts a bar has.
const PARTS: u64 = 1_000;

/// A bar that is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    at_terminal: Option<ProgressBar>,
    told_at: Instant,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let at_terminal = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(PARTS), ProgressDrawTarget::stderr());
            match ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}") {
                Ok(style) => bar.with_style(style),
                // The bar as it comes is good enough.
                Err(_) => bar,
            }
        });
        Self { at_terminal, told_at: Instant::now() }
    }

    /// Tells how far what is, from 0 to 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a bar"
    )]
    pub(crate) fn at(&mut self, share: f64, what: &str) {
        let share = share.clamp(0.0, 1.0);
        if let Some(bar) = &self.at_terminal {
            bar.set_position((share * PARTS as f64) as u64);
            bar.set_message(what.to_owned());
        } else if self.told_at.elapsed() > ELSEWHERE {
            self.told_at = Instant::now();
            // With standard error gone there is nobody to tell.
            let _ = writeln!(io::stderr(), "{:>3.0} %  {what}", share * 100.0);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.at_terminal {
            bar.finish_and_clear();
        }
    }
}
