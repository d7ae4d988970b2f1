//! The pages for people: the console, the playground, the schema as text.
//!
//! Everything is in the binary, so that it works without a network, and is
//! served under a policy that lets a page load nothing from elsewhere and run
//! nothing that is not a file of this server.

use std::{collections::BTreeMap, io::Read, sync::LazyLock, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use mallbots_projections::{
    customers::{self, CustomerFilter},
    page::PageRequest,
    reads::Reads,
    stores::{self, StoreFilter},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::error;

use crate::{
    auth::{Authenticator, Rights, Role, Roles},
    error::ErrorCode,
    startup,
    transport::origin::Origins,
};

/// Where the playground is.
pub const PLAYGROUND: &str = "/playground";

/// What a page may do. The playground's editor makes styles while it runs; its
/// build turns them into such as need no exception here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     worker-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Who looks at the pages, and what they are offered there.
#[derive(Debug, Clone, Default)]
pub struct Visitors {
    /// Tells who they are.
    pub authenticator: Authenticator,
    /// From where they may come.
    pub origins: Origins,
    /// Where a customer and a store are found to offer tokens of: in
    /// development mode, as long as nobody from elsewhere can come.
    pub people: Option<Reads>,
}

/// Where the console's pages are, besides `/`. It reads the address itself.
const CONSOLE: [&str; 8] = [
    "/kiosk",
    "/orders",
    "/orders/{id}",
    "/depot",
    "/stores",
    "/operations",
    "/events",
    "/events/{id}",
];

/// The pages, as routes.
pub(crate) fn router(visitors: Visitors) -> Router {
    let console = CONSOLE
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, page("console/index.html")));
    console
        .route("/", get(start))
        .route(PLAYGROUND, page("playground/index.html"))
        .route("/console/{file}", part("console"))
        .route("/playground/{file}", part("playground"))
        .route("/schema.graphql", get(schema))
        .route("/errors.md", get(async || text(ERRORS)))
        .with_state(visitors)
}

/// The schema, for those who may know it.
async fn schema(State(visitors): State<Visitors>, headers: HeaderMap) -> Response {
    match visitors.authenticator.of_headers(&headers).await {
        Ok(caller) if caller.rights().schema => text(SDL.as_bytes()),
        Ok(_) => (StatusCode::FORBIDDEN, "This takes a token with the scope \"schema\".\n")
            .into_response(),
        Err(error) => {
            let status = if error.code == ErrorCode::Unavailable {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::UNAUTHORIZED
            };
            let headers = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (status, headers, format!("{}\n", error.message)).into_response()
        }
    }
}

/// How long the tokens count that the pages offer.
const OFFERED_FOR: Duration = Duration::from_hours(12);

/// A page at an address of its own.
fn page(name: &'static str) -> MethodRouter<Visitors> {
    get(async move |State(visitors): State<Visitors>, headers: HeaderMap| {
        offering(name, &visitors, &headers).await
    })
}

/// The console or the playground, with tokens of each role in development mode.
async fn offering(name: &str, visitors: &Visitors, headers: &HeaderMap) -> Response {
    const HEAD: &str = "<html lang=\"en\"";
    let tokens = visitors.tokens(headers).await;
    let page = FILES.get(name).and_then(File::unpacked);
    let Some(page) = page.and_then(|page| String::from_utf8(page).ok()) else {
        return file(name, headers);
    };
    // The page asks for no more than that there is a value; without tokens it is empty.
    let tokens = if tokens.is_empty() { String::new() } else { json!(tokens).to_string() };
    let tokens = tokens.replace('&', "&amp;").replace('\'', "&#39;").replace('<', "&lt;");
    let page = page.replacen(HEAD, &format!("{HEAD} data-tokens='{tokens}'"), 1);
    let mut response = guarded(page.into_response(), content_type(name));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Visitors {
    /// A token of each role there is somebody for, if they may have them.
    async fn tokens(&self, headers: &HeaderMap) -> BTreeMap<&'static str, String> {
        let (Some(issuer), Some(reads)) = (self.authenticator.issuer(), &self.people) else {
            return BTreeMap::new();
        };
        // A page from elsewhere that was made to point here must not get them.
        if self.origins.check(headers).is_err() {
            return BTreeMap::new();
        }
        let first = PageRequest::first(1);
        let customer = customers::list(reads, &CustomerFilter::default(), &first).await;
        let customer = customer.ok().and_then(|page| Some(*page.rows.first()?.1.id));
        let store = stores::list(reads, &StoreFilter::default(), &first).await;
        let store = store.ok().and_then(|page| Some(*page.rows.first()?.1.id));
        Role::ALL
            .into_iter()
            .filter(|role| match role {
                Role::Customer => customer.is_some(),
                Role::StoreOwner => store.is_some(),
                Role::Depot | Role::Admin => true,
                Role::Router => false,
            })
            .filter_map(|role| {
                let rights = Rights {
                    roles: Roles::of(&[role]),
                    customer: customer.filter(|_| role == Role::Customer),
                    stores: store.filter(|_| role == Role::StoreOwner).into_iter().collect(),
                    schema: true,
                };
                Some((role.name(), issuer.mint(role.name(), &rights, OFFERED_FOR).ok()?))
            })
            .collect()
    }
}

static SDL: LazyLock<String> = LazyLock::new(startup::sdl);

const ERRORS: &[u8] = include_bytes!("../../docs/errors.md");

/// The console for browsers, a line for everybody else.
async fn start(State(visitors): State<Visitors>, headers: HeaderMap) -> Response {
    let mut response = if wants_page(&headers) {
        offering("console/index.html", &visitors, &headers).await
    } else {
        let line = "This is MallBots. GraphQL is at /graphql, by POST or by WebSocket \
                    (graphql-transport-ws).\n";
        text(line.as_bytes())
    };
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

/// The files of a folder.
fn part(folder: &'static str) -> MethodRouter<Visitors> {
    get(async move |Path(name): Path<String>, headers: HeaderMap| {
        file(&format!("{folder}/{name}"), &headers)
    })
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

/// A file of the console or the playground, as its build left it.
struct File {
    zipped: &'static [u8],
    /// Names the bytes: other bytes, another name.
    tag: String,
    content_type: &'static str,
}

/// By folder and name, such as `console/console.js`.
static FILES: LazyLock<BTreeMap<String, File>> = LazyLock::new(|| {
    let console: &[(&str, &'static [u8])] = &include!("../assets/console/files.rs");
    let playground: &[(&str, &'static [u8])] = &include!("../assets/playground/files.rs");
    let named = |folder, files: &[(&'static str, &'static [u8])]| {
        let file = |&(name, zipped): &(&'static str, &'static [u8])| {
            let tag = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(zipped)[..16]);
            (format!("{folder}/{name}"), File { zipped, tag, content_type: content_type(name) })
        };
        files.iter().map(file).collect::<Vec<_>>()
    };
    [named("console", console), named("playground", playground)].into_iter().flatten().collect()
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

impl File {
    /// As it was before it was packed.
    fn unpacked(&self) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        match GzDecoder::new(self.zipped).read_to_end(&mut plain) {
            Ok(_) => Some(plain),
            Err(error) => {
                error!(%error, "a file in the binary is broken");
                None
            }
        }
    }
}

/// Answers with a file, packed for who can unpack it, or with word that it is
/// still the same.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(found) = FILES.get(name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let File { zipped, tag, content_type } = found;
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
            match found.unpacked() {
                Some(plain) => plain.into_response(),
                None => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
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
