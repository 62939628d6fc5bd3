//! A look at what the store has for a request: a value, a mark, the lease, or somebody else's lease.
//!
//! One round trip settles it as a rule. Another one follows where the guess of what selects the variant was wrong, and
//! where there is a value but it is no good: what is known to be no good counts as absent from then on, for this
//! request.

use super::body;
use super::budget::Budget;
use super::lease::{self, Keeper, Lease, Token, millis};
use super::scripts::{LOOK, Looked, There};
use super::words::Outcome;
use super::{Tier, Wanted};
use crate::fleet::links::{CallError, Role};
use crate::fleet::names::{KeyNames, VariantName};
use crate::fleet::value::{Record, Stored};
use crate::semantics::vary;
use crate::store::entry::Meta;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Round trips of one look: a wrong guess and two values that are no good take four. More than that is a key that changes
/// as fast as we can look.
const ROUNDS: usize = 6;

/// By its first bytes a value is known again: the head of a record, which is as long, holds a random number and a checksum.
const KNOWN: usize = 100;

/// Pauses between looks while another node fetches.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    Value(Box<Stored>),
    Marked,
    Leased(Lease),
    /// The lease would be ours, but the store can't write it down.
    Unheld(CallError),
    Busy,
}

pub(super) struct Search<'a, F> {
    tier: &'a Tier,
    wanted: Wanted<'a>,
    accepts: F,
    names: KeyNames,
    /// The fields that select the variant, as far as we know, and the variant that this request selects by them.
    guess: Arc<[HeaderName]>,
    variant: VariantName,
    /// Beginnings of values that are no good.
    known_plain: Vec<u8>,
    known_variant: Vec<u8>,
    /// Why the last of them is not.
    pub noted: Option<Outcome>,
}

impl<'a, F: Fn(&Stored) -> bool + Send> Search<'a, F> {
    pub fn new(tier: &'a Tier, wanted: Wanted<'a>, accepts: F) -> Self {
        let guess = tier.guesses.of(wanted.key);
        Self {
            tier,
            wanted,
            accepts,
            names: tier.names.of(wanted.key),
            variant: tier.names.variant(&vary::variant(&guess, wanted.request)),
            guess,
            known_plain: Vec::new(),
            known_variant: Vec::new(),
            noted: None,
        }
    }

    /// Looks once; within `shared.timeout`, but for the time that a large body takes.
    pub async fn look(&mut self) -> Result<Found, CallError> {
        let mut budget = Budget::new(&self.tier.clock, self.tier.timeout);
        for _ in 0..ROUNDS {
            let token = Token::random();
            let looked = self.ask(token, budget.left()?).await?;
            let guessed_wrong = looked.vary.is_some_and(|vary| self.learn(vary));
            match looked.there {
                There::Leased(name) => {
                    let lease = self.lease(name, token);
                    if !guessed_wrong {
                        return Ok(Found::Leased(lease));
                    }
                    // It is for another variant; so it is dropped.
                }
                _ if guessed_wrong => {}
                There::Marked => return Ok(Found::Marked),
                There::Busy => return Ok(Found::Busy),
                There::Unheld(why) => return Ok(Found::Unheld(why)),
                There::Values { plain, variant } => {
                    if let Some(stored) = self.choose(plain, variant, &mut budget).await {
                        return Ok(Found::Value(stored));
                    }
                }
            }
        }
        Err(CallError::Timeout)
    }

    /// Looks again and again, until there is something or `patience` is over.
    pub async fn wait(&mut self, patience: Duration) -> Result<Found, CallError> {
        let mut over = Box::pin(sleep(patience));
        let mut pause = FIRST_PAUSE;
        loop {
            // Between half of the pause and all of it, so that those who wait don't all come at once.
            let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            tokio::select! {
                biased;
                () = over.as_mut() => return Ok(Found::Busy),
                () = sleep(jittered) => {}
            }
            match self.look().await? {
                Found::Busy => pause = (pause * 2).min(LONGEST_PAUSE),
                found => return Ok(found),
            }
        }
    }

    async fn ask(&self, token: Token, patience: Duration) -> Result<Looked, CallError> {
        let names = [
            self.names.vary(),
            self.names.record(None),
            self.names.record(Some(&self.variant)),
            self.names.mark(),
            self.names.lease(None),
            self.names.lease(Some(&self.variant)),
        ];
        let life = millis(lease::LIFE.min(self.tier.lease));
        let keys = names.each_ref().map(|name| name.as_bytes());
        let args = [&self.known_plain, &self.known_variant, token.as_bytes(), life.as_bytes()];
        Looked::read(self.tier.links.script(Role::Small, &LOOK, &keys, &args, patience).await?)
    }

    /// Takes in what the store says about what selects variants. True when it is something else than was thought.
    fn learn(&mut self, vary: Vec<u8>) -> bool {
        let tier = self.tier;
        match tier.codec.decode_vary(self.wanted.key, &self.names.vary(), Bytes::from(vary)) {
            Ok(nominated) if nominated == self.guess => false,
            Ok(nominated) => {
                tier.guesses.remember(self.wanted.key, &nominated);
                self.variant = tier.names.variant(&vary::variant(&nominated, self.wanted.request));
                self.guess = nominated;
                self.known_variant.clear();
                true
            }
            Err(bad) => {
                self.noted = Some(Outcome::Bad(bad));
                false
            }
        }
    }

    /// Of a value for this variant and one for all the former counts (see `Resource::select`), if it is any good.
    async fn choose(
        &mut self,
        plain: Option<Vec<u8>>,
        variant: Option<Vec<u8>>,
        budget: &mut Budget<'_>,
    ) -> Option<Box<Stored>> {
        for (value, of_variant) in [(variant, true), (plain, false)] {
            let Some(value) = value else { continue };
            let beginning = value.iter().copied().take(KNOWN).collect();
            match self.judge(value, of_variant, budget).await {
                Ok(stored) => return Some(stored),
                Err(why) => self.noted = Some(why),
            }
            *(if of_variant { &mut self.known_variant } else { &mut self.known_plain }) = beginning;
        }
        None
    }

    /// Whether a value is what this request may have. Its name proves nothing.
    async fn judge(
        &mut self,
        value: Vec<u8>,
        of_variant: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Box<Stored>, Outcome> {
        let name = self.names.record(of_variant.then_some(&self.variant));
        let now = self.tier.store_clock();
        let decoded = self.tier.codec.decode_record(self.wanted.key, &name, Bytes::from(value), now);
        let record = decoded.map_err(Outcome::Bad)?;
        let head = match &record {
            Record::Whole(stored) => stored,
            Record::Chunked(chunked) => chunked.head(),
        };
        if !is_selected(&head.meta, self.wanted.request) {
            return Err(Outcome::OtherVariant);
        }
        if head.length > self.tier.max_object {
            return Err(Outcome::TooLarge);
        }
        if !(self.accepts)(head) {
            return Err(Outcome::Rejected);
        }
        match record {
            Record::Whole(stored) => Ok(stored),
            Record::Chunked(chunked) => {
                let fetched = body::fetch(self.tier, &self.names, *chunked).await;
                budget.restart();
                // A purge may have come meanwhile, or the end of its lifetime.
                let stored = fetched?;
                if (self.accepts)(&stored) { Ok(Box::new(stored)) } else { Err(Outcome::Rejected) }
            }
        }
    }

    fn lease(&self, name: String, token: Token) -> Lease {
        let tier = self.tier;
        let keeper = tier.keepers.clone().try_acquire_owned().ok().map(|_permit| Keeper {
            links: tier.links.clone(),
            metrics: tier.metrics.clone(),
            timeout: tier.timeout,
            total: tier.lease,
            _permit,
        });
        Lease::held(name, token, keeper)
    }
}

/// RFC 9111 §4.1: all fields that its `Vary` names are the same in this request.
fn is_selected(meta: &Meta, request: &HeaderMap) -> bool {
    meta.nominated.is_empty() || vary::variant(&meta.nominated, request) == meta.variant
}
