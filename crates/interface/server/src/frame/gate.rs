//! Who may ask: the `Host` header against DNS rebinding, the `Origin` header against other sites' pages, both by
//! MLflow 3's rules. Accounts will be asked here too: every request passes [`Gate::admit`].

use std::net::IpAddr;

use hyper::{
    Method,
    header::{HOST, HeaderMap, HeaderValue, ORIGIN},
    http::request::Parts,
};

use super::{ApiError, Code};

/// Which names of this server, and which sites, are let in.
#[derive(Debug, Clone, Default)]
pub struct HostRules {
    /// Allowed `Host` headers, `*` for any part of them; empty for localhost and addresses of private networks.
    pub allowed_hosts: Vec<String>,
    /// Sites besides localhost whose pages may write, such as `https://mlflow.example.org`; `*` for any.
    pub allowed_origins: Vec<String>,
}

/// Decides about each request before anything else looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    rules: HostRules,
    /// The address that the server was told to listen on.
    own: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(rules: HostRules, own: Option<IpAddr>) -> Self {
        Self { rules, own }
    }

    /// Lets a request in, or says why not.
    pub(crate) fn admit(&self, request: &Parts) -> Result<(), ApiError> {
        // Health checks come from balancers under any name, as in MLflow.
        if matches!(request.uri.path(), "/health" | "/version") {
            return Ok(());
        }
        if !self.knows_host(request) {
            let message = "invalid Host header, as in a DNS rebinding attack; \
                           start the server with --allowed-hosts if this name is its own";
            return Err(ApiError::new(Code::FORBIDDEN, message));
        }
        let writes = !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let origin = request.headers.get(ORIGIN);
        if writes && origin.is_some_and(|origin| !self.knows_origin(origin)) {
            let message = "cross-origin request blocked; start the server with --cors-allowed-origins \
                           if pages of this site may write";
            return Err(ApiError::new(Code::FORBIDDEN, message));
        }
        Ok(())
    }

    /// Headers that tell a browser that this site may read the answer.
    pub(crate) fn allow_origin(&self, request: &HeaderMap, reply: &mut HeaderMap) {
        let Some(origin) = request.get(ORIGIN).filter(|origin| self.knows_origin(origin)) else { return };
        for (name, value) in [
            ("access-control-allow-credentials", HeaderValue::from_static("true")),
            (
                "access-control-allow-methods",
                HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS, PATCH"),
            ),
            ("access-control-allow-headers", HeaderValue::from_static("authorization, content-type")),
            ("access-control-allow-origin", origin.clone()),
            ("vary", HeaderValue::from_static("origin")),
        ] {
            reply.insert(name, value);
        }
    }

    fn knows_host(&self, request: &Parts) -> bool {
        let mut hosts = request.headers.get_all(HOST).iter();
        // An absolute URI names the host too, and then it counts (RFC 9112, 3.2.2).
        let host = match (request.uri.authority(), hosts.next(), hosts.next()) {
            (_, _, Some(_)) => return false,
            (Some(authority), _, None) => authority.as_str(),
            (None, Some(host), None) => match host.to_str() {
                Ok(host) => host,
                Err(_) => return false,
            },
            (None, None, None) => return false,
        };
        if !self.rules.allowed_hosts.is_empty() {
            return self.rules.allowed_hosts.iter().any(|pattern| matches_pattern(pattern, host));
        }
        match host_name(host) {
            Some(name) if name.eq_ignore_ascii_case("localhost") => true,
            Some(name) => name.parse().is_ok_and(|address| is_private(address) || self.own == Some(address)),
            None => false,
        }
    }

    fn knows_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if self.rules.allowed_origins.iter().any(|pattern| matches_pattern(pattern, origin)) {
            return true;
        }
        let Some((_, host)) = origin.split_once("://") else { return false };
        host_name(host).is_some_and(|name| {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }
}

/// `name`, `name:port`, `[address]`, `[address]:port` without brackets and port.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = match port {
        "" => return Some(name),
        port => port.strip_prefix(':')?,
    };
    port.bytes().all(|digit| digit.is_ascii_digit()).then_some(name)
}

/// Addresses that no name of the outside world stands for.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern.eq_ignore_ascii_case(text) };
    let Some(text) = text
        .get(first.len()..)
        .filter(|_| text.as_bytes()[..first.len()].eq_ignore_ascii_case(first.as_bytes()))
    else {
        return false;
    };
    (0..=text.len()).any(|start| text.get(start..).is_some_and(|text| matches_pattern(rest, text)))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn admits(rules: &HostRules, method: &str, host: &str, origin: Option<&str>) -> bool {
        let mut request =
            Request::builder().method(method).uri("/api/2.0/mlflow/runs/get").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Gate::new(rules.clone(), Some("203.0.113.7".parse().unwrap())).admit(&parts).is_ok()
    }

    #[test]
    fn names_of_this_machine_and_of_private_networks_are_let_in() {
        let rules = HostRules::default();
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1:1",
            "[::1]:80",
            "192.168.0.3:9",
            "10.0.0.1",
            "203.0.113.7:5000",
        ] {
            assert!(admits(&rules, "GET", host, None), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.168.evil.example",
            "10.evil.example",
            "127.0.0.1.evil.example:80",
            "203.0.113.8",
            "localhost:x",
            "[::1",
            "",
        ] {
            assert!(!admits(&rules, "GET", host, None), "{host}");
        }
    }

    #[test]
    fn allowed_hosts_replace_the_usual_ones() {
        let rules = HostRules { allowed_hosts: vec!["*.lab.example:*".into()], ..HostRules::default() };
        assert!(admits(&rules, "GET", "track.lab.example:5000", None));
        for host in ["localhost", "lab.example:5000", "track.lab.example"] {
            assert!(!admits(&rules, "GET", host, None), "{host}");
        }
    }

    #[test]
    fn pages_of_other_sites_may_not_write() {
        let rules = HostRules { allowed_origins: vec!["https://ui.example".into()], ..HostRules::default() };
        for origin in ["http://localhost:3000", "http://127.0.0.1:5000", "http://[::1]", "https://ui.example"]
        {
            assert!(admits(&rules, "POST", "localhost", Some(origin)), "{origin}");
        }
        for origin in
            ["null", "https://evil.example", "https://localhost.evil.example", "https://ui.example.evil"]
        {
            assert!(!admits(&rules, "POST", "localhost", Some(origin)), "{origin}");
            assert!(admits(&rules, "GET", "localhost", Some(origin)), "reading is the browser's to refuse");
        }
    }
}
