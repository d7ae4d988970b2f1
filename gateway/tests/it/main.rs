//! Everything that is tested through a real socket.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what cannot go on has failed")]

mod auth;
mod authorization;
mod busywork;
mod callback;
mod dashboards;
mod defects;
mod deploy;
mod economy;
mod federation;
mod help;
mod kills;
mod ledger;
mod live;
mod metrics;
mod operating;
mod pages;
mod paging;
mod process;
mod processes;
mod refusals;
mod scenarios;
mod schema;
mod sharing;
mod support;
mod traces;
mod transport;
mod verify;
