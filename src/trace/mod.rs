//! Traces: what one request did here and at the origin, as spans that an OpenTelemetry collector takes (OTLP).
//!
//! A [`Trace`] is a place in a trace, and goes with a request from room to room. Whoever does something worth a span takes a
//! [`Step`] from it, says what came of it, and drops it. Off, a `Trace` and a `Step` are nothing. On, a request
//! that is not sampled costs a few random numbers, and the `traceparent` of what is sent to an origin; a hit of the fast lane one
//! random number. Finished spans go to a bounded queue without
//! waiting ([`Tracer::submit`]); one task takes them from there to the collector ([`export`]). What the queue has no room for
//! is counted and forgotten: no request ever waits for a trace.
//!
//! Who may decide that a request is recorded, and what is passed on to the origin, is in `docs/decisions/0012-traces.md`:
//! a trusted proxy's context is continued, anybody else's is a link from a trace of our own.

pub mod context;
pub mod export;
mod step;

pub use context::{Context, TRACEPARENT, TRACESTATE};
pub use step::{Kind, Span, Step};

use crate::clock::Clock;
use crate::observe::Metrics;
use http::HeaderMap;
use opentelemetry_proto::tonic::trace::v1 as proto;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans that may wait for the collector: some seconds of a busy node, at most some 8 MiB.
const QUEUE: usize = 8192;

/// Longest `tracestate` that a span carries, bytes (§3.3.1.5: at least 512 are to be propagated; what is sent on is
/// not touched).
const STATE: usize = 512;

/// Makes spans. One per process, shared by `Arc`.
#[derive(Debug)]
pub struct Tracer {
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Of 2^64 requests that bring no decision with them, how many are recorded.
    sample: AtomicU64,
    queue: mpsc::Sender<proto::Span>,
    /// Unix nanoseconds at the clock's start; see [`Tracer::stamp`].
    epoch: AtomicU64,
}

/// A moment, on both scales that a span needs.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Nanoseconds since 1970.
    unix: u64,
    elapsed: Duration,
}

/// What a request says of the trace that it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Parent {
    pub context: Option<Context>,
    /// It comes from a trusted proxy: it is continued, and decides whether this request is recorded.
    pub trusted: bool,
    pub state: Option<Arc<str>>,
}

impl Parent {
    /// Takes out of a request's fields what says where it belongs. What is to be passed on is left there: `tracestate`
    /// where the trace is continued. Our own `traceparent` is set when something is sent.
    pub fn take(headers: &mut HeaderMap, trusted: bool) -> Self {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let sent = match (lines.next(), lines.next()) {
            (Some(only), None) => Context::parse(only.as_bytes()),
            _ => None,
        };
        headers.remove(TRACEPARENT);
        let mut parent = Self { context: sent, trusted, state: None };
        if parent.is_continued() {
            let lines = headers.get_all(TRACESTATE).iter().filter_map(|line| line.to_str().ok());
            parent.state = state(lines);
        } else {
            headers.remove(TRACESTATE);
        }
        parent
    }

    const fn is_continued(&self) -> bool {
        self.trusted && self.context.is_some()
    }
}

/// The `tracestate` of a span: all lines as one (RFC 9110 §5.3).
pub fn state<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Arc<str>> {
    let all = lines.collect::<Vec<_>>().join(",");
    (!all.is_empty() && all.len() <= STATE).then(|| all.into())
}

impl Tracer {
    /// And the end of the queue that [`export::Exporter::run`] takes spans from.
    pub fn new(clock: Clock, metrics: Arc<Metrics>, sample: f64) -> (Arc<Self>, mpsc::Receiver<proto::Span>) {
        Self::with_queue(clock, metrics, sample, QUEUE)
    }

    fn with_queue(
        clock: Clock,
        metrics: Arc<Metrics>,
        sample: f64,
        room: usize,
    ) -> (Arc<Self>, mpsc::Receiver<proto::Span>) {
        let (queue, spans) = mpsc::channel(room);
        let (sample, epoch) = (AtomicU64::new(threshold(sample)), AtomicU64::new(0));
        (Arc::new(Self { clock, metrics, sample, queue, epoch }), spans)
    }

    /// Another share of the requests from now on, 0 to 1.
    pub fn set_sample(&self, share: f64) {
        self.sample.store(threshold(share), Ordering::Relaxed);
    }

    /// Whether a request that says this is recorded. Drawn anew at every call.
    pub fn samples(&self, context: Option<Context>, trusted: bool) -> bool {
        match context {
            Some(context) if trusted => context.is_sampled(),
            _ => match self.sample.load(Ordering::Relaxed) {
                0 => false,
                u64::MAX => true,
                share => fastrand::u64(..) < share,
            },
        }
    }

    /// The step of a whole request, which begins now.
    pub fn enter(self: &Arc<Self>, parent: &Parent) -> Step {
        let sampled = self.samples(parent.context, parent.trusted);
        self.enter_decided(parent, sampled)
    }

    /// The same for who has drawn already.
    pub fn enter_decided(self: &Arc<Self>, parent: &Parent, sampled: bool) -> Step {
        let continued = parent.context.filter(|_| parent.trusted);
        let context = continued.map_or_else(|| Context::root(sampled), Context::child);
        let place = Place { tracer: self.clone(), context, state: parent.state.clone().filter(|_| sampled) };
        let span = sampled.then(|| {
            let mut span = Span::open(&place, Kind::Server, self.stamp());
            match (continued, parent.context) {
                (Some(parent), _) => span.continues(parent),
                // A trace of our own; whoever looks at theirs finds it by this.
                (None, Some(theirs)) => span.link(theirs, true),
                (None, None) => {}
            }
            Box::new(span)
        });
        Step::new(Trace(Some(place)), span)
    }

    /// Now. Span times come of the monotonic clock, which is fine enough for a hit; the wall clock, whose milliseconds are
    /// all that we read of it, corrects where that stands on the calendar.
    fn stamp(&self) -> Stamp {
        let elapsed = self.clock.elapsed();
        let wall = self.clock.now().wall.0.saturating_mul(1_000_000);
        let nanos = nanos(elapsed);
        let told = self.epoch.load(Ordering::Relaxed).saturating_add(nanos);
        let unix = told.clamp(wall, wall.saturating_add(999_999));
        if unix != told {
            self.epoch.store(unix.saturating_sub(nanos), Ordering::Relaxed);
        }
        Stamp { unix, elapsed }
    }

    /// When a span that began then ends, if that is now.
    fn end_of(&self, began: Stamp) -> u64 {
        began.unix.saturating_add(nanos(self.clock.elapsed().saturating_sub(began.elapsed)))
    }

    /// Hands a finished span over, if there is room.
    fn submit(&self, span: proto::Span) {
        if self.queue.try_send(span).is_err() {
            self.metrics.traces.dropped(export::Lost::QueueFull.as_str(), 1);
        }
    }
}

/// Of 2^64 random numbers those below this are that share of them.
fn threshold(share: f64) -> u64 {
    if share >= 1.0 {
        return u64::MAX;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    // from 0 to below 2^64, by the lines around
    let of = (share.max(0.0) * u64::MAX as f64) as u64;
    of.min(u64::MAX - 1)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A place in a trace: what is done from here is a child of that span. Cheap to clone; nothing at all when tracing is off.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Place>);

#[derive(Clone, Debug)]
struct Place {
    tracer: Arc<Tracer>,
    context: Context,
    state: Option<Arc<str>>,
}

impl Trace {
    pub const fn off() -> Self {
        Self(None)
    }

    /// Something that begins now, of which this place's span is the parent.
    pub fn step(&self, kind: Kind) -> Step {
        let Some(here) = &self.0 else { return Step::default() };
        let place = Place { context: here.context.child(), ..here.clone() };
        let span = here.context.is_sampled().then(|| {
            let mut span = Span::open(&place, kind, here.tracer.stamp());
            span.parent(here.context);
            Box::new(span)
        });
        Step::new(Self(Some(place)), span)
    }

    /// Of the span that stands here. `None` when tracing is off.
    pub fn context(&self) -> Option<Context> {
        self.0.as_ref().map(|place| place.context)
    }
}

#[cfg(test)]
mod tests;
