//! `shared.url`: where the store is, and who we are there.
//!
//! `redis://[user[:password]@]host[:port][/db]`, `rediss://` with TLS; `redis+cluster://h1,h2,h3`;
//! `redis+sentinel://h1,h2/name[/db]`; `rediss+cluster://`, `rediss+sentinel://`. User and password are percent-decoded.

use crate::fleet::settings::{Address, Auth, Topology};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What an URL says: topology, whether to use TLS, credentials, database.
///
/// # Errors
/// A sentence for the operator. It repeats nothing of what stands before the `@`.
pub fn parse(url: &str) -> Result<(Topology, bool, Auth, i64), String> {
    let (scheme, rest) = url.split_once("://").ok_or("has no scheme: redis://host:6379 is expected")?;
    let (tls, kind) = match scheme.to_ascii_lowercase().as_str() {
        "redis" => (false, ""),
        "rediss" => (true, ""),
        "redis+cluster" => (false, "cluster"),
        "rediss+cluster" => (true, "cluster"),
        "redis+sentinel" => (false, "sentinel"),
        "rediss+sentinel" => (true, "sentinel"),
        other => {
            return Err(format!(
                "has the scheme {other:?}: redis, rediss, redis+cluster, rediss+cluster, redis+sentinel or rediss+sentinel is expected"
            ));
        }
    };
    if rest.contains(['?', '#']) {
        return Err(
            "takes no parameters and no fragment (write ? and # in a password as %3F and %23)".to_owned()
        );
    }
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        // Said before anything of it could be repeated.
        return Err("has a / before the @ (write / in a password as %2F)".to_owned());
    }
    let (credentials, hosts) = match place.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, place),
    };
    let auth = credentials.map_or_else(|| Ok(Auth::default()), auth)?;
    let port = if kind == "sentinel" { SENTINEL_PORT } else { PORT };
    let hosts = hosts.split(',').map(|host| address(host, port)).collect::<Result<Vec<_>, _>>()?;
    let (topology, db) = match kind {
        "cluster" => (Topology::Cluster(hosts), cluster_db(path)?),
        "sentinel" => {
            let (name, db) = path.split_once('/').unwrap_or((path, ""));
            if name.is_empty() {
                return Err("names no master: redis+sentinel://host1,host2/name is expected".to_owned());
            }
            (Topology::Sentinel { sentinels: hosts, master: decoded(name)? }, database(db)?)
        }
        _ => match <[Address; 1]>::try_from(hosts) {
            Ok([host]) => (Topology::Standalone(host), database(path)?),
            Err(_) => {
                return Err("has several hosts: is it redis+cluster:// or redis+sentinel://?".to_owned());
            }
        },
    };
    Ok((topology, tls, auth, db))
}

/// `user:password`, `:password` (a password alone), `user`.
fn auth(text: &str) -> Result<Auth, String> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (text, None),
    };
    let some = |text: &str| if text.is_empty() { Ok(None) } else { decoded(text).map(Some) };
    let auth = Auth { username: some(username)?, password: password.map_or(Ok(None), some)? };
    match auth {
        Auth { username: Some(_), password: None } => {
            Err("has a user without a password (a password alone is written redis://:password@host)"
                .to_owned())
        }
        auth => Ok(auth),
    }
}

fn address(text: &str, port: u16) -> Result<Address, String> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, rest) = inside.split_once(']').ok_or("has a [ without a ]")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("has [{host}], which is no IPv6 address"));
            }
            (host, rest)
        }
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => port,
        Some(digits) if !digits.contains(':') => {
            digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("has the port {digits:?}"))?
        }
        Some(_) => return Err("has an IPv6 address without brackets: [::1]:6379".to_owned()),
        None => return Err("has something between ] and the port".to_owned()),
    };
    if host.is_empty() {
        return Err("has an empty host".to_owned());
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has white space in a host".to_owned());
    }
    Ok(Address { host: host.into(), port })
}

fn database(text: &str) -> Result<i64, String> {
    match text {
        "" => Ok(0),
        digits => digits
            .parse::<u32>()
            .map(i64::from)
            .map_err(|_| format!("has {digits:?} where the number of a database is expected")),
    }
}

fn cluster_db(text: &str) -> Result<i64, String> {
    match database(text)? {
        0 => Ok(0),
        db => Err(format!("has database {db}: a cluster has number 0 only")),
    }
}

fn decoded(text: &str) -> Result<Arc<str>, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.as_ref().into()).map_err(|_| "is no UTF-8 once percent-decoded".to_owned())
}
