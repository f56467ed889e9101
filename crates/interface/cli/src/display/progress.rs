//! How a run comes along: a bar for the stage at hand, a line for each epoch that is done.

mod summary;

use std::fmt;
use std::time::Duration;

use fulmen_contracts::event::{Level, Values};
use fulmen_contracts::{Event, Stage};
use fulmen_utils::text;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::terminal::{BOLD, CYAN, RED, YELLOW, draws, styled, tell};

/// Shows events as they come. On a terminal a bar moves; elsewhere each stage that is done is a line.
#[derive(Debug)]
pub(crate) struct Progress {
    /// None where nobody looks.
    bar: Option<ProgressBar>,
    /// Epoch and batches of the training that is under way.
    training: Option<(u64, u64)>,
    /// The latest validation of its epoch, told in the epoch's own line.
    validated: Option<Validation>,
    epochs: Option<u64>,
}

#[derive(Debug)]
struct Validation {
    seconds: f64,
    rate: f64,
    values: Values,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { bar: None, training: None, validated: None, epochs: None }
    }

    /// Shows what is to be seen of an event.
    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::ModelSummary { name, trainable, frozen, bytes, flops, parts } => {
                self.line(summary::shown(name, [*trainable, *frozen, *bytes], *flops, parts));
            }
            Event::StageStarted { stage, epoch, epochs, batches } => {
                if *stage == Stage::Train {
                    (self.epochs, self.training) = (*epochs, Some((*epoch, *batches)));
                }
                self.start(*stage, *epoch, *batches);
            }
            Event::Progress { batch, rate, values, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*batch);
                    // What is left is told by the rate of late, as it is shown.
                    let left = Duration::try_from_secs_f64(
                        bar.length().unwrap_or(0).saturating_sub(*batch) as f64 / rate,
                    );
                    let left = left.map_or_else(|_| "?".to_owned(), text::clock);
                    bar.set_message(format!("<{left}  {}  {}", per_second(*rate), shown(values, "")));
                }
            }
            Event::StageFinished { stage, epoch, batches, seconds, values } => {
                self.finish(*stage, *epoch, *batches, *seconds, values)
            }
            Event::Checkpoint { .. } => {}
            Event::Profile { profile } => {
                self.end();
                tell(super::profile::text(profile));
            }
            Event::Download { name, received, total } => self.download(name, *received, *total),
            Event::Log { level, message } => {
                let word = match level {
                    Level::Debug => return,
                    Level::Info => styled(CYAN, "note"),
                    Level::Warning => styled(YELLOW, "warning"),
                    Level::Error => styled(RED, "error"),
                };
                self.line(format!("{word}: {message}"));
            }
            _ => {}
        }
    }

    /// Takes the bar away and tells what is not told yet.
    pub(crate) fn end(&mut self) {
        self.clear();
        self.tell_validation();
    }

    fn start(&mut self, stage: Stage, epoch: u64, batches: u64) {
        self.clear();
        if !draws() {
            return;
        }
        let label = match stage {
            Stage::Train => self.epoch_label(epoch),
            Stage::SanityCheck => "sanity check".to_owned(),
            Stage::Validate => "validation".to_owned(),
            Stage::Test => "test".to_owned(),
            Stage::Predict => "prediction".to_owned(),
        };
        self.bar = Some(bar(
            batches,
            &label,
            "{prefix:14} {percent:>3}% {bar:24.cyan/dim} {pos:>5}/{len}  {clock}{wide_msg}",
        ));
    }

    fn finish(&mut self, stage: Stage, epoch: u64, batches: u64, seconds: f64, values: &Values) {
        self.clear();
        let rate = batches as f64 / seconds.max(1e-9);
        match stage {
            Stage::Train => {
                self.training = None;
                let label = self.epoch_label(epoch);
                let validated = self.validated.take().map_or_else(String::new, |validation| {
                    format!("  {}", styled(BOLD, shown(&validation.values, "val/")))
                });
                let (rate, values) = (per_second(rate), shown(values, ""));
                self.line(format!("{label:14} {seconds:>6.1}s  {rate}  {values}{validated}"));
            }
            Stage::Validate => {
                // Several in one epoch: all but the last have a line of their own.
                self.tell_validation();
                self.validated = Some(Validation { seconds, rate, values: values.clone() });
                match self.training {
                    Some((epoch, batches)) => self.start(Stage::Train, epoch, batches),
                    None => self.tell_validation(),
                }
            }
            Stage::Test => self.line(result("test", seconds, rate, values)),
            Stage::SanityCheck | Stage::Predict => {}
        }
    }

    /// The validation that is not told yet, in a line of its own.
    fn tell_validation(&mut self) {
        if let Some(Validation { seconds, rate, values }) = self.validated.take() {
            self.line(result("validation", seconds, rate, &values));
        }
    }

    fn epoch_label(&self, epoch: u64) -> String {
        match self.epochs {
            Some(epochs) => format!("epoch {}/{epochs}", epoch + 1),
            None => format!("epoch {}", epoch + 1),
        }
    }

    fn download(&mut self, name: &str, received: u64, total: Option<u64>) {
        if !draws() {
            if total == Some(received) {
                self.line(format!("fetched {name}, {}", text::bytes(received)));
            }
            return;
        }
        let known = self.bar.as_ref().is_some_and(|bar| bar.prefix() == name);
        if !known {
            self.clear();
            let length = total.unwrap_or(0);
            self.bar = Some(bar(
                length,
                name,
                "{prefix} {bar:28.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
            ));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(received);
        }
        if total == Some(received) {
            self.clear();
        }
    }

    fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(text)),
            None => tell(text),
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The line of a stage that stands alone.
fn result(label: &str, seconds: f64, rate: f64, values: &Values) -> String {
    format!("{label:14} {seconds:>6.1}s  {}  {}", per_second(rate), shown(values, ""))
}

fn bar(length: u64, label: &str, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_prefix(label.to_owned());
    // The template is a constant of this file; a fault in it would show a plain bar.
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("clock", |state: &ProgressState, text: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is not worth an error.
            let _ = text.write_str(&text::clock(state.elapsed()));
        });
    bar.set_style(style.progress_chars("━╸─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// `loss 0.1234  accuracy 0.9812`.
pub(crate) fn shown(values: &Values, prefix: &str) -> String {
    // The loss first, since it is what training minimises; the learning rate last.
    let mut values: Vec<_> = values.iter().collect();
    let place = |name: &str| match name {
        "loss" => 0,
        "lr" => 2,
        _ => 1,
    };
    values.sort_by_key(|(name, _)| (place(name), *name));
    values
        .into_iter()
        .map(|(name, value)| {
            let value = if name == "lr" { format!("{value:.2e}") } else { number(*value) };
            format!("{prefix}{name} {value}")
        })
        .collect::<Vec<_>>()
        .join("  ")
}

/// A metric's value, short and of even width where it can be.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0.0000".to_owned(),
        small if small < 1e-3 => format!("{value:.2e}"),
        large if large >= 1e5 => format!("{value:.3e}"),
        _ => format!("{value:.4}"),
    }
}

fn per_second(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:>6.0} it/s") } else { format!("{rate:>6.1} it/s") }
}
