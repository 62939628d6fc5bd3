//! What is counted of spans on their way to a collector.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Cheap to record.
#[derive(Debug, Default)]
pub struct TraceMetrics {
    sent: Counter,
    dropped: Family<ReasonLabel, Counter>,
}

impl TraceMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("larder_trace_sent", "Spans that the collector has taken", self.sent.clone());
        r.register(
            "larder_trace_dropped",
            "Spans that never got to the collector, by reason",
            self.dropped.clone(),
        );
    }

    pub(super) fn announce(&self, reasons: &[&'static str]) {
        for reason in reasons.iter().copied() {
            drop(self.dropped.get_or_create(&ReasonLabel { reason }));
        }
    }

    pub fn sent(&self, spans: u64) {
        self.sent.inc_by(spans);
    }

    pub fn dropped(&self, reason: &'static str, spans: u64) {
        self.dropped.get_or_create(&ReasonLabel { reason }).inc_by(spans);
    }
}
