//! Which pages and which host names may reach the door.
//!
//! Browsers send requests and open sockets to any address on behalf of any
//! page, and without keys everyone who gets in is an admin.

use std::net::IpAddr;

use axum::http::{
    HeaderMap,
    header::{HOST, ORIGIN},
    uri::Authority,
};

use crate::error::{ClientError, ErrorCode};

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Origins of other hosts whose pages may call (`https://mall.example`).
    pub allowed: Vec<String>,
    /// Whether only names of this machine are answered to. Otherwise a page
    /// whose name was made to point here (DNS rebinding) would pass for ours.
    pub loopback_only: bool,
    /// Names that are answered to all the same.
    pub hosts: Vec<String>,
}

impl Origins {
    /// Refuses what came from a page of another host, or by a name that is not ours.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), ClientError> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if let Some(host) = host
            && self.loopback_only
            && !is_loopback(host)
            && !self.is_named(host)
        {
            return Err(ClientError::new(
                ErrorCode::Forbidden,
                "in development mode the server answers to localhost and allowed_hosts only",
            ));
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let allowed = origin.to_str().is_ok_and(|origin| {
            self.is_listed(origin) || host.is_some_and(|host| is_same_host(origin, host))
        });
        if allowed {
            Ok(())
        } else {
            Err(ClientError::new(ErrorCode::Forbidden, "pages of this origin may not call"))
        }
    }

    /// Whether pages of this origin may call although they are of another host.
    pub(super) fn is_listed(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    fn is_named(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(authority.host()))
    }
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origins: &Origins, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        origins.check(&headers).is_ok()
    }

    #[test]
    fn pages_of_the_same_host_and_of_listed_origins_may_call() {
        let origins =
            Origins { allowed: vec!["https://console.example".to_owned()], ..Origins::default() };
        for origin in [None, Some("http://mall.example:8080"), Some("https://console.example")] {
            assert!(check(&origins, "mall.example:8080", origin), "{origin:?}");
        }
        for origin in [
            "http://mall.example",
            "http://mall.example:8081",
            "http://evil.example",
            "https://console.example.evil.example",
            "file://mall.example:8080",
            "null",
            "",
        ] {
            assert!(!check(&origins, "mall.example:8080", Some(origin)), "{origin:?}");
        }
    }

    #[test]
    fn without_keys_only_names_of_this_machine_are_answered_to() {
        let origins = Origins { loopback_only: true, ..Origins::default() };
        for host in ["localhost", "localhost:80", "a.localhost:1", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(check(&origins, host, None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "192.168.0.1",
            "0.0.0.0",
        ] {
            assert!(!check(&origins, host, None), "{host}");
            // Nor does it help that page and host agree.
            assert!(!check(&origins, host, Some(&format!("http://{host}"))), "{host}");
        }
        let named = Origins { hosts: vec!["mall.example".to_owned()], ..origins };
        assert!(check(&named, "Mall.example:8080", None));
        assert!(!check(&named, "evil.example", None));
    }
}
