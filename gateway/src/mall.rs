//! Opens the rooms behind the door and connects them: databases, ledger, post,
//! library.

mod checks;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use mallbots_eventstore::{
    clock::Clock,
    connect::{Backend, Database, Durability, PostgresOptions},
    ledger::{Ledger, LedgerOptions},
};
use mallbots_messaging::{
    announcements::Announcements,
    intake::{Carrier, JetStream, Origins},
    leases::{LeaseKeeper, LeaseOptions},
    nats::Nats,
    notifier::{Notifier, Webhook},
    post::{Post, PostOptions},
    relay::{self, RelayOptions, RelayStatus},
    sagas::SagaOptions,
};
use mallbots_migrations::{LedgerMigrator, ViewsMigrator, up};
use mallbots_projections::{projector::Projector, reads::Reads};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    config::{
        Config, Currency,
        duties::{Duties, Role},
    },
    graphql::{
        cursor::CursorKey,
        fresh::Fresh,
        scalars::CurrencyCode,
        services::{Inner, Services, Settings},
    },
    metrics::standing::Watched,
    startup::{Lifecycle, Readiness},
};

/// How long a mutation waits to read back what it made.
const READ_BACK: Duration = Duration::from_secs(2);
/// How long it is remembered what a request was answered, for whoever sends it
/// again under the same key.
const ANSWERS_KEPT: Duration = Duration::from_hours(7 * 24);
/// How often it is looked for answers that are too old.
const TIDIED_EVERY: Duration = Duration::from_hours(1);
/// How long a database may take to give its connections back.
const CLOSING: Duration = Duration::from_secs(5);

/// What one process does for all, by the names of the leases.
const RELAY: &str = "relay";
/// Writing the read models; what changed in them is announced by that name too.
const VIEWS: &str = "views";
/// Forgetting what is too old.
const TIDYING: &str = "tidying";

/// Where the mall is kept.
#[derive(Debug)]
pub struct Databases {
    /// What happened.
    pub ledger: Database,
    /// What it looks like.
    pub views: Database,
}

impl Databases {
    /// Connects, and creates what is missing.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let databases = Self::connect(config).await?;
        databases.migrate().await?;
        Ok(databases)
    }

    async fn connect(config: &Config) -> anyhow::Result<Self> {
        if let Some(url) = &config.database_url {
            let options = PostgresOptions {
                url: url.expose().to_owned(),
                replica_url: config.database_read_url.as_ref().map(|url| url.expose().to_owned()),
                work: config.database_work,
                questions: config.database_reads,
            };
            let database = Database::postgres_with(&options).await;
            let database = database.context("connecting to PostgreSQL")?;
            return Ok(Self { ledger: database.clone(), views: database });
        }
        let data = &config.data;
        std::fs::create_dir_all(data)
            .with_context(|| format!("creating the data folder {}", data.display()))?;
        let file = async |name: &str, durability| {
            let path = data.join(name);
            let database = Database::sqlite(&path, durability).await;
            database.with_context(|| format!("opening {}", path.display()))
        };
        Ok(Self {
            ledger: file("ledger.db", Durability::Full).await?,
            // It can be filled again from the ledger: a power cut may cost it its last moments.
            views: file("views.db", Durability::Normal).await?,
        })
    }

    /// Brings the tables to what this version needs.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        up::<LedgerMigrator>(&self.ledger.write).await.context("migrating the ledger")?;
        up::<ViewsMigrator>(&self.views.write).await.context("migrating the read models")?;
        Ok(())
    }

    /// Gives the connections back in order. A file whose last connection is
    /// closed is whole by itself: its log is taken in and gone, and it may be copied.
    pub async fn close(self) {
        for (name, database) in [("ledger", self.ledger), ("views", self.views)] {
            match timeout(CLOSING, database.close()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(name, error, "a database closed badly");
                }
                Err(_) => warn!(name, "a database is in use; it is closed with the process"),
            }
        }
    }
}

/// The rooms of a process.
#[derive(Debug)]
pub struct Opened {
    /// What is behind the schema, if it is a gateway.
    pub services: Option<Services>,
    /// What is looked at by those who watch over the process.
    pub watched: Watched,
}

/// Opens the rooms that this process has work in and starts that work.
pub async fn open(
    config: &Config,
    lifecycle: &Lifecycle,
    readiness: &Readiness,
) -> anyhow::Result<Opened> {
    let databases = Databases::open(config).await?;
    let (database, views) = (databases.ledger.clone(), databases.views.clone());
    lifecycle.on_close("databases", databases.close());

    // The ledger is closed after the tasks: everybody writes to it until they stop.
    let (tracker, closing) = (TaskTracker::new(), CancellationToken::new());
    let options = LedgerOptions {
        snapshot_every: config.snapshot_interval.get().into(),
        #[cfg(feature = "test-support")]
        probe: config.die_at.as_ref().map(crate::failpoint::Failpoint::probe),
        ..LedgerOptions::default()
    };
    let ledger = Ledger::open(database, Clock::System, &tracker, closing.clone(), options)
        .await
        .context("opening the ledger")?;
    lifecycle.on_close("ledger", {
        let tracker = tracker.clone();
        async move {
            closing.cancel();
            tracker.close();
            tracker.wait().await;
        }
    });
    checks::of_ledger(readiness, &ledger);

    let nats = connect_nats(config, lifecycle).await?;
    if let Some(nats) = &nats {
        checks::of_nats(readiness, nats);
    }
    let rooms = Rooms {
        config,
        lifecycle,
        readiness,
        keeper: keep_leases(&ledger, lifecycle),
        ledger,
        views,
        nats,
    };
    let relay = rooms.start_relay();
    let (reads, projector) = rooms.start_library().await?;
    let sagas = SagaOptions {
        step_timeout: config.sagas.step_timeout,
        attempts: config.sagas.retries.saturating_add(1),
        ..SagaOptions::default()
    };
    let post = rooms.start_post(sagas)?;
    rooms.start_tidying();

    let Rooms { ledger, views, nats, keeper, .. } = rooms;
    info!(position = ledger.head().0, roles = %config.duties, "the mall is open");
    let watched = Watched {
        duties: config.duties.clone(),
        ledger: ledger.clone(),
        views,
        nats,
        relay: relay.clone(),
        post: post.clone(),
        keeper,
        reads: reads.clone(),
        projector,
        answers: Mutex::default(),
    };
    let Some(reads) = reads.filter(|_| config.duties.has(Role::Gateway)) else {
        return Ok(Opened { services: None, watched });
    };
    let secret = cursor_secret(config, &ledger).await?;
    let services = Services::new(Inner {
        cursors: CursorKey::new(&secret).context("taking the cursor secret")?,
        settings: Settings {
            currency: currency(config.currency),
            abandon_after: config.basket_abandoned_after,
            sagas,
            read_back: READ_BACK,
        },
        ledger,
        reads,
        post,
        relay,
        tracker,
        fresh: Fresh::default(),
    });
    Ok(Opened { services: Some(services), watched })
}

/// Begins to connect to NATS, if there is one. That it is away is no reason
/// not to open.
async fn connect_nats(config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Option<Nats>> {
    let Some(settings) = &config.nats else { return Ok(None) };
    let options = settings.options(format!("mallbots {}", config.duties));
    let nats = Nats::connect(&options).await.context("connecting to NATS")?;
    lifecycle.on_close("nats", {
        let nats = nats.clone();
        async move { nats.close().await }
    });
    Ok(Some(nats))
}

/// Has this process's leases kept until its tasks have stopped.
fn keep_leases(ledger: &Ledger, lifecycle: &Lifecycle) -> LeaseKeeper {
    match ledger.database().kind {
        Backend::Sqlite => LeaseKeeper::alone(),
        Backend::Postgres => {
            let (tracker, leaving) = (TaskTracker::new(), CancellationToken::new());
            let keeper = LeaseKeeper::start(ledger, LeaseOptions::default(), &tracker, &leaving);
            lifecycle.spawn("leases", move |stop| async move {
                stop.cancelled().await;
                leaving.cancel();
                tracker.close();
                tracker.wait().await;
                Ok(())
            });
            keeper
        }
    }
}

/// What the work of a process is done with.
struct Rooms<'a> {
    config: &'a Config,
    lifecycle: &'a Lifecycle,
    readiness: &'a Readiness,
    keeper: LeaseKeeper,
    ledger: Ledger,
    views: Database,
    nats: Option<Nats>,
}

impl Rooms<'_> {
    /// Publishes the ledger, or stands by. Tells how that goes.
    fn start_relay(&self) -> Option<watch::Receiver<RelayStatus>> {
        let (Some(nats), Some(settings)) = (&self.nats, &self.config.nats) else { return None };
        if !self.config.duties.has(Role::Relay) {
            return None;
        }
        let options = RelayOptions { stream: settings.stream.clone(), ..RelayOptions::default() };
        let (status, told) = watch::channel(RelayStatus::new(&self.ledger));
        checks::of_relay(self.readiness, told.clone());
        let (ledger, nats, active) = (self.ledger.clone(), nats.clone(), self.keeper.hold(RELAY));
        self.lifecycle.spawn(RELAY, move |stop| async move {
            relay::run(ledger, nats, options, active, status, stop).await
        });
        Some(told)
    }

    /// Keeps the read models or follows those who do, if somebody here reads them.
    async fn start_library(&self) -> anyhow::Result<(Option<Reads>, Option<Arc<Origins>>)> {
        let (views, ledger) = (&self.views, self.ledger.clone());
        let projects = self.config.duties.has(Role::Projector);
        if !projects && !self.config.duties.has(Role::Gateway) {
            return Ok((None, None));
        }
        let mut origins = None;
        let (reads, feed) = Reads::open(views, &ledger).await.context("opening the read models")?;
        let (reads, follower) = reads.on_replica(views);
        if let Some(follower) = follower {
            checks::of_replica(self.readiness, &reads);
            self.lifecycle.spawn("replica", move |stop| async move {
                follower.run(stop).await;
                Ok(())
            });
        }
        checks::of_library(self.readiness, &ledger, &reads, views.reserved.clone());
        if projects {
            let projector = Projector::open_beside(&feed, views, &ledger).await;
            let projector = projector.context("opening the read models to write")?;
            let projector = projector.fed_by(self.carrier());
            origins = Some(projector.origins());
            let may_write = self.keeper.hold(VIEWS);
            self.lifecycle.spawn("projector", move |stop| async move {
                projector.run_while(ledger, may_write, stop).await;
                Ok(())
            });
        }
        let announcements = self.nats.as_ref().map(|nats| Announcements::about(nats, VIEWS));
        self.lifecycle.spawn("feed", move |stop| async move {
            feed.run(announcements, stop).await;
            Ok(())
        });
        Ok((Some(reads), origins))
    }

    /// How messages come here.
    fn carrier(&self) -> Carrier {
        match (&self.nats, &self.config.nats) {
            (Some(nats), Some(settings)) => {
                JetStream::new(nats.clone(), settings.stream.clone()).into()
            }
            (None, _) | (_, None) => Carrier::Ledger,
        }
    }

    /// Acts on messages, as far as that is this process's.
    fn start_post(&self, sagas: SagaOptions) -> anyhow::Result<Post> {
        let notifier = match &self.config.webhook {
            None => Notifier::Log,
            Some(webhook) => {
                let url = webhook.url.parse().context("reading the webhook's address")?;
                Notifier::Webhook(Webhook::new(url, webhook.secret.expose())?)
            }
        };
        let options = PostOptions {
            sagas,
            groups: groups(&self.config.duties),
            carrier: self.carrier(),
            keeper: Some(self.keeper.clone()),
            ..PostOptions::default()
        };
        #[cfg(feature = "test-support")]
        let options = crate::failpoint::hurried(options, self.config);
        let (tracker, stopping) = (TaskTracker::new(), CancellationToken::new());
        let post = Post::start(&self.ledger, notifier, &options, &tracker, &stopping);
        self.lifecycle.spawn("post", move |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = stopping.cancelled() => bail!("a part of the post has stopped"),
            }
            stopping.cancel();
            tracker.close();
            tracker.wait().await;
            Ok(())
        });
        Ok(post)
    }

    /// Forgets what is too old, in one of the processes that remember it.
    fn start_tidying(&self) {
        if !self.config.duties.has(Role::Gateway) {
            return;
        }
        let (ledger, mut turn) = (self.ledger.clone(), self.keeper.hold(TIDYING));
        self.lifecycle.spawn(TIDYING, move |stop| async move {
            let tidying = async {
                // Nobody says any more whose turn it is when the process ends.
                while turn.wait_for(|is_ours| *is_ours).await.is_ok() {
                    tokio::select! {
                        () = tidy(&ledger) => {}
                        _ = turn.wait_for(|is_ours| !*is_ours) => {}
                    }
                }
                std::future::pending::<()>().await;
            };
            stop.run_until_cancelled(tidying).await;
            Ok(())
        });
    }
}

/// What the post has to do in a process with these duties.
fn groups(duties: &Duties) -> BTreeSet<&'static str> {
    let mut groups = BTreeSet::new();
    if duties.has(Role::Commands) {
        groups.extend(&duties.contexts);
    }
    if duties.has(Role::Sagas) {
        groups.insert(Post::SAGAS);
    }
    if duties.has(Role::Notifier) {
        groups.insert(Post::NOTIFIER);
    }
    // What comes due is said by one process for all; any that works on will do.
    if duties.has(Role::Commands) || duties.has(Role::Sagas) {
        groups.insert(Post::TIMERS);
    }
    groups
}

/// Forgets, from time to time, what nobody will ask for again.
async fn tidy(ledger: &Ledger) {
    let kept = i64::try_from(ANSWERS_KEPT.as_micros()).unwrap_or(i64::MAX);
    let mut rounds = tokio::time::interval(TIDIED_EVERY);
    loop {
        rounds.tick().await;
        match ledger.forget_answers(ledger.now().saturating_sub(kept)).await {
            Ok(0) => {}
            Ok(answers) => info!(answers, "forgot old answers"),
            // The next round will do.
            Err(error) => warn!(error = &error as &dyn std::error::Error, "old answers are kept"),
        }
    }
}

/// The configured secret, or one that is made once and kept with the data, so
/// that cursors outlive a restart.
async fn cursor_secret(config: &Config, ledger: &Ledger) -> anyhow::Result<Vec<u8>> {
    if let Some(secret) = &config.cursor_secret {
        return Ok(secret.expose().as_bytes().to_vec());
    }
    let minted = BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
    let kept = ledger
        .set_setting_if_absent("cursor_secret", &minted)
        .await
        .context("keeping the cursor secret")?;
    Ok(kept.into_bytes())
}

const fn currency(currency: Currency) -> CurrencyCode {
    match currency {
        Currency::Usd => CurrencyCode::Usd,
        Currency::Eur => CurrencyCode::Eur,
        Currency::Gbp => CurrencyCode::Gbp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_duties_together_leave_nothing_undone() {
        assert_eq!(groups(&Duties::all(true)), Post::everything());
    }

    #[test]
    fn a_gateway_or_a_projector_alone_acts_on_no_message() {
        for role in [Role::Gateway, Role::Projector, Role::Relay] {
            let duties = Duties { roles: [role].into(), ..Duties::all(true) };
            assert!(groups(&duties).is_empty(), "{role}");
        }
        let duties = Duties { roles: [Role::Commands].into(), contexts: ["depot"].into() };
        assert_eq!(groups(&duties), ["depot", Post::TIMERS].into());
    }
}
