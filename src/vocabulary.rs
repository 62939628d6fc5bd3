//! The words of metric labels, from the enums that own them: so that every series is there from the start, and the same word is in
//! the metric, the log and the response.

use crate::engine::draft::Refused;
use crate::engine::outcome::Kind;
use crate::engine::plan::StaleWhy;
use crate::engine::{self, Site};
use crate::fleet::links::Role;
use crate::fleet::tier;
use crate::front::refusal::Refusal;
use crate::observe::Metrics;
use crate::observe::metrics::Vocabulary;
use crate::purge::Mode;
use crate::purge::fleet::Notice;
use crate::semantics::storable::NotStored;
use crate::trace::export::Lost;
use std::sync::{Arc, LazyLock};

pub fn rule_names(site: &Site) -> Vec<Arc<str>> {
    site.rules.rules().map(|r| r.name.clone()).chain([Arc::from("none")]).collect()
}

pub fn origin_names(site: &Site) -> Vec<Arc<str>> {
    site.origins.keys().cloned().collect()
}

pub fn metrics(site: &Site) -> Arc<Metrics> {
    Metrics::new(&vocabulary(&rule_names(site), &origin_names(site)))
}

/// Every word that can be a label, from the enums that own them.
pub fn vocabulary<'a>(rules: &'a [Arc<str>], origins: &'a [Arc<str>]) -> Vocabulary<'a> {
    static OUTCOMES: LazyLock<Vec<&str>> = LazyLock::new(|| Kind::ALL.iter().map(|k| k.as_str()).collect());
    static NOT_STORED: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let own = Refused::OWN.iter().map(|r| r.as_str());
        NotStored::ALL.iter().map(|n| n.as_str()).chain(own).collect()
    });
    static STALE: LazyLock<Vec<&str>> = LazyLock::new(|| StaleWhy::ALL.iter().map(|s| s.as_str()).collect());
    static REFUSALS: LazyLock<Vec<&str>> =
        LazyLock::new(|| Refusal::ALL.iter().map(|r| r.as_str()).collect());
    static LOST: LazyLock<Vec<&str>> = LazyLock::new(|| Lost::ALL.iter().map(|l| l.as_str()).collect());
    static KINDS: LazyLock<Vec<&str>> = LazyLock::new(|| engine::purge::kinds().collect());
    static MODES: LazyLock<Vec<&str>> = LazyLock::new(|| Mode::ALL.iter().map(|m| m.as_str()).collect());
    static CALLS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| tier::announced().collect());
    static ROLES: LazyLock<Vec<&str>> = LazyLock::new(|| Role::ALL.iter().map(|r| r.as_str()).collect());
    static EVENTS: LazyLock<Vec<&str>> = LazyLock::new(|| Notice::ALL.iter().map(|n| n.as_str()).collect());
    Vocabulary {
        outcomes: &OUTCOMES,
        not_stored: &NOT_STORED,
        stale: &STALE,
        refusals: &REFUSALS,
        purge_kinds: &KINDS,
        purge_modes: &MODES,
        traces_lost: &LOST,
        shared_calls: &CALLS,
        shared_roles: &ROLES,
        log_events: &EVENTS,
        rules,
        origins,
    }
}
