//! From the configuration's words to each room's own settings. The rooms don't know the configuration, and it does
//! not know them; here, and nowhere else, they meet.

use crate::access::{Gate, Scope, Token};
use crate::config::{self, origins as wanted, server, storage, telemetry};
use crate::fleet;
use crate::front::handler::Limits;
use crate::front::listener::ConnSettings;
use crate::front::normalise;
use crate::front::purging::Purgers;
use crate::origin;
use crate::store::memory;
use crate::trace::export;
use std::net::SocketAddr;
use std::sync::Arc;

/// The schemes that the listeners serve.
pub fn schemes(server: &server::Server) -> Vec<&'static str> {
    let serves = |tls| server.listen.iter().any(|listener| listener.tls.is_some() == tls);
    [("http", false), ("https", true)]
        .into_iter()
        .filter(|(_, tls)| serves(*tls))
        .map(|(scheme, _)| scheme)
        .collect()
}

/// # Errors
/// An address that can't be read, in a sentence.
pub fn fleet_settings(shared: &storage::Shared, server: &server::Server) -> Result<fleet::Settings, String> {
    let (topology, tls, auth, db) = fleet::links::url::parse(shared.url.expose())?;
    Ok(fleet::Settings {
        topology,
        tls,
        auth,
        db,
        namespace: shared.namespace.clone(),
        timeout: shared.timeout,
        max_object: shared.max_object,
        breaker: fleet::settings::Breaker {
            failures: shared.breaker.failures,
            open_for: shared.breaker.open_for,
        },
        lease: shared.lease,
        max_unsynced: shared.max_unsynced,
        when_unsynced: match shared.when_unsynced {
            storage::WhenUnsynced::Revalidate => fleet::settings::WhenUnsynced::Revalidate,
            storage::WhenUnsynced::Serve => fleet::settings::WhenUnsynced::Serve,
            storage::WhenUnsynced::Bypass => fleet::settings::WhenUnsynced::Bypass,
        },
        keys: fleet::settings::Keys(shared.keys().map(|key| *key.expose()).collect()),
        secret: server.secret.as_ref().map(|secret| secret.expose().into()),
        node_name: node_name(&server.name).into(),
    })
}

/// What a person calls this node: `server.name` where it is set, else the machine, and which of the processes on it this is.
fn node_name(name: &str) -> String {
    if name != server::UNNAMED {
        return name.to_owned();
    }
    let system = rustix::system::uname();
    format!("{}/{}", system.nodename().to_string_lossy(), std::process::id())
}

/// # Errors
/// A server that can't be asked, in a sentence.
pub fn origin_settings(
    wanted: &wanted::Origin,
    demo: Option<SocketAddr>,
) -> Result<origin::settings::Settings, String> {
    let server = |server: &wanted::Server| {
        let url = match (&server.url, demo) {
            (config::net::Upstream::Demo, Some(address)) => format!("http://{address}"),
            (url, _) => url.to_string(),
        };
        let url = origin::settings::ServerUrl::parse(&url)?;
        Ok(origin::settings::Server { url, weight: server.weight, backup: server.backup })
    };
    Ok(origin::settings::Settings {
        servers: wanted.servers.iter().map(server).collect::<Result<_, String>>()?,
        balance: match wanted.balance {
            wanted::Balance::RoundRobin => origin::settings::Balance::RoundRobin,
            wanted::Balance::LeastRequests => origin::settings::Balance::LeastRequests,
            wanted::Balance::HashKey => origin::settings::Balance::HashKey,
        },
        host_header: match &wanted.host_header {
            config::net::HostHeader::Preserve => origin::settings::HostHeader::Preserve,
            config::net::HostHeader::Server => origin::settings::HostHeader::Server,
            config::net::HostHeader::Literal(host) => origin::settings::HostHeader::Literal(host.clone()),
        },
        connect_timeout: wanted.connect_timeout,
        first_byte_timeout: wanted.first_byte_timeout,
        between_bytes_timeout: wanted.between_bytes_timeout,
        retries: wanted.retries,
        max_connections: wanted.max_connections,
        queue: origin::settings::Queue { length: wanted.queue.length, wait: wanted.queue.wait },
        http2: wanted.http2,
        tls: origin::settings::TlsSettings {
            ca: wanted.tls.ca.clone(),
            insecure: wanted.tls.insecure,
            server_name: wanted.tls.server_name.clone(),
            cert: wanted.tls.cert.clone(),
            key: wanted.tls.key.clone(),
        },
        health: wanted.health.as_ref().map(|h| origin::settings::Health {
            path: h.path.clone(),
            interval: h.interval,
            timeout: h.timeout,
            unhealthy_after: h.unhealthy_after,
            healthy_after: h.healthy_after,
        }),
        breaker: wanted.breaker.as_ref().map(|b| origin::settings::Breaker {
            failures: b.failures,
            window: b.window,
            open_for: b.open_for,
        }),
        response_headers: wanted.limits.response_headers,
        response_header_bytes: usize::try_from(wanted.limits.response_header_bytes).unwrap_or(usize::MAX),
        ..origin::settings::Settings::default()
    })
}

pub fn trace_settings(tracing: &telemetry::Tracing, node_id: &str) -> export::Settings {
    export::Settings {
        url: tracing.otlp.clone(),
        protocol: match tracing.protocol {
            telemetry::OtlpProtocol::Grpc => export::Protocol::Grpc,
            telemetry::OtlpProtocol::Http => export::Protocol::Http,
        },
        headers: tracing.headers.iter().cloned().collect(),
        service: tracing.service.to_string(),
        instance: node_id.to_owned(),
    }
}

pub fn settings(server: &server::Server, node_id: &str) -> normalise::Settings {
    normalise::Settings {
        trusted_proxies: server.trusted_proxies.clone(),
        server_name: server.name.to_string(),
        node_id: node_id.to_owned(),
        hosts: server.hosts.clone(),
    }
}

pub fn conn_settings(server: &server::Server) -> ConnSettings {
    let l = &server.limits;
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let limits = Limits {
        request_header_bytes: bytes(l.request_header_bytes),
        request_headers: l.request_headers,
        url_bytes: bytes(l.url_bytes),
        request_body: l.request_body,
        header_read_timeout: l.header_read_timeout,
        body_read_timeout: l.body_read_timeout,
        idle_timeout: l.idle_timeout,
        write_stall_timeout: l.write_stall_timeout,
        connections: l.connections,
        connections_per_address: l.connections_per_address,
        h2_streams: l.h2_streams,
        h2_resets: l.h2_resets,
    };
    ConnSettings { limits: Arc::new(limits), trusted: server.trusted_proxies.clone().into() }
}

pub fn gate(admin: &server::Admin) -> Gate {
    let scope = |p: &server::Permission| match p {
        server::Permission::Read => Scope::Read,
        server::Permission::Purge => Scope::Purge,
        server::Permission::Admin => Scope::Admin,
    };
    let token = |t: &server::Token| Token {
        name: t.name.to_string(),
        secret: t.secret.expose().to_owned(),
        allow: t.allow.iter().map(scope).collect(),
    };
    Gate {
        tokens: admin.tokens.iter().map(token).collect(),
        address: admin.address.unwrap_or(([127, 0, 0, 1], 0).into()),
    }
}

pub fn purgers(admin: &server::Admin) -> Purgers {
    Purgers { from: admin.purge_from.clone(), gate: gate(admin) }
}

pub const fn policy(wanted: storage::Eviction) -> memory::Policy {
    match wanted {
        storage::Eviction::TinyLfu => memory::Policy::TinyLfu,
        storage::Eviction::Lru => memory::Policy::Lru,
    }
}
