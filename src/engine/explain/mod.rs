//! What would be done with a request, and why: a dry run. The very functions that requests run decide it — normalisation, the
//! rules, the key, the look-up, the plan — and what they say is written down on the way. No origin is asked, nothing is
//! stored, counted, logged or marked; a soft purge that nobody has noticed yet stays unnoticed.
//!
//! What can't be known without the origin is said to be unknown: whether an answer may be stored is decided when it
//! comes. For that there is what is remembered of the key: a mark, and [`lately`] why its last answer was not stored.
//!
//! | file | what |
//! | --- | --- |
//! | `trace` | what is told, as data |
//! | `look` | from the engine's values to that data |
//! | `steps` | the same in sentences |
//! | `notes` | each reason: what it means, where it stands, what to do about it |
//! | `lately` | the memory of answers that were not stored |

pub mod lately;
mod look;
pub mod notes;
mod steps;
pub mod trace;

use crate::engine::answer::Ask;
use crate::engine::held::{Going, Held};
use crate::engine::markers::Mark;
use crate::engine::outcome::Kind;
use crate::engine::plan::{PassWhy, Seen, StaleWhy, ValidateWhy};
use crate::engine::request::{Incoming, keyed_body};
use crate::engine::site::{self, Engine, Site};
use crate::engine::way::{Entrance, Way};
use crate::semantics::cache_status::{Forward, Member};
use crate::semantics::fields::content_type;
use crate::semantics::freshness::Forbids;
use crate::semantics::reuse::Why;
use crate::semantics::storable;
use crate::time::Now;
use http::{HeaderMap, Method};
use notes::Note;
use std::sync::Arc;
use std::time::Duration;
use trace::{Action, Decision, Explained, NotStoredShown, OriginShown, Remembered, RequestShown};

/// A request that nobody makes, as it would arrive on a public listener.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    /// Over TLS.
    pub tls: bool,
    /// `host` or `host:port`; a `Host` among the headers wins, as with other clients.
    pub authority: String,
    /// `/path?query`, as it would be sent.
    pub target: String,
    pub headers: HeaderMap,
}

/// The request never comes to the engine: the listener answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// One word, as in the access log.
    pub word: &'static str,
    /// `None`: it depends on who asks.
    pub status: Option<u16>,
    pub says: &'static str,
    /// Where that is laid down.
    pub source: &'static str,
    /// It is an error.
    pub refused: bool,
}

type Normalise = dyn Fn(Question) -> Result<Incoming, Turned> + Send + Sync;

/// What the public listeners do with a request before the engine sees it. Handed in by whoever builds the listeners.
pub struct Normaliser(Box<Normalise>);

impl Normaliser {
    pub fn new(normalise: impl Fn(Question) -> Result<Incoming, Turned> + Send + Sync + 'static) -> Self {
        Self(Box::new(normalise))
    }
}

impl std::fmt::Debug for Normaliser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Normaliser")
    }
}

impl Engine {
    /// Explains what would be done with a request now.
    pub async fn explain(self: &Arc<Self>, question: Question, normaliser: &Normaliser) -> Explained {
        let request = look::as_asked(&question);
        let sent = question.headers.clone();
        let mut explained = match (normaliser.0)(question) {
            Err(turned) => Explained { request, decision: turned_away(turned), ..Explained::default() },
            Ok(incoming) => {
                let request = RequestShown {
                    url: incoming.target(),
                    removed_fields: look::removed(&sent, &incoming.headers),
                    ..request
                };
                Explained { request, ..self.explain_incoming(incoming).await }
            }
        };
        explained.steps = steps::of(&explained);
        explained
    }

    /// The way of [`Engine::handle`], up to where something would be done.
    async fn explain_incoming(self: &Arc<Self>, mut incoming: Incoming) -> Explained {
        let site = self.site_owned();
        let wrote_lately = self.wrote_lately(&site, &mut incoming);
        let resolved = site.rules.resolve(&incoming.facts());
        let policy = resolved.policy.clone();
        let mut explained = Explained {
            rules: look::rules(&site, &resolved, None),
            origin: origin(&site, &policy.origin),
            ..Explained::default()
        };
        if let Some(respond) = &policy.respond {
            explained.origin = None;
            explained.decision = Decision {
                status: Some(respond.status.as_u16()),
                ..decision(Action::Respond, Kind::Pass, "respond", "a rule answers it", "rules[].respond")
            };
            return explained;
        }
        let keyed = keyed_body(&mut incoming, &policy).await.ok().flatten(); // there is none to break off
        let Entrance { why, query, base } = self.enter(&incoming, &resolved, keyed.is_some(), wrote_lately);
        let (None, Some(base)) = (why, base) else {
            let why = why.unwrap_or(PassWhy::Unselectable);
            explained.pass(&site, why, why.forward());
            return explained;
        };
        explained.key = Some(look::key(&incoming, &resolved, &site, query.as_deref(), keyed.is_some()));
        let asked = Ask::new(self.clone(), site, resolved, incoming, query, base, keyed);
        let ask = Ask { dry: true, ..asked };
        explained.look_up(&ask);
        explained
    }
}

impl Explained {
    fn pass(&mut self, site: &Site, why: PassWhy, forward: Forward) {
        let note = notes::pass(why);
        let member =
            Member { detail: (why != PassWhy::Method).then_some(why.as_str()), ..site::forwarded(forward) };
        self.decision = Decision {
            cache_status: shown(site, &member),
            ..noted(Action::Pass, Kind::Pass, why.as_str(), note)
        };
        if why == PassWhy::Rule
            && let Some(rule) = self.rule_that_sets("cache")
        {
            self.decision.says =
                format!("the rule `{rule}` says `cache: bypass`: neither looked up nor stored");
        }
        self.advise(note);
    }

    /// What the store has, and what the plan makes of it.
    fn look_up(&mut self, ask: &Ask) {
        let engine = &ask.engine;
        let now = engine.clock.now();
        let held = ask.held(now, |entry| look::seen_quietly(engine, entry, now));
        let mark = engine.markers.get(&ask.key, now.mono);
        if let Some((entry, seen)) = &held.entry {
            let content_type = content_type(&**entry);
            let policy = ask.policy_for(entry.status, content_type);
            self.rules = look::rules(&ask.site, &ask.resolved, Some((entry.status, content_type)));
            self.entry = Some(look::entry(entry, *seen, &self.rules, &policy.store, engine, now));
            self.advise_windows(&policy.store);
        }
        self.variants = look::variants(&held, engine, now);
        self.purges = look::purges(&held, ask, now);
        self.fetch_under_way =
            matches!(engine.flights.newest_born(&ask.key), crate::engine::flight::Newest::Born(_));
        self.remembered = remembered(ask, mark, now);
        // Without luck: what is refreshed early by chance is not refreshed here.
        match ask.way(ask.plan(&held, now, 1.0), mark) {
            Way::Serve { stale, refresh } => self.serve(ask, &held, stale, refresh, now),
            Way::Refuse => self.only_if_cached(),
            Way::RangeOfLarge => {
                let why = PassWhy::RangeOfLargeObject;
                self.pass(&ask.site, why, why.forward());
            }
            Way::Head(going) => {
                self.pass(&ask.site, PassWhy::Head, going.forward);
                self.advise_remembered();
            }
            Way::Fetch(going) => {
                self.fetch(ask, &held, going);
                self.decision.asks_shared_tier = ask.may_share().is_some() && !ask.keeps_apart(mark);
            }
        }
    }

    fn serve(&mut self, ask: &Ask, held: &Held, stale: Option<StaleWhy>, refresh: bool, now: Now) {
        let Some((entry, seen)) = &held.entry else { return };
        let (answer, outcome) = ask.served(entry, *seen, stale, now);
        let note = match stale {
            Some(why) => notes::stale(why),
            None => Note {
                says: "it is stored, and its lifetime is not over",
                source: "RFC 9111 §4.2",
                advice: None,
            },
        };
        let answer = answer.ok();
        let field = answer.as_ref().and_then(|a| a.headers().get(crate::engine::deliver::CACHE_STATUS));
        self.decision = Decision {
            status: answer.as_ref().map(|answer| answer.status().as_u16()),
            cache_status: field.and_then(|value| value.to_str().ok()).map(str::to_owned),
            refresh,
            ..noted(Action::Serve, outcome.kind, outcome.reason, note)
        };
    }

    fn only_if_cached(&mut self) {
        let says = "nothing that is stored may be used, and the client wants nothing else (`only-if-cached`)";
        self.decision = Decision {
            status: Some(504),
            ..decision(Action::Refuse, Kind::Error, "only-if-cached", says, "RFC 9111 §5.2.1.7")
        };
        self.advise_remembered();
    }

    fn fetch(&mut self, ask: &Ask, held: &Held, going: Going) {
        let note = going.why.map_or_else(|| notes::forward(going.forward), notes::validate);
        let reason = going.why.map_or("", ValidateWhy::as_str);
        let method = if ask.body.is_some() { ask.asked.method.clone() } else { Method::GET };
        let (action, kind) = match (going.why, ask.candidate(held, &method)) {
            (Some(_), Some(_)) => (Action::Revalidate, Kind::Revalidated),
            _ => (Action::Fetch, Kind::Miss),
        };
        self.decision = Decision {
            cache_status: shown(&ask.site, &site::forwarded(going.forward)),
            ..noted(action, kind, reason, note)
        };
        // A rule's window has been advised against already, or would be in vain.
        let stale = going.why == Some(ValidateWhy::Reuse(Why::Stale));
        if !(stale && self.entry.as_ref().is_some_and(|entry| entry.stale_forbidden_by.is_some())) {
            self.advise(note);
        } else if self.advice.is_empty() {
            self.advice.push(LONGER.to_owned());
        }
        if going.forward == Forward::UriMiss || going.forward == Forward::VaryMiss {
            self.advise_remembered();
        }
        if held.other_variants && self.variants.len() >= ask.policy().max_variants {
            self.advice.push(
                "there are as many variants as `vary.max_variants` allows: have the origin name fewer fields in `Vary`, or \
                 list those that don't matter in `vary.ignore`"
                    .into(),
            );
        }
    }

    /// Windows of rules that the origin's own words make void for this page.
    fn advise_windows(&mut self, store: &storable::Options) {
        let Some(entry) = &self.entry else { return };
        let forbids = Forbids::ALL.into_iter().find(|why| Some(why.as_str()) == entry.stale_forbidden_by);
        let Some(why) = forbids.map(notes::forbids_stale) else { return };
        let windows = [
            ("stale_while_revalidate", store.stale_while_revalidate, entry.stale_while_revalidate_s),
            ("stale_if_error", store.stale_if_error, entry.stale_if_error_s),
        ];
        let void = |(_, rule, own): &(&str, Option<Duration>, u64)| {
            *own == 0 && rule.is_some_and(|window| !window.is_zero())
        };
        let advice = windows.iter().filter(|window| void(window)).map(|(field, ..)| {
            let rule = self.rule_that_sets(field).unwrap_or_default();
            let advice = why.advice.unwrap_or_default();
            format!("`{field}` of the rule `{rule}` does nothing for this page: {}; {advice}", why.says)
        });
        self.advice.extend(advice.collect::<Vec<_>>());
    }

    fn advise(&mut self, note: Note) {
        self.advice.extend(note.advice.map(str::to_owned));
    }

    /// Nothing is stored: why was the last answer not?
    fn advise_remembered(&mut self) {
        let Some(last) = &self.remembered.not_stored else { return };
        if let Some(advice) = advice_for(last.reason) {
            self.advice.push(advice.to_owned());
        }
    }

    fn rule_that_sets(&self, field: &str) -> Option<&str> {
        let sets = |rule: &&trace::RuleShown| rule.sets.iter().any(|set| set.field == field);
        self.rules.iter().rev().filter(|rule| rule.matches == Some(true)).find(sets).map(|r| r.name.as_str())
    }
}

/// Where stale use is forbidden.
const LONGER: &str = "have the origin send a longer lifetime, or set `ttl` in a rule";

fn advice_for(reason: &str) -> Option<&'static str> {
    use crate::engine::draft::Refused;
    use crate::semantics::storable::NotStored;
    let all = NotStored::ALL.into_iter().map(Refused::Semantics).chain(Refused::OWN);
    let note = all.into_iter().find(|why| why.as_str() == reason).map(notes::refused);
    note.and_then(|note| note.advice)
}

fn decision(action: Action, kind: Kind, reason: &'static str, says: &str, source: &'static str) -> Decision {
    Decision {
        action: action.as_str(),
        outcome: kind.as_str(),
        reason,
        says: says.to_owned(),
        source,
        ..Decision::default()
    }
}

fn noted(action: Action, kind: Kind, reason: &'static str, note: Note) -> Decision {
    decision(action, kind, reason, note.says, note.source)
}

fn turned_away(turned: Turned) -> Decision {
    let (action, kind) = match turned.refused {
        true => (Action::Refuse, Kind::Error),
        false => (Action::Respond, Kind::Pass),
    };
    Decision { status: turned.status, ..decision(action, kind, turned.word, turned.says, turned.source) }
}

fn shown(site: &Site, member: &Member) -> Option<String> {
    member.to_value(&site.server_name).to_str().ok().map(str::to_owned)
}

fn origin(site: &Site, name: &Arc<str>) -> Option<OriginShown> {
    let snapshot = site.origins.get(name)?.snapshot();
    let open = crate::origin::BreakerState::Open;
    let usable = snapshot.servers.iter().filter(|s| s.healthy && s.breaker != open).count();
    Some(OriginShown { name: name.to_string(), servers: snapshot.servers.len(), usable })
}

fn remembered(ask: &Ask, mark: Option<Mark>, now: Now) -> Remembered {
    let not_stored = ask.engine.lately.get(&ask.key, now).map(|kept| {
        let note = notes::refused(kept.why);
        NotStoredShown {
            reason: kept.why.as_str(),
            status: kept.status.as_u16(),
            ago_s: now.mono.since(kept.at.mono).as_secs(),
            says: note.says,
            source: note.source,
        }
    });
    Remembered { mark: mark.map(Mark::as_str), not_stored }
}
