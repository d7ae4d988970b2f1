//! The pages for people, as a browser asks for them.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::{
    Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
    redirect::Policy,
};

use crate::support::{Mall, within};

/// What Chromium says that it would like.
const BROWSER: (HeaderName, &str) =
    (ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8");
/// Addresses of the console, each of which it finds its way from.
const CONSOLE: [&str; 9] = [
    "/",
    "/kiosk",
    "/orders",
    "/orders/order_01h455vb4pex5vsknk084sn02q",
    "/depot",
    "/stores",
    "/operations",
    "/events",
    "/events/bot_01h455vb4pex5vsknk084sn02q",
];
const UNPACKS: (HeaderName, &str) = (ACCEPT_ENCODING, "gzip, deflate, br, zstd");

async fn get(mall: &Mall, path: &str, headers: &[(HeaderName, &str)]) -> Response {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
    let url = mall.client.url().join(path).unwrap();
    within(path, client.get(url).headers(headers).send()).await.unwrap()
}

fn header(response: &Response, name: HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(mall: &Mall, path: &str) -> String {
    let response = get(mall, path, &[BROWSER]).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.text().await.unwrap()
}

/// What stands behind each `before`, up to a quote or a closing parenthesis.
fn references<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before)
        .skip(1)
        .filter_map(|rest| rest.trim_start_matches('"').split(['"', ')']).next())
        .collect()
}

#[tokio::test]
async fn browsers_get_the_console_and_programs_a_line() {
    let mall = Mall::open().await;
    for path in CONSOLE {
        let page = get(&mall, path, &[BROWSER]).await;
        assert_eq!(header(&page, CONTENT_TYPE), "text/html; charset=utf-8", "{path}");
        let page = page.text().await.unwrap();
        assert!(page.contains("/console/console.js"), "{path}: {page}");
        // Nobody has a key here, so everybody is offered what there is.
        assert!(page.contains(" data-tokens='{\"admin\":"), "{path}: {page}");
    }
    for accept in ["*/*", "text/html;q=0, */*"] {
        let line = get(&mall, "/", &[(ACCEPT, accept)]).await;
        assert_eq!(header(&line, CONTENT_TYPE), "text/plain; charset=utf-8", "{accept}");
        assert!(line.text().await.unwrap().starts_with("This is MallBots."));
    }
}

#[tokio::test]
async fn browsers_that_open_the_api_are_shown_the_playground() {
    let mall = Mall::open().await;
    let redirect = get(&mall, "/graphql", &[BROWSER]).await;
    assert_eq!(redirect.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&redirect, LOCATION), "/playground");
    assert_eq!(header(&redirect, VARY), "Accept");

    // A question is answered, whoever asks.
    let answer = get(&mall, "/graphql?query=%7B__typename%7D", &[BROWSER]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.unwrap().contains("Query"));
    let program = get(&mall, "/graphql", &[(ACCEPT, "*/*")]).await;
    assert_eq!(program.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_page_is_guarded() {
    let mall = Mall::open().await;
    for path in [
        "/",
        "/orders",
        "/console/console.js",
        "/console/style.css",
        "/playground",
        "/playground/playground.js",
        "/playground/playground.css",
        "/playground/graphql.worker.js",
        "/schema.graphql",
        "/errors.md",
    ] {
        let page = get(&mall, path, &[BROWSER]).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        let policy = header(&page, CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(header(&page, X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(header(&page, REFERRER_POLICY), "no-referrer", "{path}");
        // Pages have tokens in them; files and texts have not.
        let is_page = !path.contains('.');
        let kept = if is_page { "no-store" } else { "no-cache" };
        assert_eq!(header(&page, CACHE_CONTROL), kept, "{path}");
    }
    for path in [
        "/console/",
        "/console/playground.js",
        "/console/..%2ffiles.rs",
        "/playground/",
        "/playground/nothing.js",
        "/orders/one/two",
    ] {
        assert_eq!(get(&mall, path, &[BROWSER]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let mall = Mall::open().await;
    for (path, icon) in [("/", "/console/icon.svg"), ("/playground", "/playground/icon.svg")] {
        let page = text(&mall, path).await;
        let loaded = [references(&page, " src="), references(&page, " href=")].concat();
        assert!(loaded.contains(&icon), "{loaded:?}");
        for reference in loaded {
            assert!(reference.starts_with('/') && !reference.starts_with("//"), "{reference}");
            text(&mall, reference).await;
        }
        for inline in ["<style", " style=", " onload=", " onclick=", "javascript:"] {
            assert!(!page.contains(inline), "{path} has {inline}");
        }
        assert!(!page.contains("<script>"), "{path}");
    }
    for sheet in ["/playground/playground.css", "/console/style.css"] {
        let sheet = text(&mall, sheet).await;
        assert!(!sheet.contains("@import"));
        for reference in references(&sheet, "url(") {
            if let Some(name) = reference.strip_prefix("./") {
                text(&mall, &format!("/playground/{name}")).await;
            } else {
                assert!(reference.starts_with("data:"), "{reference}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_sent_packed_to_who_can_unpack_it_and_once() {
    let mall = Mall::open().await;
    let path = "/playground/playground.js";
    let packed = get(&mall, path, &[UNPACKS]).await;
    assert_eq!(header(&packed, CONTENT_ENCODING), "gzip");
    assert_eq!(header(&packed, CONTENT_TYPE), "text/javascript; charset=utf-8");
    assert_eq!(header(&packed, VARY), "accept-encoding");
    let tag = header(&packed, ETAG).to_owned();
    let packed = packed.bytes().await.unwrap();

    for refusal in [&[][..], &[(ACCEPT_ENCODING, "gzip;q=0, br")]] {
        let plain = get(&mall, path, refusal).await;
        assert_eq!(header(&plain, CONTENT_ENCODING), "");
        assert_ne!(header(&plain, ETAG), tag, "other bytes have another name");
        let mut unpacked = Vec::new();
        GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
        assert!(plain.bytes().await.unwrap() == unpacked);
    }

    for known in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}")] {
        let same = get(&mall, path, &[UNPACKS, (IF_NONE_MATCH, &known)]).await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(header(&same, ETAG), tag);
        assert!(same.bytes().await.unwrap().is_empty());
    }
    let other = get(&mall, path, &[UNPACKS, (IF_NONE_MATCH, "\"other\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_schema_and_the_errors_can_be_read() {
    let mall = Mall::open().await;
    assert_eq!(text(&mall, "/schema.graphql").await, include_str!("../../../schema.graphql"));
    assert_eq!(text(&mall, "/errors.md").await, include_str!("../../../docs/errors.md"));
}
