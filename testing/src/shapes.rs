//! The shapes of the mall that `docker-compose.yml` describes, without
//! containers: the same processes with the same settings, on servers of their
//! own. Where a container says by which name it reaches another, the address
//! takes the name's place; everything else is as the file has it.

mod compose;
mod process;

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

pub use self::{
    compose::{Planned, Services, read},
    process::Process,
};
use crate::{
    nats::{NatsServer, NatsSettings},
    servers::PrivateServer,
};

/// How long a shape may take until all of it is ready, on a machine with other
/// things to do.
const PATIENCE: Duration = Duration::from_mins(3);

/// A shape at work.
#[derive(Debug)]
pub struct Shape {
    /// The mall's processes. They end before the servers do.
    pub processes: Vec<Process>,
    /// Its NATS.
    pub nats: NatsServer,
    /// Its database.
    pub postgres: PrivateServer,
}

impl Shape {
    /// Starts the processes and what they stand on, and waits until they are
    /// ready. `program` is the mall's, and logs go to `folder`.
    pub async fn start(services: &Services, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let postgres = PrivateServer::start_with(&services.postgres).await?;
        let settings =
            NatsSettings { further: services.nats_users.clone(), ..NatsSettings::default() };
        let nats = NatsServer::start_with(&settings).await?;
        let mut shape = Self { processes: Vec::new(), nats, postgres };
        for planned in &services.mall {
            let planned = planned.beside(&shape.database_url(), &shape.nats.url());
            shape.processes.push(Process::new(planned, program, folder));
        }
        // The first one makes the tables; all could, one after the other.
        for process in &mut shape.processes {
            process.spawn()?;
        }
        for process in &mut shape.processes {
            process.opened().await?;
        }
        shape.ready().await?;
        Ok(shape)
    }

    /// Where its data is.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.postgres.url("postgres")
    }

    /// Where its NATS is, for the one who relays: the same as a relay has.
    #[must_use]
    pub fn relay_nats_url(&self) -> Option<&str> {
        self.of("relay").find_map(|relay| relay.setting("NATS_URL"))
    }

    /// The processes of a service.
    pub fn of(&self, service: &str) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.service() == service)
    }

    /// One of them.
    pub fn one(&mut self, service: &str, number: u32) -> anyhow::Result<&mut Process> {
        self.processes
            .iter_mut()
            .find(|process| process.service() == service && process.number() == number)
            .with_context(|| format!("there is no {service} {number}"))
    }

    /// Waits until every process says that it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for process in &mut self.processes {
            loop {
                let health = process.health().await;
                if matches!(&health, Ok((200, _))) {
                    break;
                }
                process.runs()?;
                ensure!(Instant::now() < deadline, "{process} is not ready: {health:?}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Ends everything in order.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for process in &self.processes {
            process.ask_to_stop()?;
        }
        for process in &mut self.processes {
            process.stopped().await?;
        }
        self.nats.stop().await?;
        self.postgres.stop();
        Ok(())
    }
}
