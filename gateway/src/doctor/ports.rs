//! The addresses to listen on: whether they are free, or a mall's already.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::TcpListener;

use super::{Finding, PATIENCE};
use crate::{config::Config, health};

const AREA: &str = "port";

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = vec![of(config.listen).await];
    if let Some(listen) = config.admin_listen {
        findings.push(of(listen).await);
    }
    findings
}

async fn of(listen: SocketAddr) -> Finding {
    if listen.port() == 0 {
        return Finding::good(AREA, "any free one will do");
    }
    // It is given back at once.
    let Err(error) = TcpListener::bind(listen).await else {
        return Finding::good(AREA, format!("{listen} is free"));
    };
    let choose = "choose another with --listen or MALLBOTS_LISTEN";
    if error.kind() == ErrorKind::AddrInUse {
        return taken(listen, choose).await;
    }
    let (found, mend) = if error.kind() == ErrorKind::PermissionDenied {
        let mend = format!("ports below 1024 take a right of their own; {choose}");
        (format!("{listen} is not allowed"), mend)
    } else if error.kind() == ErrorKind::AddrNotAvailable {
        let mend = format!("use one of this machine's addresses; {choose}");
        (format!("{listen} is no address of this machine"), mend)
    } else {
        (format!("{listen} cannot be listened on: {error}"), choose.to_owned())
    };
    Finding::bad(AREA, found, mend)
}

/// Who has it: a mall says how it is.
async fn taken(listen: SocketAddr, choose: &str) -> Finding {
    let url = format!("http://{}/readyz", health::here(listen));
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
    let asked = match client {
        Ok(client) => client.get(&url).send().await,
        Err(error) => Err(error),
    };
    let stranger = || {
        let mend = format!("end the program that has it (ss -ltnp tells which), or {choose}");
        Finding::bad(AREA, format!("{listen} is another program's"), mend)
    };
    let Ok(answer) = asked else { return stranger() };
    let is_ready = answer.status().is_success();
    let told = answer.json::<serde_json::Value>().await.ok();
    let Some(state) = told.as_ref().and_then(|told| told["status"].as_str()) else {
        return stranger();
    };
    if is_ready {
        Finding::good(AREA, format!("{listen} is a mall's, which is {state}"))
    } else {
        let mend = "mallbots health tells which part is not well, and its log why";
        Finding::warning(AREA, format!("{listen} is a mall's, which is {state}"), mend)
    }
}
