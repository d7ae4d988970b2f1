//! What a process tells of itself in numbers.

use std::collections::{BTreeMap, BTreeSet};

use mallbots_gateway::{client::Backoff, metrics};
use mallbots_messaging::post::Post;
use serde_json::json;

use crate::support::{Mall, PATIENCE, within};

/// A sample as Prometheus reads it: its name, its labels, its value.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The samples of a page, with the suffixes of histograms taken off.
pub(crate) fn samples(page: &str) -> Vec<Sample> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap();
    let labels = labels.split("\",").filter(|label| !label.is_empty()).map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
        let name = name.strip_suffix(suffix)?;
        metrics::all().any(|metric| metric.name == name).then_some(name)
    });
    let name = histogram.unwrap_or(name).to_owned();
    Sample { name, labels: labels.collect(), value: value.parse().unwrap() }
}

/// The sum of what has a name and a label.
pub(crate) fn sum(samples: &[Sample], name: &str, label: Option<(&str, &str)>) -> f64 {
    let has = |sample: &&Sample| {
        label.is_none_or(|(label, value)| sample.labels.get(label).is_some_and(|it| it == value))
    };
    samples.iter().filter(|sample| sample.name == name).filter(has).map(|it| it.value).sum()
}

/// The same of what is counted in whole numbers.
#[expect(clippy::cast_possible_truncation, reason = "counts here are small")]
fn counted(samples: &[Sample], name: &str, label: Option<(&str, &str)>) -> i64 {
    sum(samples, name, label).round() as i64
}

/// That everything that is told is in the list, with its labels.
pub(crate) fn all_is_listed(samples: &[Sample]) {
    for Sample { name, labels, .. } in samples {
        let metric = metrics::all().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is in no list"));
        let labels: BTreeSet<_> = labels.keys().map(String::as_str).collect();
        let due: BTreeSet<_> = metric.labels.iter().copied().collect();
        let told: BTreeSet<_> = labels.into_iter().filter(|label| *label != "le").collect();
        assert_eq!(told, due, "{name}");
    }
}

#[tokio::test]
async fn a_process_tells_what_happened_and_how_it_stands() {
    let mall = Mall::open_with(&[("MALLBOTS_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let bot = mall.given_an_idle_bot("Robby").await;
    mall.given_an_order_in_progress(bot).await;
    let page = mall.metrics().await;
    let told = samples(&page);
    all_is_listed(&told);
    for (name, label) in [
        ("mallbots_customers_registered_total", None),
        ("mallbots_baskets_started_total", None),
        ("mallbots_baskets_checked_out_total", None),
        ("mallbots_ledger_messages_total", Some(("name", "ordering.OrderCreated"))),
        ("mallbots_build_info", Some(("database", "sqlite"))),
    ] {
        assert_eq!(counted(&told, name, label), 1, "{name}");
    }
    for (name, label) in [
        ("mallbots_ledger_head_position", None),
        ("mallbots_consumer_messages_total", Some(("outcome", "handled"))),
        ("mallbots_graphql_request_duration_seconds", Some(("type", "mutation"))),
        ("mallbots_graphql_document_lookups_total", Some(("result", "miss"))),
        ("mallbots_projector_rows_total", None),
        ("process_resident_memory_bytes", None),
        ("process_cpu_seconds_total", None),
        ("process_open_fds", None),
    ] {
        assert!(sum(&told, name, label) > 0.0, "{name}");
    }
    // Everybody who acts on messages is there, and nothing is parked.
    let lagging = told.iter().filter(|it| it.name == "mallbots_consumer_lag_messages");
    assert_eq!(lagging.count() + 1, Post::everything().len());
    assert_eq!(counted(&told, "mallbots_dead_letters", None), 0);
    assert!(page.contains("# TYPE process_cpu_seconds_total counter"));
    assert!(page.contains("# TYPE mallbots_graphql_request_duration_seconds histogram"));

    let admin = mall.admin();
    for (path, due) in [("livez", "alive"), ("startupz", "started"), ("readyz?verbose", "ledger")] {
        let answer = reqwest::get(format!("http://{admin}/{path}")).await.unwrap();
        assert!(answer.status().is_success());
        assert!(answer.text().await.unwrap().contains(due), "{path}");
    }
    // Here is nothing of the mall's.
    let asked = reqwest::Client::new().post(format!("http://{admin}/graphql"));
    let asked = asked.json(&json!({ "query": "{ __typename }" })).send().await.unwrap();
    assert_eq!(asked.status(), 404);
}

#[tokio::test]
async fn sagas_and_their_steps_are_timed_by_how_they_end() {
    let mall = Mall::open_with(&[("MALLBOTS_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    mall.given_an_approved_order().await;
    // The saga hears of the approval after everybody else.
    let mut backoff = Backoff::lasting(PATIENCE);
    let told = loop {
        let told = samples(&mall.metrics().await);
        if sum(&told, "mallbots_saga_duration_seconds", None) > 0.0 {
            break told;
        }
        assert!(backoff.wait().await, "the saga is not timed");
    };
    // The sum and the count of each.
    let timed = |name: &str| {
        let all = told.iter().filter(|it| it.name == name && !it.labels.contains_key("le"));
        let mut found = BTreeMap::<_, Vec<f64>>::new();
        for sample in all {
            let labels = ["saga", "step", "outcome"].map(|name| sample.labels.get(name).cloned());
            let key: Vec<_> = labels.into_iter().flatten().collect();
            found.entry(key.join(" ")).or_default().push(sample.value);
        }
        found
    };
    let sagas = timed("mallbots_saga_duration_seconds");
    let [whole, times] = sagas["create_order completed"][..] else { panic!("{sagas:?}") };
    assert!((times - 1.0).abs() < f64::EPSILON && sagas.len() == 1, "{sagas:?}");
    let steps = timed("mallbots_saga_step_duration_seconds");
    let names: Vec<_> = steps.keys().map(String::as_str).collect();
    let due = [
        "create_order ApproveOrder succeeded",
        "create_order AuthorizeCustomer succeeded",
        "create_order ConfirmPayment succeeded",
        "create_order CreateShoppingList succeeded",
        "create_order InitiateShopping succeeded",
    ];
    assert_eq!(names, due);
    // They are measured in whole microseconds, and follow each other without a gap.
    let parts: f64 = steps.values().map(|step| step[0]).sum();
    assert!(parts > 0.0 && parts < whole + 1e-6, "{steps:?} of {sagas:?}");
}

#[tokio::test]
async fn what_clients_call_their_operations_is_bounded_and_refusals_are_counted() {
    let mall = Mall::open_with(&[("MALLBOTS_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let url = mall.client.url().clone();
    let client = reqwest::Client::new();
    let ask = async |query: String| {
        let asked = client.post(url.clone()).json(&json!({ "query": query })).send();
        within("an answer", asked).await.unwrap();
    };
    for n in 0..150 {
        ask(format!("query Name{n} {{ __typename }}")).await;
        ask(format!("query Wrong{n} {{ nothing }}")).await;
    }
    ask("not GraphQL".to_owned()).await;
    let told = samples(&mall.metrics().await);
    let timed = told.iter().filter(|it| it.name == "mallbots_graphql_request_duration_seconds");
    let names: BTreeSet<_> = timed.map(|it| it.labels["operation"].as_str()).collect();
    assert!(names.contains("Name0") && names.contains("(other)"));
    assert!(names.len() <= 102 && !names.contains("Wrong0"), "{names:?}");
    let refused = Some(("code", "GRAPHQL_PARSE_FAILED"));
    assert_eq!(counted(&told, "mallbots_graphql_refused_total", refused), 1);
}

#[tokio::test]
async fn what_is_known_is_told_while_the_database_is_away() {
    let mall = Mall::open_on_postgres_with(&[("MALLBOTS_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    mall.given_a_customer("Ada").await;
    let told = samples(&mall.metrics().await);
    assert_eq!(counted(&told, "mallbots_metrics_unanswered_total", None), 0);
    mall.let_it_reach_its_database(false).await;
    let mut backoff = Backoff::lasting(PATIENCE);
    let told = loop {
        let told = samples(&mall.metrics().await);
        if counted(&told, "mallbots_metrics_unanswered_total", None) > 0 {
            break told;
        }
        assert!(backoff.wait().await, "the database is not missed");
    };
    all_is_listed(&told);
    assert_eq!(counted(&told, "mallbots_customers_registered_total", None), 1);
    assert!(counted(&told, "mallbots_ledger_head_position", None) > 0);
    // What it said last.
    assert!(told.iter().any(|sample| sample.name == "mallbots_timers"));
    assert!(sum(&told, "mallbots_metrics_answers_age_seconds", None) > 0.0);

    mall.let_it_reach_its_database(true).await;
    let mut backoff = Backoff::lasting(PATIENCE);
    let mut before = f64::INFINITY;
    loop {
        let age =
            sum(&samples(&mall.metrics().await), "mallbots_metrics_answers_age_seconds", None);
        if age < before && before.is_finite() {
            break;
        }
        before = age;
        assert!(backoff.wait().await, "the database is not asked again");
    }
}

#[tokio::test]
async fn an_address_for_metrics_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut mall = Mall::open().await;
    mall.stop().await;
    let ended = mall.try_reopen(&[("MALLBOTS_ADMIN_LISTEN", &address)]).await.unwrap_err();
    assert_eq!(ended.code(), Some(1));
    let log = mall.log();
    assert!(log.contains("for metrics (admin_listen)") && log.contains(&address), "{log}");
}
