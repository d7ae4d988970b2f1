//! Reads the compose file.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

/// The profile's part of the file.
#[derive(Debug)]
pub struct Services {
    /// The mall's processes.
    pub mall: Vec<Planned>,
    /// What PostgreSQL is started with.
    pub postgres: Vec<String>,
    /// Whom NATS lets in, and to what: a part of its configuration.
    pub nats_users: String,
    /// What of that its environment says.
    nats_environment: BTreeMap<String, String>,
}

/// A process of the mall, as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its service.
    pub service: String,
    /// Which of the service's processes it is, from 1.
    pub number: u32,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// What it is called with.
    pub arguments: Vec<String>,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.number)
    }
}

impl Planned {
    /// The same beside servers on this machine, on any port of it.
    #[must_use]
    pub fn beside(&self, database: &str, nats: &str) -> Self {
        let mut planned = self.clone();
        let environment = &mut planned.environment;
        if let Some(value) = environment.get_mut("DATABASE_URL") {
            database.clone_into(value);
        }
        if let Some(value) = environment.get_mut("NATS_URL") {
            *value = as_same_user(value, nats);
        }
        environment.insert("MALLBOTS_LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        if let Some(value) = environment.get_mut("MALLBOTS_ADMIN_LISTEN") {
            "127.0.0.1:0".clone_into(value);
        }
        // There is no network to be trusted.
        environment.remove("MALLBOTS_TRUSTED_NETWORK");
        planned
    }
}

/// Another address, for whoever the first one names.
fn as_same_user(url: &str, here: &str) -> String {
    let user = url.split_once("://").and_then(|(_, rest)| Some(rest.rsplit_once('@')?.0));
    match (user, here.split_once("://")) {
        (Some(user), Some((scheme, host))) => format!("{scheme}://{user}@{host}"),
        (None, _) | (_, None) => here.to_owned(),
    }
}

#[derive(Deserialize)]
struct File {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    deploy: Deploy,
}

#[derive(Default, Deserialize)]
struct Deploy {
    replicas: Option<u32>,
}

/// Reads a profile of the file, with the environment it is to be read in.
pub fn read(
    file: &Path,
    profile: &str,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Services> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let mut services = parse(&text, profile, environment)
        .with_context(|| format!("understanding {}", file.display()))?;
    let users = file.with_file_name("deploy").join("nats/users.conf");
    let users =
        std::fs::read_to_string(&users).with_context(|| format!("reading {}", users.display()))?;
    services.nats_users = services.nats_environment.iter().fold(users, |users, (name, value)| {
        users.replace(&format!("${name}"), &format!("{value:?}"))
    });
    Ok(services)
}

fn parse(text: &str, profile: &str, around: &BTreeMap<String, String>) -> anyhow::Result<Services> {
    let file: File = serde_saphyr::from_str(text)?;
    let mut services = Services {
        mall: Vec::new(),
        postgres: Vec::new(),
        nats_users: String::new(),
        nats_environment: BTreeMap::new(),
    };
    for (name, service) in file.services {
        ensure!(!service.profiles.is_empty(), "{name} is in no profile");
        if !service.profiles.iter().any(|its| its == profile) {
            continue;
        }
        let environment = service
            .environment
            .iter()
            .map(|(name, value)| Ok((name.clone(), interpolate(value, around)?)))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        match service.image.split(':').next().unwrap_or_default() {
            "mallbots" => {
                for number in 1..=service.deploy.replicas.unwrap_or(1) {
                    services.mall.push(Planned {
                        service: name.clone(),
                        number,
                        environment: environment.clone(),
                        arguments: service.command.clone(),
                    });
                }
            }
            "postgres" => services.postgres = service.command,
            // A private one has a configuration of its own, but for its users.
            "nats" => services.nats_environment = environment,
            // They look on, and the mall does without.
            "prom/prometheus" | "grafana/grafana" => {}
            image => bail!("nobody knows how to start {image} without a container"),
        }
    }
    ensure!(!services.mall.is_empty(), "there is no profile {profile}");
    Ok(services)
}

/// Puts the environment's values in, as compose does: `${NAME}`, `${NAME:-default}`.
fn interpolate(text: &str, around: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let (inside, after) = after.split_once('}').context("a ${ without a }")?;
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        let value = around.get(name).filter(|value| !value.is_empty());
        out.push_str(value.map_or(default, String::as_str));
        rest = after;
    }
    ensure!(!rest.contains('$'), "{text:?} has a $ that means nothing here");
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, profile: &str) -> anyhow::Result<Services> {
        super::parse(text, profile, &BTreeMap::from([("EMPTY".to_owned(), String::new())]))
    }

    const FILE: &str = r#"
x-common: &common
  image: mallbots:1
  environment: &settings
    DATABASE_URL: postgres://mall:${EMPTY:-secret}@postgres/mall
    MALLBOTS_LISTEN: 0.0.0.0:8080
    MALLBOTS_TRUSTED_NETWORK: "true"
services:
  mall:
    <<: *common
    profiles: [one]
  relay:
    <<: *common
    profiles: [many]
    environment:
      <<: *settings
      MALLBOTS_ROLES: relay
    deploy:
      replicas: 2
  postgres:
    profiles: [one, many]
    image: postgres:17
    command: ["-c", "max_connections=300"]
"#;

    #[test]
    fn a_profile_is_read_with_all_it_shares() {
        let services = parse(FILE, "many").unwrap();
        assert_eq!(services.postgres, ["-c", "max_connections=300"]);
        let [one, other] = &*services.mall else { panic!("{services:?}") };
        assert_eq!((one.to_string(), other.number), ("relay-1".to_owned(), 2));
        assert_eq!(one.environment["MALLBOTS_ROLES"], "relay");
        assert_eq!(one.environment["DATABASE_URL"], "postgres://mall:secret@postgres/mall");
        assert_eq!(parse(FILE, "one").unwrap().mall.len(), 1);
        assert!(parse(FILE, "none").is_err());
    }

    #[test]
    fn only_where_things_are_differs_without_containers() {
        let mut planned = parse(FILE, "one").unwrap().mall.remove(0);
        planned.environment.insert("NATS_URL".to_owned(), "nats://me:word@nats:4222".to_owned());
        let planned = planned.beside("postgres://here", "nats://127.0.0.1:1");
        let environment: Vec<_> = planned.environment.into_iter().collect();
        let here = [
            ("DATABASE_URL", "postgres://here"),
            ("MALLBOTS_LISTEN", "127.0.0.1:0"),
            ("NATS_URL", "nats://me:word@127.0.0.1:1"),
        ];
        assert_eq!(environment, here.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
