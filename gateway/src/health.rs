//! Asks a server of the same settings whether it is ready, for those who
//! watch over processes and can only run a program.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;

use crate::config::Config;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Prints what the server says of itself. Ends with 0 if it is ready.
pub async fn command(config: &Config) -> anyhow::Result<ExitCode> {
    let url = format!("http://{}/readyz", here(config.listen));
    let client = reqwest::Client::builder().timeout(PATIENCE).build().context("beginning")?;
    let answer = client.get(&url).send().await.with_context(|| format!("asking {url}"))?;
    let is_ready = answer.status().is_success();
    let report = answer.text().await.with_context(|| format!("hearing {url}"))?;
    writeln!(io::stdout(), "{report}").context("writing to standard output")?;
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a server that listens there is reached from this machine.
pub(crate) fn here(listen: SocketAddr) -> SocketAddr {
    let everywhere = listen.ip().is_unspecified();
    let ip: IpAddr = match listen.ip() {
        IpAddr::V4(_) if everywhere => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) if everywhere => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}
