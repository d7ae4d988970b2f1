//! The pages for people: where to begin, the playground, the schema as text.
//!
//! Everything is in the binary, so that it works without a network, and is
//! served under a policy that lets a page load nothing from elsewhere and run
//! nothing that is not a file of this server.

use std::{collections::BTreeMap, io::Read, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tracing::error;

use crate::startup;

/// Where the playground is.
pub const PLAYGROUND: &str = "/playground";

/// What a page may do. The playground's editor makes styles while it runs; its
/// build turns them into such as need no exception here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     worker-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages, as routes.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(start))
        .route(PLAYGROUND, get(async |headers: HeaderMap| file("index.html", &headers)))
        .route("/playground/{file}", get(part))
        .route("/schema.graphql", get(async || text(SDL.as_bytes())))
        .route("/errors.md", get(async || text(ERRORS)))
}

static SDL: LazyLock<String> = LazyLock::new(startup::sdl);

const ERRORS: &[u8] = include_bytes!("../../docs/errors.md");

/// Where to begin: a page for browsers, a line for everybody else.
async fn start(headers: HeaderMap) -> Response {
    let mut response = if wants_page(&headers) {
        file("start.html", &headers)
    } else {
        let line = "This is MallBots. GraphQL is at /graphql, by POST or by WebSocket \
                    (graphql-transport-ws).\n";
        text(line.as_bytes())
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

/// Whether who asks is a browser that shows pages: it says so by name, where
/// programs say nothing, `*/*`, or what they read.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    has(headers, &ACCEPT, |range| range == "text/html")
}

/// Whether a list of ranges has one that fits and is not ruled out by `q=0`.
fn has(headers: &HeaderMap, name: &HeaderName, fits: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|range| {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            let ruled_out = parameters.split(';').any(|parameter| {
                let quality = parameter.trim().strip_prefix("q=");
                quality.is_some_and(|quality| quality.trim().parse() == Ok(0.0_f32))
            });
            !ruled_out && fits(&range.trim().to_ascii_lowercase())
        })
    })
}

/// A file of the playground, as its build left it.
struct File {
    zipped: &'static [u8],
    /// Names the bytes: other bytes, another name.
    tag: String,
    content_type: &'static str,
}

static FILES: LazyLock<BTreeMap<&'static str, File>> = LazyLock::new(|| {
    let files: &[(&str, &[u8])] = &include!("../assets/playground/files.rs");
    files
        .iter()
        .map(|&(name, zipped)| {
            let tag = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(zipped)[..16]);
            (name, File { zipped, tag, content_type: content_type(name) })
        })
        .collect()
});

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("txt") => "text/plain; charset=utf-8",
        Some(_) | None => "application/octet-stream",
    }
}

/// Answers with a file, packed for who can unpack it, or with word that it is
/// still the same.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(File { zipped, tag, content_type }) = FILES.get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let packed = has(headers, &ACCEPT_ENCODING, |coding| coding == "gzip");
    // Packed and unpacked are different bytes, and so are their names.
    let tag = if packed { format!("\"{tag}-gzip\"") } else { format!("\"{tag}\"") };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let known = known.flat_map(|tags| tags.split(',')).map(str::trim);
    let mut response =
        if known.map(|known| known.trim_start_matches("W/")).any(|known| known == tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if packed {
            let mut response = zipped.into_response();
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            let mut plain = Vec::new();
            if let Err(error) = GzDecoder::new(*zipped).read_to_end(&mut plain) {
                error!(%error, name, "a file in the binary is broken");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            plain.into_response()
        };
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    guarded(response, content_type)
}

fn text(text: &'static [u8]) -> Response {
    guarded(text.into_response(), "text/plain; charset=utf-8")
}

/// With the headers that all pages have.
fn guarded(mut response: Response, content_type: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Kept, but asked for again each time: a new version is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(name, HeaderValue::from_static("same-origin"));
    }
    response
}
