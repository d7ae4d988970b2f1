//! Starts a shape of the mall without containers. `deploy/run` calls this.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use mallbots_testing::shapes::{self, Shape};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [profile, further @ ..] = &*arguments else { bail!("which profile?") };
    let program = std::env::current_exe()?.with_file_name("mallbots");
    let program = match further {
        [] => &*program,
        [program, ..] => Path::new(program),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let services = shapes::read(&file, profile, &std::env::vars().collect())?;
    let folder = tempfile::Builder::new().prefix("mallbots-shape-").tempdir()?;

    let mut out = io::stdout();
    writeln!(out, "Starting {} processes, PostgreSQL and NATS …", services.mall.len())?;
    let starting = Shape::start(&services, program, folder.path());
    let mut shape = tokio::select! {
        shape = starting => shape?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    for process in &shape.processes {
        let address = process.address()?;
        let path = if process.get("/").await?.0 == 404 { "readyz" } else { "graphql" };
        writeln!(out, "{:<18} http://{address}/{path}", process.to_string())?;
    }
    writeln!(out, "{:<18} {}", "nats", shape.nats.url())?;
    writeln!(out, "{:<18} {}", "postgres", shape.database_url())?;
    writeln!(out, "Logs are in {}. Ctrl-C ends everything.", folder.path().display())?;

    tokio::signal::ctrl_c().await.context("listening to signals")?;
    writeln!(out, "Stopping …")?;
    shape.stop().await
}
