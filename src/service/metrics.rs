//! What the service counts of itself: requests and how long they took, by operation and status.
//!
//! No label holds a name, a value or a secret.

use std::time::Duration;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

const REQUESTS: &str = "swarmstate_requests_total";
const SECONDS: &str = "swarmstate_request_seconds";

/// Upper bounds of the times that are told apart, in seconds.
const BOUNDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

const SOURCE: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The counts of one server.
pub(super) struct Metrics(PrometheusRecorder);

impl Metrics {
    /// Counts that begin at nothing.
    pub(super) fn new() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&BOUNDS).expect("there are bounds");
        let recorder = builder.build_recorder();
        recorder.describe_counter(KeyName::from(REQUESTS), Some(Unit::Count), "Requests answered".into());
        recorder.describe_histogram(KeyName::from(SECONDS), Some(Unit::Seconds), "Time to an answer".into());
        Self(recorder)
    }

    /// Counts a request that was answered.
    pub(super) fn count(&self, operation: &'static str, status: u16, took: Duration) {
        let operation = Label::from_static_parts("operation", operation);
        let labels = vec![operation.clone(), Label::new("status", status.to_string())];
        self.0.register_counter(&Key::from_parts(REQUESTS, labels), &SOURCE).increment(1);
        let key = Key::from_parts(SECONDS, vec![operation]);
        self.0.register_histogram(&key, &SOURCE).record(took.as_secs_f64());
    }

    /// All counts in the text format of Prometheus.
    pub(super) fn shown(&self) -> String {
        self.0.handle().render()
    }

    /// Sums up what was recorded since, which would take more and more room otherwise.
    pub(super) fn sum_up(&self) {
        self.0.handle().run_upkeep();
    }
}
