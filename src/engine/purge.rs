//! Purging as everybody asks for it: the admin API, other products' calls, the command line. Applies it, counts what
//! it selects, has the memory freed, and keeps the figures. What makes a purge hold is the log (`crate::purge`);
//! all the rest here could fail without content being served that was purged.

use crate::engine::rules::purged::PurgedUrl;
use crate::engine::{Engine, Site};
use crate::purge::normal::{BadUrl, Target};
use crate::purge::{Applied, Matched, Purge, Selector};
use crate::trace::Span;
use std::sync::Arc;
use std::time::Duration;

/// What came of a purge on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    pub applied: Applied,
    /// Stored variants that it selects in this node's memory, each once.
    pub matched: Matched,
    /// From the call until it holds on this node and is counted.
    pub took: Duration,
}

/// The word for patterns among the kinds of `larder_purges_total`.
pub const PATTERN: &str = "pattern";

/// All kinds of what a purge can name.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    Selector::KINDS.into_iter().chain([PATTERN])
}

/// What a trace says of a purge.
pub fn describe<'s>(span: &'s mut Span, purged: &Purged, id: &str) -> &'s mut Span {
    span.name("purge")
        .text("larder.purge.id", id)
        .number("larder.purge.selectors", purged.applied.selectors)
        .number("larder.purge.matched", purged.matched.count)
}

impl Engine {
    /// Applies a purge: when this returns, whoever asks gets it respected. Takes up to some tens of milliseconds where
    /// prefixes or patterns have to be counted, so async callers do it on a blocking thread.
    pub fn purge(&self, purge: Purge) -> Purged {
        let began = self.clock.elapsed();
        let purge = Arc::new(purge);
        let applied = self.submit(&purge);
        let held = self.clock.elapsed();
        let matched = self.memory.index().matched(&purge);
        self.purges.note_matched(applied.at, matched);
        self.count(&purge, held.saturating_sub(began));
        let took = self.clock.elapsed().saturating_sub(began);
        // Counted first: what the sweeper takes away can't be counted any more.
        self.sweeper.add(&purge);
        Purged { applied, matched, took }
    }

    /// Each kind that the purge names counts once.
    fn count(&self, purge: &Purge, took: Duration) {
        let named = |kind| match kind {
            PATTERN => !purge.predicates.is_empty(),
            kind => purge.selectors.iter().any(|selector| selector.kind() == kind),
        };
        kinds().filter(|kind| named(*kind)).for_each(|kind| self.metrics.purged(kind, purge.mode.as_str()));
        self.metrics.purge_applied(took);
    }
}

impl Site {
    /// The selectors of a URL that somebody wants purged (interface.md §5): its query as the rules key it, and under both schemes
    /// unless it names one that a listener serves. One selector, except where rules key the query by more than the URL.
    ///
    /// # Errors
    /// No scheme, no host, or one that can't be read.
    pub fn purged_url(&self, url: &str) -> Result<Vec<Selector>, BadUrl> {
        let target = Target::parse(url)?;
        let served = self.schemes.contains(&target.scheme());
        let schemes = if served { vec![target.scheme()] } else { vec!["http", "https"] };
        let authority = target.authority();
        let mut queries = Vec::new();
        for scheme in schemes {
            let url = PurgedUrl { scheme, host: &authority, path: target.path(), query: target.query() };
            queries.extend(self.rules.keyed_queries(&url));
        }
        let mut selectors: Vec<Selector> = Vec::new();
        for query in queries {
            let url = target.with_query(query.as_deref());
            let selector = match served {
                true => Selector::Url(url.url()),
                false => Selector::UrlAnyScheme(url.without_scheme()),
            };
            if !selectors.contains(&selector) {
                selectors.push(selector);
            }
        }
        Ok(selectors)
    }
}
