//! Other products' purge calls, carried out: read by their dialect, applied like every purge, and answered in the words
//! that their clients look for. Who may call is the listeners' business, and settled before anything comes here.

pub use crate::purge::dialects::{fastly_key, is_purge_method, is_refresh};

use crate::engine::Engine;
use crate::engine::purge::{Purged, describe};
use crate::purge::Purge;
use crate::purge::dialects::{self, Answer, AnswerShape, BadCall, Call, Dialect, Done, Parsed};
use crate::trace::{Kind, Trace};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use std::sync::Arc;

/// Largest body of a purge call, bytes (interface.md §5).
pub const MAX_BODY: usize = 1024 * 1024;

/// In the log: why such a request never went to an origin.
pub const REASON: &str = "purge";

/// Where a call came in, which decides what it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Cloudflare's, Fastly's and the invalidation draft's JSON.
    Admin,
    /// `PURGE`, `BAN` and their kin.
    Public,
}

/// A call by somebody who may.
#[derive(Clone, Debug)]
pub struct PurgeCall {
    pub door: Door,
    pub method: Method,
    /// `host` or `host:port`, effective.
    pub authority: String,
    /// As sent.
    pub path: String,
    pub query: Option<String>,
    /// As sent: what normalisation takes away (`X-Host`) means something here.
    pub headers: HeaderMap,
    /// At most [`MAX_BODY`].
    pub body: Bytes,
    /// The token's name, or the caller's address.
    pub who: String,
    pub trace: Trace,
}

/// What the caller is told.
#[derive(Clone, Debug)]
pub struct Called {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Called {
    /// The answer to somebody who is turned away, or whose call can't be taken. `None` where no dialect speaks that path.
    pub fn refused(path: &str, status: StatusCode, reason: &str) -> Option<Self> {
        Dialect::of_admin_path(path).map(|dialect| dialects::refusal(dialect, status, reason).into())
    }

    /// Whether anything was purged, or would have been had it been there.
    pub fn is_applied(&self) -> bool {
        self.status.is_success()
    }
}

impl From<Answer> for Called {
    fn from((status, headers, body): Answer) -> Self {
        Self { status, headers, body }
    }
}

impl Engine {
    /// Carries out a call: all of it, or nothing. When this returns, whoever asks gets the purge respected.
    pub async fn purge_call(self: &Arc<Self>, call: PurgeCall) -> Called {
        let engine = self.clone();
        let mut step = call.trace.step(Kind::Internal);
        // On a thread that may block: patterns are compiled, and what they select is counted.
        let called = tokio::task::spawn_blocking(move || engine.purge_called(&call)).await;
        let Ok(called) = called else {
            let reason = "the purge was not counted; it may hold";
            return dialects::refusal(Dialect::Varnish, StatusCode::INTERNAL_SERVER_ERROR, reason).into();
        };
        match called {
            Err(refused) => *refused,
            Ok((purged, shape)) => {
                // No dialect can ask for more than this node; in a fleet that the purge stands in the log is the least.
                let reach = self.reached(purged.applied.at, false).await;
                let id = reach.id.map_or_else(|| purged.applied.at.to_string(), |id| id.to_string());
                let complete = reach.is_logged();
                if let Some(span) = step.span() {
                    describe(span, &purged, &id).flag("larder.purge.logged", complete);
                }
                let done = Done { id: &id, matched: purged.matched.count, complete };
                dialects::answer(&shape, &done).into()
            }
        }
    }

    fn purge_called(&self, call: &PurgeCall) -> Result<(Purged, AnswerShape), Box<Called>> {
        match self.read(call) {
            Ok(Parsed::Purge(purge, shape)) => {
                Ok((self.purge(Purge { who: call.who.clone(), ..purge }), shape))
            }
            Ok(Parsed::Refresh | Parsed::NotAPurge) => {
                let why = "this is no purge call";
                Err(Box::new(dialects::refusal(Dialect::Varnish, StatusCode::NOT_FOUND, why).into()))
            }
            Err(bad) => Err(Box::new(bad.answer().into())),
        }
    }

    fn read(&self, call: &PurgeCall) -> Result<Parsed, BadCall> {
        let site = self.site_owned();
        let urls = |url: &str| site.purged_url(url);
        let seen = Call {
            method: &call.method,
            authority: &call.authority,
            path: &call.path,
            query: call.query.as_deref(),
            headers: &call.headers,
            body: &call.body,
        };
        match call.door {
            Door::Admin => dialects::admin(&seen, &urls),
            Door::Public => dialects::public(&seen, &urls),
        }
    }
}
