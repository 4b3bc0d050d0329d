//! Progress for people, on stderr.
//!
//! In: events. Out: a line per epoch, and between them a bar where stderr is a terminal.
//! Absent on purpose: results, which go to stdout; failures to write, since whoever closes stderr wants none of it.

#[cfg(feature = "cli")]
mod parts;
#[cfg(feature = "cli")]
mod table;
#[cfg(feature = "cli")]
mod view;

#[cfg(feature = "cli")]
pub(crate) use view::{leave_view, notify_view};

use std::io::{self, IsTerminal, Write};

#[cfg(feature = "cli")]
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{
    count, duration, escape_controls, figure, laid_out, pluralize, positive, speed, wrapped,
};
use crate::plan::Precision;
use crate::shape::{bytes_text, fixed};
use crate::train::{EpochStats, Event, Metric, Progress, RunInfo, Summary};

/// Spaces before lines that go on.
const INDENT: usize = 8;
/// Stands between the figures of an epoch.
const GAP: &str = "  ";

/// Tells people how a run goes.
///
/// ```
/// use wgrad::prelude::*;
///
/// # let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
/// # let model = Sequential::new().dense(8).tanh().dense(1);
/// # let options = TrainOptions { loss: Loss::Mse, epochs: 2, ..TrainOptions::default() };
/// # let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// let mut console = Console::stderr();
/// for event in trainer.fit() {
///     console.event(&event?);
/// }
/// # Ok::<(), wgrad::Error>(())
/// ```
pub struct Console {
    out: Box<dyn Write + Send>,
    /// True if a bar is drawn between the lines.
    live: bool,
    #[cfg(feature = "cli")]
    bar: Option<ProgressBar>,
    /// True if a live view is to be shown in place of a bar.
    #[cfg(feature = "cli")]
    wants_view: bool,
    #[cfg(feature = "cli")]
    view: Option<view::LiveView>,
    /// The line of the last epoch that the view has shown.
    #[cfg(feature = "cli")]
    last_epoch: Option<String>,
    epochs: u32,
    /// True if a schedule lowers the training loss by itself.
    smoothing_moves: bool,
}

impl Console {
    /// To stderr; with a bar if that is a terminal.
    pub fn stderr() -> Self {
        let stderr = io::stderr();
        let live = stderr.is_terminal();
        let mut console = Self::to(stderr);
        console.live = live;
        console
    }

    /// Plain lines to anything.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            live: false,
            #[cfg(feature = "cli")]
            bar: None,
            #[cfg(feature = "cli")]
            wants_view: false,
            #[cfg(feature = "cli")]
            view: None,
            #[cfg(feature = "cli")]
            last_epoch: None,
            epochs: 0,
            smoothing_moves: false,
        }
    }

    /// To stderr, with curves and figures on the whole window while a run goes on; as [`Self::stderr`] where that is no terminal to
    /// draw on, which is said once.
    #[cfg(feature = "cli")]
    pub fn with_view() -> Self {
        let mut console = Self::stderr();
        match view::LiveView::refused() {
            Some(reason) => {
                console.say(
                    "view",
                    &format!("{reason}, so that ordinary lines are shown in its place"),
                );
            }
            None => console.wants_view = true,
        }
        console
    }

    /// To nowhere.
    pub fn quiet() -> Self {
        Self::to(io::sink())
    }

    /// Tells of an event.
    pub fn event(&mut self, event: &Event) {
        #[cfg(feature = "cli")]
        if let Some(view) = &mut self.view {
            view.event(event);
        }
        match event {
            Event::Started(info) => self.started(info),
            Event::Progress(progress) => self.progress(progress),
            Event::Epoch(stats) => {
                let line = self.epoch(stats);
                #[cfg(feature = "cli")]
                if self.view.is_some() {
                    self.last_epoch = Some(line);
                    return;
                }
                self.line(&line);
            }
            Event::Warned(warning) => self.warn(&warning.to_string()),
            Event::Finished(summary) => self.finished(summary),
        }
    }

    /// Writes a line above the bar.
    pub fn line(&mut self, text: &str) {
        let text = escape_controls(text);
        #[cfg(feature = "cli")]
        if let Some(view) = &mut self.view {
            view.hold(text);
            return;
        }
        #[cfg(feature = "cli")]
        if let Some(bar) = &self.bar {
            let out = &mut self.out;
            bar.suspend(|| _ = writeln!(out, "{text}"));
            return;
        }
        let _ = writeln!(self.out, "{text}");
    }

    /// Writes a line of progress, such as `device  CPU`, broken between words where it is long.
    pub fn say(&mut self, what: &str, text: &str) {
        let line = format!("{what:<7} {}", escape_controls(text));
        self.line(&wrapped(&line, INDENT));
    }

    /// Writes a warning: to a terminal broken between words, else in one line, so that it can be searched for.
    pub fn warn(&mut self, text: &str) {
        let line = format!("warning: {}", escape_controls(text));
        self.line(&if self.live { wrapped(&line, INDENT) } else { line });
    }

    /// Takes the bar or the view away.
    pub fn close(&mut self) {
        #[cfg(feature = "cli")]
        if let Some(view) = self.view.take() {
            let lines = view.end().into_iter().chain(self.last_epoch.take());
            for line in lines {
                let _ = writeln!(self.out, "{line}");
            }
        }
        #[cfg(feature = "cli")]
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn started(&mut self, info: &RunInfo) {
        self.introduce(info);
        self.begin_bar(info);
    }

    /// Describes a run that is about to start.
    pub fn introduce(&mut self, info: &RunInfo) {
        (self.epochs, self.smoothing_moves) = (info.epochs, info.smoothing_moves);
        let number = |value: usize| count(value as u64);
        let some = |value: usize, what| pluralize(value as u64, what);
        self.say("device", &format!("{}: {}", info.device, info.reason));
        self.say("predict", &info.target);
        let valid = if info.valid_rows > 0 {
            format!(", {} to validate", number(info.valid_rows))
        } else {
            String::new()
        };
        let rows = some(info.train_rows, "row");
        self.say("data", &format!("{rows} to train{valid}, {}", some(info.features, "feature")));
        if let Some(positive) = positive(&info.positive) {
            self.say("data", &format!("{positive} (--positive chooses)"));
        }
        if let Some(note) = &info.target_note {
            self.say("data", note);
        }
        if let Some(streaming) = &info.streaming {
            self.say("data", &streaming.to_string());
        }
        let model = format!(
            "{}, {} on the device, ready after {}",
            some(info.parameters, "parameter"),
            bytes_text(info.device_bytes),
            duration(info.load_seconds)
        );
        self.say("model", &model);
        let half = if info.precision == Precision::F16 { ", in half precision (f16)" } else { "" };
        let run = format!(
            "{} of {}, batches of {}{half}",
            pluralize(info.epochs.into(), "epoch"),
            some(info.steps_per_epoch, "step"),
            some(info.batch, "row"),
        );
        self.say("run", &run);
    }

    #[cfg(feature = "cli")]
    fn begin_bar(&mut self, info: &RunInfo) {
        if self.wants_view {
            self.view = Some(view::LiveView::of_run(info));
            return;
        }
        // A template of our own that does not parse would be a bug; then there is no bar.
        let style =
            ProgressStyle::with_template("[{bar:12}] {wide_msg}").ok().filter(|_| self.live);
        if let Some(style) = style {
            let steps = u64::from(info.epochs) * info.steps_per_epoch as u64;
            let bar =
                ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style.progress_chars("=> "));
            self.bar = Some(bar);
        }
    }

    #[cfg(not(feature = "cli"))]
    fn begin_bar(&mut self, _info: &RunInfo) {
        self.live = false;
    }

    fn progress(&mut self, progress: &Progress) {
        #[cfg(feature = "cli")]
        if let Some(bar) = &self.bar {
            let Progress { epoch, step, steps, .. } = *progress;
            bar.set_position(u64::from(epoch - 1) * steps as u64 + step as u64);
            bar.set_message(self.progress_text(progress));
        }
        let _ = progress;
    }

    #[cfg(feature = "cli")]
    fn progress_text(&self, progress: &Progress) -> String {
        let Progress { epoch, step, steps, loss, samples_per_second, seconds_left } = *progress;
        let loss = loss.map_or(String::new(), |loss| format!("  {}", figure("loss", loss)));
        format!(
            "epoch {epoch}/{}  step {step}/{steps}{loss}  {} rows/s  {} left",
            self.epochs,
            speed(samples_per_second),
            duration(seconds_left)
        )
    }

    /// An epoch's figures side by side. Where one line does not hold them, the others stand below the first ones.
    fn epoch(&self, stats: &EpochStats) -> String {
        let width = self.epochs.to_string().len();
        let epoch = format!("epoch {:>width$}/{}", stats.epoch, self.epochs);
        let indent = epoch.len() + GAP.len();
        let mut parts = vec![epoch, figure("loss", stats.train_loss)];
        for (metric, value) in stats.valid.iter().flat_map(|valid| valid.entries()) {
            let valid = if metric == Metric::Loss { "valid " } else { "" };
            parts.push(valid.to_string() + &figure(&metric.to_string(), value));
        }
        parts.push(duration(stats.seconds));
        laid_out(parts.iter().map(String::as_str), GAP, indent)
    }

    fn finished(&mut self, summary: &Summary) {
        self.close();
        if let Some(stopped) = &summary.stopped {
            self.line(&wrapped(&stopped.to_string(), INDENT));
        }
        let epochs = summary.epochs;
        if let Some(kept) = summary.kept.as_ref().filter(|kept| kept.epoch != epochs) {
            self.say(
                "kept",
                &format!("epoch {}, the best of {}", kept.epoch, count(epochs.into())),
            );
            // A training loss that falls with its label smoothing says nothing of what was learnt.
            let last = summary.last.as_ref().filter(|_| !self.smoothing_moves);
            if let Some(text) = last.and_then(|last| overfitted(kept, last)) {
                self.say("kept", &text);
            }
        }
        let speed = summary.last.as_ref().map(|last| speed(last.samples_per_second));
        let speed = speed.map_or(String::new(), |speed| format!(", at {speed} rows/s"));
        self.line(&format!("done in {}{speed}", duration(summary.seconds)));
    }
}

/// Says that a network learnt its training rows by heart after the epoch that is kept, if so.
fn overfitted(kept: &EpochStats, last: &EpochStats) -> Option<String> {
    let (before, after) = (kept.valid.as_ref()?.loss, last.valid.as_ref()?.loss);
    let (learnt, more) = (kept.train_loss, last.train_loss);
    // Differences of a hundredth are the noise of batches. Whoever learns by heart knows training rows better than others.
    let parts = after > before + 0.02 * before.abs() && more < learnt - 0.02 * learnt.abs();
    (parts && more < before).then(|| {
        format!(
            "over-fitted since then: training loss {} to {}, but valid loss {} to {}",
            fixed(learnt),
            fixed(more),
            fixed(before),
            fixed(after)
        )
    })
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::train::{EarlyStop, Metrics, Warning};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn third_epoch() -> EpochStats {
        let valid =
            Some(Metrics { rows: 2, loss: 0.1301, accuracy: Some(0.9694), ..Metrics::default() });
        EpochStats {
            epoch: 3,
            steps: 4,
            train_loss: 0.1234,
            valid,
            lr: 0.1,
            seconds: 0.11,
            samples_per_second: 12_345.0,
        }
    }

    #[test]
    fn an_early_end_tells_why_and_what_is_kept() {
        let out = Shared::default();
        let mut console = Console::to(out.clone());
        let stopped = EarlyStop { epoch: 5, metric: Metric::Loss, patience: 2, delta: 0.1 };
        let (kept, stopped) = (Some(third_epoch()), Some(stopped));
        console.event(&Event::Finished(Summary {
            kept,
            last: None,
            epochs: 5,
            stopped,
            seconds: 0.5,
        }));
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "stopped after epoch 5: valid loss has not fallen by more than 0.1 for 2 epochs\n\
             kept    epoch 3, the best of 5\n\
             done in 0.50 s\n"
        );
    }

    /// The lines that a console writes.
    fn lines(write: impl FnOnce(&mut Console)) -> Vec<String> {
        let out = Shared::default();
        let mut console = Console::to(out.clone());
        write(&mut console);
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        text.lines().map(String::from).collect()
    }

    #[test]
    fn a_training_loss_that_falls_with_its_smoothing_is_no_overfitting() {
        let mut last = third_epoch();
        (last.epoch, last.train_loss) = (5, 0.05);
        last.valid.as_mut().unwrap().loss = 0.2;
        for moves in [false, true] {
            let (kept, last) = (Some(third_epoch()), Some(last.clone()));
            let summary = Summary { kept, last, epochs: 5, stopped: None, seconds: 0.5 };
            let lines = lines(|console| {
                console.smoothing_moves = moves;
                console.event(&Event::Finished(summary));
            });
            let told = lines.iter().any(|line| line.contains("over-fitted since then"));
            assert_eq!(told, !moves, "{lines:?}");
        }
    }

    #[test]
    fn epochs_with_many_metrics_go_on_below_their_figures() {
        let mut stats = third_epoch();
        let all = Metric::list("--metrics", "f1_macro,roc_auc,top_2,top_3,brier,matthews,log_loss");
        let asked = all.unwrap().into_iter().map(|metric| (metric, Some(0.123_456)));
        stats.valid.as_mut().unwrap().asked = asked.collect();
        for epochs in [30, 4_000_000_000] {
            let lines = lines(|console| {
                console.epochs = epochs;
                console.event(&Event::Epoch(stats.clone()));
            });
            assert!(lines.len() > 1, "{lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
            // No figure is parted from its name, and all stand below the first one.
            let indent = lines[0].find("loss").unwrap();
            assert!(
                lines[1..].iter().all(|line| {
                    line.len() - line.trim_start().len() == indent
                        && line.trim().split("  ").all(|part| part.contains(' '))
                }),
                "{lines:#?}"
            );
            let joined = lines.join(" ");
            for name in ["f1_macro 0.1235", "log_loss 0.1235", "0.11 s"] {
                assert!(joined.contains(name), "{joined}");
            }
        }
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let names = "`a name` ".repeat(40);
        let lines = lines(|console| console.say("predict", &names));
        assert!(lines.len() > 3 && lines[0].starts_with("predict `a name`"), "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with("        ")), "{lines:#?}");
        // A word that is longer than a line stays whole.
        assert_eq!(
            wrapped(&format!("path {}", "x".repeat(100)), 2),
            format!("path\n  {}", "x".repeat(100))
        );
        assert_eq!(wrapped("", 2), "");
    }

    #[test]
    fn epochs_are_plain_lines() {
        let out = Shared::default();
        let mut console = Console::to(out.clone());
        console.epochs = 30;
        let stats = third_epoch();
        console.event(&Event::Epoch(stats));
        console.event(&Event::Warned(Warning::SoftwareAdapter));
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "epoch  3/30  loss 0.1234  valid loss 0.1301  accuracy 96.94 %  0.11 s\n\
             warning: this is a software adapter, meant for tests; ‘device’ cpu is far faster\n"
        );
    }
}
