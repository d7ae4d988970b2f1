use std::{io::Write, path::Path};

use super::*;

fn load(flags: &SettingsArgs, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(flags, environment).map_err(|ConfigError(faults)| faults)
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn nothing_need_be_set() {
    let config = load(&SettingsArgs::default(), &[("HOME", "/root")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data, Path::new("mallbots-data"));
    assert_eq!(config.basket_abandoned_after, Duration::from_hours(24));
    assert_eq!(config.sagas.step_timeout, Duration::from_secs(30));
    assert_eq!(config.snapshot_interval.get(), 100);
    assert_eq!(config.currency, Currency::Usd);
    assert!(config.webhook.is_none() && config.database_url.is_none());
    assert!(config.ignored.is_empty());
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let file = file("listen = '127.0.0.1:1'\ndata = '/file'\ncurrency = 'EUR'\nsaga_retries = 3");
    let flags = SettingsArgs {
        config: Some(file.path().to_owned()),
        listen: Some("127.0.0.1:3".parse().unwrap()),
        ..SettingsArgs::default()
    };
    let environment = [("MALLBOTS_LISTEN", "127.0.0.1:2"), ("MALLBOTS_DATA", "/environment")];
    let config = load(&flags, &environment).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.data, Path::new("/environment"));
    assert_eq!(config.currency, Currency::Eur);
    assert_eq!(config.sagas.retries, 3);
}

#[test]
fn a_command_may_have_defaults_of_its_own() {
    let defaults = [("data", "mallbots-demo"), ("log", "warn")];
    let load = |environment: &[(&str, &str)]| {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load_over(&defaults, &SettingsArgs::default(), environment).unwrap()
    };
    let config = load(&[]);
    assert_eq!(
        (config.data.as_path(), config.log.filter.as_str()),
        (Path::new("mallbots-demo"), "warn")
    );
    let config = load(&[("MALLBOTS_DATA", "/elsewhere")]);
    assert_eq!(config.data, Path::new("/elsewhere"));
}

#[test]
fn the_environment_may_name_the_file() {
    let file = file("shutdown_timeout = '5m'\nallowed_origins = ['http://a', 'https://b:1']");
    let path = file.path().to_str().unwrap();
    let config = load(&SettingsArgs::default(), &[("MALLBOTS_CONFIG", path)]).unwrap();
    assert_eq!(config.shutdown_timeout, Duration::from_mins(5));
    assert_eq!(config.allowed_origins, ["http://a", "https://b:1"]);
    assert!(config.ignored.is_empty());
}

#[test]
fn every_fault_is_told_at_once_under_the_name_it_was_made_by() {
    let file = file("currency = 'BTC'\nsaga_step_timeout = 30\nlisten_on = 'x'\nlog = 'a=b=c'");
    let flags = SettingsArgs {
        config: Some(file.path().to_owned()),
        listen: Some("0.0.0.0:80".parse().unwrap()),
        ..SettingsArgs::default()
    };
    let environment = [
        ("MALLBOTS_SNAPSHOT_INTERVAL", "0"),
        ("MALLBOTS_CURSOR_SECRET", "short"),
        ("MALLBOTS_WEBHOOK_URL", "https://hooks.example"),
        ("MALLBOTS_ALLOWED_ORIGINS", "https://a, b"),
        ("DATABASE_URL", "mysql://user:hunter2@host"),
    ];
    let faults = load(&flags, &environment).unwrap_err();
    let path = file.path().display();
    for start in [
        "--listen: 0.0.0.0:80 is not a loopback address",
        &format!("currency in {path}: must be USD"),
        &format!("saga_step_timeout in {path}: \"30\" is not a length of time"),
        &format!("log in {path}: "),
        "listen_on: there is no such setting",
        "MALLBOTS_SNAPSHOT_INTERVAL: ",
        "MALLBOTS_CURSOR_SECRET: must have at least 16",
        "webhook_secret: is missing",
        "MALLBOTS_ALLOWED_ORIGINS: \"b\" is not an origin",
        "DATABASE_URL: must begin with postgres://",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start}\n{faults:#?}");
    }
    assert_eq!(faults.len(), 10);
    assert!(!faults.join("\n").contains("hunter2"));
}

#[test]
fn numbers_in_the_environment_may_be_secrets() {
    let environment = [
        ("MALLBOTS_CURSOR_SECRET", "1234567890123456"),
        ("MALLBOTS_WEBHOOK_URL", "http://localhost:1/hook"),
        ("MALLBOTS_WEBHOOK_SECRET", "0042"),
    ];
    let config = load(&SettingsArgs::default(), &environment).unwrap();
    assert_eq!(config.cursor_secret.unwrap().expose(), "1234567890123456");
    assert_eq!(config.webhook.unwrap().secret.expose(), "0042");
}

#[test]
fn secrets_do_not_show() {
    let environment = [("DATABASE_URL", "postgres://user:hunter2@host/mall")];
    let config = load(&SettingsArgs::default(), &environment).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.database_url.unwrap().expose(), environment[0].1);
}

#[test]
fn queries_may_have_a_database_of_their_own() {
    let environment = [
        ("DATABASE_URL", "postgres://primary/mall"),
        ("DATABASE_READ_URL", "postgres://replica/mall"),
        ("MALLBOTS_DATABASE_READ_TIMEOUT", "2s"),
        ("MALLBOTS_DATABASE_CONNECTIONS", "3"),
    ];
    let config = load(&SettingsArgs::default(), &environment).unwrap();
    assert_eq!(config.database_read_url.unwrap().expose(), environment[1].1);
    assert_eq!(config.database_reads.statement_timeout, Duration::from_secs(2));
    assert_eq!(config.database_work, PoolLimits { connections: 3, ..PoolLimits::WORK });

    let faults = load(&SettingsArgs::default(), &environment[1..2]).unwrap_err();
    assert_eq!(faults, ["DATABASE_READ_URL: is of no use without database_url"]);
    let none = [("MALLBOTS_DATABASE_READ_CONNECTIONS", "0")];
    assert!(load(&SettingsArgs::default(), &none).is_err());
}

#[test]
fn a_process_does_everything_that_makes_sense_if_nothing_is_said() {
    let config = load(&SettingsArgs::default(), &[]).unwrap();
    assert_eq!(config.duties.to_string(), "gateway,commands,sagas,projector,notifier");
    let nats = ("NATS_URL", "nats://127.0.0.1:4222");
    let config = load(&SettingsArgs::default(), &[nats]).unwrap();
    assert_eq!(config.duties.to_string(), "gateway,commands,sagas,projector,relay,notifier");
    assert_eq!(config.duties.contexts.len(), 6);
}

#[test]
fn several_processes_divide_the_work() {
    let environment = [
        ("DATABASE_URL", "postgres://mall"),
        ("NATS_URL", "nats://one:4222, tls://user:hunter2@two:4222"),
        ("MALLBOTS_CONTEXTS", "depot,ordering"),
        ("MALLBOTS_STREAM_REPLICAS", "3"),
        ("MALLBOTS_STREAM_MAX_AGE", "forever"),
        ("MALLBOTS_STREAM_MAX_BYTES", "10GiB"),
        ("MALLBOTS_NATS_TOKEN", "hunter2"),
    ];
    let flags = SettingsArgs {
        roles: Some("relay, commands".to_owned()),
        listen: Some("0.0.0.0:8080".parse().unwrap()),
        ..SettingsArgs::default()
    };
    let config = load(&flags, &environment).unwrap();
    assert_eq!(config.duties.to_string(), "commands,relay");
    assert_eq!(config.duties.contexts, ["depot", "ordering"].into());
    assert!(!format!("{config:?}").contains("hunter2"));
    let nats = config.nats.unwrap();
    assert_eq!((nats.stream.replicas, nats.stream.max_age), (3, None));
    assert_eq!(nats.stream.max_bytes, Some(10 << 30));
    assert_eq!(nats.options("mall".to_owned()).urls[1], "tls://user:hunter2@two:4222");
}

#[test]
fn work_that_cannot_be_done_is_refused() {
    let database = ("DATABASE_URL", "postgres://mall");
    let nats = ("NATS_URL", "nats://mall:4222");
    for (environment, start) in [
        (
            &[database, ("MALLBOTS_ROLES", "gatekeeper")][..],
            "MALLBOTS_ROLES: \"gatekeeper\" is not a role; there are gateway, commands,",
        ),
        (
            &[database, ("MALLBOTS_CONTEXTS", "stores")],
            "MALLBOTS_CONTEXTS: \"stores\" is not a context with work to do; there are baskets,",
        ),
        (&[database, ("MALLBOTS_ROLES", ",")], "MALLBOTS_ROLES: must name one at least"),
        (&[database, ("MALLBOTS_ROLES", "relay")], "MALLBOTS_ROLES: the relay publishes on"),
        (&[nats, ("MALLBOTS_ROLES", "relay")], "MALLBOTS_ROLES: files are one process's"),
        (&[("MALLBOTS_CONTEXTS", "depot")], "MALLBOTS_CONTEXTS: files are one process's"),
        (
            &[database, ("MALLBOTS_ROLES", "sagas"), ("MALLBOTS_CONTEXTS", "depot")],
            "MALLBOTS_CONTEXTS: is of no use without the role commands",
        ),
        (&[("NATS_URL", "http://hunter2")], "NATS_URL: must begin with nats://"),
        (
            &[("MALLBOTS_NATS_TOKEN", "hunter2")],
            "MALLBOTS_NATS_TOKEN: is of no use without nats_url",
        ),
        (
            &[nats, ("MALLBOTS_NATS_USER", "me")],
            "nats_credentials, nats_user with nats_password, nats_token: one of these",
        ),
        (&[nats, ("MALLBOTS_STREAM_REPLICAS", "2")], "MALLBOTS_STREAM_REPLICAS: must be 1"),
        (
            &[("MALLBOTS_ALLOWED_HOSTS", "mall:8080")],
            "MALLBOTS_ALLOWED_HOSTS: \"mall:8080\" is not the name of a host",
        ),
    ] {
        let faults = load(&SettingsArgs::default(), environment).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].starts_with(start), "{start}\n{faults:#?}");
        assert!(!faults[0].contains("hunter2"));
    }
}

#[test]
fn the_door_may_be_made_narrower() {
    let config = load(&SettingsArgs::default(), &[]).unwrap();
    assert_eq!(config.preflight, Preflight::Foreign);
    assert!(config.introspection && config.persisted_queries);
    let environment = [
        ("MALLBOTS_PREFLIGHT", "always"),
        ("MALLBOTS_INTROSPECTION", "false"),
        ("MALLBOTS_PERSISTED_QUERIES", "false"),
        ("MALLBOTS_TRUSTED_DOCUMENTS", "manifest.json"),
        ("MALLBOTS_TRUSTED_DOCUMENTS_ONLY", "true"),
        ("MALLBOTS_OPERATION_TIMEOUT", "5s"),
        ("MALLBOTS_HEAD_TIMEOUT", "6s"),
        ("MALLBOTS_BODY_TIMEOUT", "7s"),
        ("MALLBOTS_WRITE_TIMEOUT", "8s"),
        ("MALLBOTS_MAX_CONNECTIONS", "100"),
        ("MALLBOTS_MAX_CONNECTIONS_PER_ADDRESS", "10"),
    ];
    let config = load(&SettingsArgs::default(), &environment).unwrap();
    assert_eq!(config.preflight, Preflight::Always);
    assert!(!config.introspection && !config.persisted_queries);
    assert!(config.trusted_documents_only);
    assert_eq!(config.operation_timeout, Some(Duration::from_secs(5)));
    assert_eq!(
        [config.head_timeout, config.body_timeout, config.write_timeout],
        [6, 7, 8].map(|seconds| Some(Duration::from_secs(seconds)))
    );
    assert_eq!((config.max_connections, config.max_connections_per_address), (Some(100), Some(10)));

    for (name, value, fault) in [
        ("MALLBOTS_PREFLIGHT", "never", "must be foreign or always"),
        ("MALLBOTS_MAX_CONNECTIONS", "0", ""),
        ("MALLBOTS_TRUSTED_DOCUMENTS_ONLY", "true", "is of no use without trusted_documents"),
    ] {
        let faults = load(&SettingsArgs::default(), &[(name, value)]).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with(&format!("{name}: {fault}")), "{faults:?}");
    }
}

#[test]
fn each_setting_is_told_with_its_value_and_where_it_comes_from() {
    let file = file("currency = 'EUR'\nsaga_retries = 3\nallowed_hosts = ['a', 'b']");
    let flags = SettingsArgs {
        config: Some(file.path().to_owned()),
        log: Some("debug".to_owned()),
        ..SettingsArgs::default()
    };
    let environment = [
        ("DATABASE_URL", "postgres://mall:hunter2@db/mall"),
        ("NATS_URL", "nats://one:4222"),
        ("MALLBOTS_NATS_URL", "nats://two:4222"),
        ("MALLBOTS_NATS_TOKEN", "hunter2"),
        ("MALLBOTS_SAGA_RETRIES", "4"),
        ("MALLBOTS_SNAPSHOT_INTERVAL", "none"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Reading { made, faults, .. } = Config::read(&[], &flags, environment).unwrap();
    let told = |key: &str| {
        let made = made.iter().find(|made| made.setting.key == key).unwrap();
        (made.value.clone().unwrap_or_default(), made.origin.to_string())
    };
    let path = file.path().display().to_string();
    for (key, value, origin) in [
        ("log", "debug", "--log"),
        ("currency", "EUR", &path),
        ("allowed_hosts", "a,b", &path),
        ("saga_retries", "4", "MALLBOTS_SAGA_RETRIES"),
        ("database_url", "postgres://mall:****@db/mall", "DATABASE_URL"),
        ("nats_url", "nats://two:4222", "MALLBOTS_NATS_URL"),
        ("nats_token", "****", "MALLBOTS_NATS_TOKEN"),
        ("snapshot_interval", "none", "MALLBOTS_SNAPSHOT_INTERVAL"),
        ("saga_step_timeout", "30s", "default"),
        ("roles", "gateway,commands,sagas,projector,relay,notifier", "default"),
        ("rate_limit", "off", "default"),
        ("auth_secret", "", "default"),
    ] {
        assert_eq!(told(key), (value.to_owned(), origin.to_owned()), "{key}");
    }
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(!format!("{made:?}").contains("hunter2"));
}

#[test]
fn what_is_read_is_told_and_is_by_default_what_is_told() {
    let flags = SettingsArgs::default();
    let both = [("DATABASE_URL", "postgres://mall"), ("NATS_URL", "nats://mall")];
    let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let mut reader =
        Reader { layers: Layers::default(), known: BTreeSet::new(), faults: Vec::new() };
    reader.read_all();
    // What tests of crashes set is nobody else's.
    let told: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key).collect();
    let read: BTreeSet<_> = reader.known.into_iter().collect();
    let hidden: BTreeSet<_> = ["checkpoint_every", "die_at"].into();
    assert!(told.is_subset(&read), "{told:#?} {read:#?}");
    assert!(read.difference(&told).all(|key| hidden.contains(key)), "{told:#?} {read:#?}");

    let usual = format!("{:?}", Config::load(&flags, owned(&both)).unwrap());
    for setting in SETTINGS {
        let Usual::Is(text) = setting.usual else { continue };
        let mut environment = owned(&both);
        environment.push((setting.variable(), text.to_owned()));
        let same = format!("{:?}", Config::load(&flags, environment).unwrap());
        // These are decided where they are used, if nobody says.
        let is_elsewhere = [
            "operation_timeout",
            "head_timeout",
            "body_timeout",
            "write_timeout",
            "max_connections",
        ]
        .contains(&setting.key);
        assert!(same == usual || is_elsewhere, "{}: {same}", setting.key);
    }
}

#[test]
fn a_misspelt_variable_is_noticed() {
    let config = load(&SettingsArgs::default(), &[("MALLBOTS_LISTN", "x")]).unwrap();
    assert_eq!(config.ignored, ["MALLBOTS_LISTN"]);
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let flags = SettingsArgs { config: Some("/no/such.toml".into()), ..SettingsArgs::default() };
    assert!(load(&flags, &[]).unwrap_err()[0].starts_with("/no/such.toml: "));
}

#[test]
fn lengths_of_time_have_a_unit() {
    for (text, milliseconds) in
        [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("7d", 604_800_000)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
    }
    for text in
        ["", "30", "s", "-1s", "1.5s", "0s", "1 s", "99999999999999999999s", "213503982335d"]
    {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn only_loopback_addresses_are_served_to_everybody() {
    for address in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:8080", "localhost:8080"] {
        assert!(load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", address)]).is_ok());
    }
    for address in ["0.0.0.0:80", "192.168.0.1:80", "[::]:80", "mall.example:80", "8080"] {
        assert!(load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", address)]).is_err());
    }
    let faults = load(&SettingsArgs::default(), &[("MALLBOTS_LISTEN", "0.0.0.0:80")]);
    let fault = faults.unwrap_err().join("\n");
    assert!(fault.contains("auth_secret") && fault.contains("an admin"), "{fault}");
    let everywhere = ("MALLBOTS_LISTEN", "0.0.0.0:80");
    // Unless the network is closed, or there is nothing to be had here.
    let trusted = ("MALLBOTS_TRUSTED_NETWORK", "true");
    assert!(load(&SettingsArgs::default(), &[everywhere, trusted]).is_ok());
    let worker = [("DATABASE_URL", "postgres://mall"), ("MALLBOTS_ROLES", "sagas")];
    assert!(load(&SettingsArgs::default(), &[everywhere, worker[0], worker[1]]).is_ok());
}
