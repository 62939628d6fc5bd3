//! Reading back what was counted, for `/status`. The metric families know how to write themselves down and nothing else, so a
//! snapshot takes the way that a scraper takes: some of them are written as text, and the text is read. What is read is
//! this process's own writing; a line that can't be read is left out.

use std::collections::BTreeMap;

/// One line: a name, labels, a value.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Some metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

/// A histogram: how many of its values are at most each bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, ascending, and how many values lie between each and the one before. The last bound is infinite.
    pub counts: Vec<(f64, u64)>,
}

impl Buckets {
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The value that this share of all values does not exceed, interpolated within its bucket. What lies in the first bucket
    /// is given as its bound, what lies beyond the last finite one as that: nothing better is known of it. `None` without
    /// values.
    #[allow(clippy::cast_precision_loss)] // buckets are far coarser
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share.clamp(0.0, 1.0) * self.count() as f64;
        let (mut below, mut last) = (0.0, None);
        for (bound, count) in &self.counts {
            let reached = below + *count as f64;
            if *count > 0 && reached >= rank {
                return match last {
                    Some(low) if bound.is_finite() => {
                        Some(low + (bound - low) * ((rank - below) / *count as f64).clamp(0.0, 1.0))
                    }
                    Some(low) => Some(low),
                    None => Some(*bound),
                };
            }
            below = reached;
            last = Some(*bound);
        }
        None
    }
}

impl Samples {
    /// Reads OpenMetrics text.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The values of a counter by one of its labels, other labels added up; those that are zero are left out.
    pub fn counts(&self, counter: &str, label: &str) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for sample in self.of(counter, "_total") {
            let count = whole(sample.value);
            if let (Some(value), true) = (sample.label(label), count > 0) {
                *counts.entry(value.to_owned()).or_insert(0) += count;
            }
        }
        counts
    }

    /// The same among those that have this value of another label.
    pub fn counts_where(
        &self,
        counter: &str,
        label: &str,
        (other, is): (&str, &str),
    ) -> BTreeMap<String, u64> {
        let among = self.0.iter().filter(|sample| sample.label(other) == Some(is)).cloned().collect();
        Self(among).counts(counter, label)
    }

    /// A histogram with this value of its label.
    pub fn buckets(&self, histogram: &str, (label, is): (&str, &str)) -> Buckets {
        let mut counts = Vec::new();
        let mut before = 0;
        for sample in self.of(histogram, "_bucket").filter(|sample| sample.label(label) == Some(is)) {
            let bound = match sample.label("le") {
                Some("+Inf") => f64::INFINITY,
                Some(bound) => bound.parse().unwrap_or(f64::INFINITY),
                None => continue,
            };
            let reached = whole(sample.value);
            counts.push((bound, reached.saturating_sub(before)));
            before = reached;
        }
        Buckets { counts }
    }

    fn of<'a>(&'a self, name: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name.strip_prefix(name) == Some(suffix))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counters
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// `name{label="value",…} 1.5`
fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match head.split_once('{') {
        Some((name, rest)) => (name, self::labels(rest.strip_suffix('}')?)?),
        None => (head, Vec::new()),
    };
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Values are quoted; in them quotes, backslashes and line ends are escaped.
fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    escaped => value.push(escaped),
                },
                (_, char) => value.push(char),
            }
        };
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = tail.get(end + 1..)?;
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let samples = Samples::parse(
            "# TYPE a counter\na_total{origin=\"x \\\"y\\\"\",status=\"2xx\"} 3\na_total{origin=\"z\",status=\"2xx\"} 4\n\
             a_total{origin=\"z\",status=\"5xx\"} 0\nab_total{status=\"2xx\"} 9\nbroken{\nb 1\n# EOF\n",
        );
        let count = |map: BTreeMap<String, u64>| map.into_iter().collect::<Vec<_>>();
        assert_eq!(count(samples.counts("a", "status")), [("2xx".to_owned(), 7)]);
        assert_eq!(count(samples.counts("a", "origin")), [("x \"y\"".to_owned(), 3), ("z".to_owned(), 4)]);
        let of_z = samples.counts_where("a", "status", ("origin", "z"));
        assert_eq!(count(of_z), [("2xx".to_owned(), 4)]);
        assert_eq!(samples.buckets("a", ("status", "2xx")), Buckets::default());
    }

    #[test]
    fn quantiles_lie_within_their_bucket_and_claim_no_more_than_is_known() {
        let text = "h_bucket{le=\"0.1\",o=\"x\"} 10\nh_bucket{le=\"0.2\",o=\"x\"} 20\nh_bucket{le=\"1.0\",o=\"x\"} 20\n\
                    h_bucket{le=\"+Inf\",o=\"x\"} 40\nh_bucket{le=\"0.1\",o=\"y\"} 1\n";
        let buckets = Samples::parse(text).buckets("h", ("o", "x"));
        assert_eq!(buckets.counts, [(0.1, 10), (0.2, 10), (1.0, 0), (f64::INFINITY, 20)]);
        assert_eq!(buckets.count(), 40);
        let near = |share: f64, value: f64| (buckets.quantile(share).unwrap() - value).abs() < 1e-9;
        assert!(near(0.1, 0.1) && near(0.25, 0.1) && near(0.375, 0.15) && near(0.5, 0.2) && near(0.99, 1.0));
        assert_eq!(Buckets::default().quantile(0.5), None);
        assert_eq!(Buckets { counts: vec![(0.1, 0), (f64::INFINITY, 0)] }.quantile(0.5), None);
    }
}
