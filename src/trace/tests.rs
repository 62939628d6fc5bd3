//! What a request's context does to its spans, and what the queue does to those that nobody takes.

use super::*;
use crate::observe::metrics::{Levels, Vocabulary};

fn tracer(sample: f64, room: usize) -> (Arc<Tracer>, mpsc::Receiver<proto::Span>, Arc<Metrics>) {
    let metrics = Metrics::new(&Vocabulary::default());
    let (tracer, spans) = Tracer::with_queue(Clock::manual(), metrics.clone(), sample, room);
    (tracer, spans, metrics)
}

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn request(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn a_trusted_proxys_context_is_continued_and_its_state_passed_on() {
    let mut headers = request(&[("traceparent", SENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
    let parent = Parent::take(&mut headers, true);
    assert_eq!(headers.get_all(TRACESTATE).iter().count(), 2);
    assert!(!headers.contains_key(TRACEPARENT), "ours is set when something is sent");
    // Recorded because they say so, whatever our own share is.
    let (tracer, mut spans, _) = tracer(0.0, 8);
    drop(tracer.enter(&parent));
    let span = spans.try_recv().unwrap();
    assert_eq!(span.trace_id, Context::parse(SENT.as_bytes()).unwrap().trace());
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!((span.trace_state.as_str(), span.links.len()), ("a=1,b=2", 0));
    assert_eq!(span.flags, 0x301);
}

#[test]
fn anybody_elses_context_is_a_link_and_decides_nothing() {
    let mut headers = request(&[("traceparent", SENT), ("tracestate", "a=1")]);
    let parent = Parent::take(&mut headers, false);
    assert!(headers.is_empty(), "{headers:?}");
    assert!(!tracer(0.0, 8).0.samples(parent.context, parent.trusted));
    let (tracer, mut spans, _) = tracer(1.0, 8);
    drop(tracer.enter(&parent));
    let span = spans.try_recv().unwrap();
    let theirs = Context::parse(SENT.as_bytes()).unwrap();
    assert_ne!(span.trace_id, theirs.trace());
    assert_eq!((span.parent_span_id.len(), span.trace_state.as_str()), (0, ""));
    assert_eq!(span.links[0].trace_id, theirs.trace());
}

#[test]
fn w3c_3_2_a_context_that_cannot_be_read_is_as_none_and_takes_its_state_along() {
    for broken in [&["00-x"][..], &[SENT, SENT]] {
        let mut lines: Vec<_> = broken.iter().map(|value| ("traceparent", *value)).collect();
        lines.push(("tracestate", "a=1"));
        let mut headers = request(&lines);
        let parent = Parent::take(&mut headers, true);
        assert!(headers.is_empty() && parent.context.is_none() && parent.state.is_none(), "{broken:?}");
    }
}

#[test]
fn what_a_trusted_proxy_does_not_record_is_not_recorded() {
    let (tracer, mut spans, _) = tracer(1.0, 8);
    let unsampled = SENT.replace("-01", "-00");
    let parent = Parent::take(&mut request(&[("traceparent", &unsampled)]), true);
    let step = tracer.enter(&parent);
    // And whoever comes after us is told so, in the same trace.
    let sent = step.trace().step(Kind::Client).traceparent().unwrap();
    let sent = Context::parse(sent.as_bytes()).unwrap();
    assert_eq!((sent.is_sampled(), sent.trace()), (false, parent.context.unwrap().trace()));
    drop(step);
    assert!(spans.try_recv().is_err());
}

#[test]
fn a_full_queue_drops_and_counts_and_nobody_waits() {
    let (tracer, mut spans, metrics) = tracer(1.0, 2);
    for _ in 0..5 {
        drop(tracer.enter(&Parent::default()));
    }
    let text = metrics.render(&Levels::default());
    assert!(text.contains("larder_trace_dropped_total{reason=\"queue-full\"} 3"), "{text}");
    assert!(spans.try_recv().is_ok() && spans.try_recv().is_ok() && spans.try_recv().is_err());
}

#[test]
fn the_share_is_held_and_can_be_changed() {
    let (tracer, _spans, _) = tracer(0.25, 1);
    let count = || (0..40_000).filter(|_| tracer.samples(None, false)).count();
    assert!((9_000..11_000).contains(&count()));
    tracer.set_sample(0.0);
    assert_eq!(count(), 0);
    tracer.set_sample(1.0);
    assert_eq!(count(), 40_000);
}

#[test]
fn off_it_is_nothing() {
    let mut step = Trace::off().step(Kind::Client);
    assert!(step.span().is_none() && step.traceparent().is_none() && step.trace().context().is_none());
}

#[test]
fn times_follow_the_wall_clock_and_lengths_the_monotonic_one() {
    let (tracer, mut spans, _) = tracer(1.0, 8);
    let step = tracer.enter(&Parent::default());
    let within = step.trace().step(Kind::Internal);
    tracer.clock.advance(Duration::from_millis(250));
    drop(within);
    drop(step);
    let (inner, outer) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
    let began = Clock::manual().now().wall.0 * 1_000_000;
    for span in [&inner, &outer] {
        assert!(span.start_time_unix_nano.abs_diff(began) < 1_000_000);
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 250_000_000);
    }
    assert_eq!(inner.parent_span_id, outer.span_id);
}
