//! What dashboards and alerts name exists: a real Prometheus asks a real mall
//! of several processes, and every expression is evaluated by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use mallbots_gateway::{
    busywork::{self, Options},
    client::Backoff,
    metrics as told,
};
use mallbots_testing::{
    prometheus::PrometheusServer,
    shapes::{self, Shape},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{all_is_listed, samples},
    support::within,
};

/// How long one waits for something that has to come.
const PATIENCE: Duration = Duration::from_mins(1);

fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/observability").join(path)
}

/// A mall of three processes, with what happens in each told on its own.
async fn shape(folder: &Path) -> Shape {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml");
    let mut services = shapes::read(&file, "monolith", &BTreeMap::new()).unwrap();
    let mall = services.mall.remove(0);
    assert!(mall.environment.contains_key("MALLBOTS_ADMIN_LISTEN"), "compose tells no metrics");
    for (number, roles) in (1..).zip(["gateway,projector", "commands,sagas,notifier", "relay"]) {
        let mut process = mall.clone();
        process.number = number;
        process.environment.insert("MALLBOTS_ROLES".to_owned(), roles.to_owned());
        services.mall.push(process);
    }
    let program = Path::new(env!("CARGO_BIN_EXE_mallbots"));
    Shape::start(&services, program, folder).await.unwrap()
}

/// People come and go, and somebody watches.
async fn work(url: &str) {
    let options = Options {
        url: url.to_owned(),
        clients: 4,
        seed: 7,
        pace: 0.0,
        operations: Some(300),
        ..Options::default()
    };
    let summary = busywork::run(options, CancellationToken::new());
    within("the work to be done", summary).await.unwrap();
}

struct Asking {
    url: String,
    client: reqwest::Client,
}

impl Asking {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query).unwrap();
        let answer = self.client.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// How many series an expression has now. It must be one.
    async fn series(&self, expression: &str) -> usize {
        let answer = self.get("/api/v1/query", &[("query", expression)]).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }

    /// Waits until an expression has series.
    async fn until(&self, expression: &str) {
        self.shown("a test", expression).await;
    }

    /// Waits until somebody who evaluates an expression sees something. Each
    /// process is looked at when its turn comes, so some are there sooner.
    async fn shown(&self, whose: &str, expression: &str) {
        let mut backoff = Backoff::lasting(PATIENCE);
        while self.series(expression).await == 0 {
            assert!(backoff.wait().await, "{whose} waits in vain for {expression}");
        }
    }
}

/// Every expression on a dashboard, with the panel's title.
fn panels() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut files: Vec<_> = fs::read_dir(deployed("grafana/dashboards"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 3);
    for file in files {
        let dashboard: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = format!("{}: {}", dashboard["title"], panel["title"]);
            for target in panel["targets"].as_array().into_iter().flatten() {
                // As Grafana says it with a resolution of a few seconds.
                let expression = target["expr"].as_str().unwrap();
                let expression = expression.replace("$__rate_interval", "1m");
                assert!(!expression.contains('$'), "{title}: {expression}");
                found.push((title.clone(), expression));
            }
        }
    }
    found
}

/// The names of the metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_of_name(c));
    let names = words.filter(|word| word.starts_with("mallbots_") || word.starts_with("process_"));
    names
        .map(|name| {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
                let name = name.strip_suffix(suffix)?;
                told::all().any(|metric| metric.name == name).then_some(name)
            });
            of_histogram.unwrap_or(name).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn dashboards_and_alerts_name_what_a_mall_tells() {
    let folder = tempfile::tempdir().unwrap();
    let shape = shape(folder.path()).await;
    let targets: Vec<_> =
        shape.processes.iter().map(|process| process.admin().unwrap().to_string()).collect();
    let configuration = json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [deployed("prometheus/rules.yml")],
        "scrape_configs": [{ "job_name": "mallbots", "static_configs": [{ "targets": targets }] }],
    });
    let prometheus = PrometheusServer::start(&configuration.to_string()).await.unwrap();
    let asking = Asking { url: prometheus.url(), client: reqwest::Client::new() };
    asking.until("sum(up) == 3").await;

    let gateway = shape.of("mall").find(|it| it.number() == 1).unwrap();
    let url = format!("http://{}/graphql", gateway.address().unwrap());
    work(&url).await;
    // Two looks at what was done, so that rates can be seen.
    asking.until("sum(mallbots_orders_approved_total) > 0").await;
    asking.until("sum(rate(mallbots_orders_approved_total[1m])) > 0").await;
    // A histogram is there from the first that is timed, a rate from the second look at it.
    for name in ["mallbots_saga_duration_seconds", "mallbots_saga_step_duration_seconds"] {
        asking.until(&format!("rate({name}_count[1m])")).await;
    }
    asking.until("sum(max_over_time(mallbots_relay_published_total[1m])) > 0").await;
    asking.until("min(mallbots_metrics_answers_age_seconds) < 60").await;

    let mut exposed = BTreeSet::new();
    for target in &targets {
        let page = within("metrics", asking.client.get(format!("http://{target}/metrics")).send());
        let page = samples(&page.await.unwrap().text().await.unwrap());
        all_is_listed(&page);
        exposed.extend(page.into_iter().map(|sample| sample.name));
    }
    for metric in told::all() {
        assert!(exposed.contains(metric.name), "nobody tells {}", metric.name);
    }

    let mut shown = BTreeSet::new();
    for (title, expression) in panels() {
        asking.shown(&title, &expression).await;
        shown.extend(names(&expression));
    }
    for metric in told::all() {
        let is_needless = ["process_virtual_memory_bytes", "process_threads"];
        let is_shown = shown.contains(metric.name) || is_needless.contains(&metric.name);
        assert!(is_shown, "{} is on no dashboard", metric.name);
    }

    let rules = asking.get("/api/v1/rules", &[]).await;
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let mut judged = 0;
    for rule in rules {
        let (name, expression) = (&rule["name"], rule["query"].as_str().unwrap());
        assert_eq!(rule["health"], "ok", "{rule}");
        for metric in names(expression) {
            assert!(exposed.contains(&metric), "{name} names {metric}, which nobody tells");
        }
        // What a rule looks at is there, only not as bad as that.
        let (measured, _) = expression.split_once(" > ").or(expression.split_once(" == ")).unwrap();
        asking.shown(name.as_str().unwrap(), measured).await;
        judged += 1;
    }
    assert!(judged >= 16, "{judged} rules");
    drop(shape);
}
