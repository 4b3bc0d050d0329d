//! The live view of `--view`: curves and figures on the whole window, redrawn as the run goes on.
//!
//! In: events. Out: frames on the terminal; at the end, the lines that were told meanwhile.
//! Absent on purpose: how a frame is laid out.

mod canvas;
mod frame;
mod screen;

pub(crate) use screen::{leave as leave_view, notify as notify_view};

use std::time::Duration;

use frame::{NetworkState, NetworksState, RunView, ViewContent};

use crate::host::Instant;
use crate::train::{EpochStats, Event, Metric, Progress, RunInfo, Warning};

/// Least time between two frames.
const PAUSE: Duration = Duration::from_millis(80);
/// Warnings that are remembered for the frames.
const NOTES: usize = 8;
/// Beginning of lines that warn.
const WARNING: &str = "warning: ";

/// A live view on standard error.
pub(super) struct LiveView {
    shown: ViewContent,
    notes: Vec<String>,
    /// Lines to write once the view has ended.
    held: Vec<String>,
    colours: bool,
    drawn: Option<Instant>,
}

impl LiveView {
    /// Returns the reason why there can be no view, if so.
    pub(super) fn refused() -> Option<&'static str> {
        screen::refused()
    }

    /// Begins the view of a run.
    pub(super) fn of_run(info: &RunInfo) -> Self {
        Self::begin(ViewContent::Run(Box::new(RunView {
            epochs: info.epochs,
            ..RunView::default()
        })))
    }

    /// Begins the view of several networks.
    pub(super) fn of_networks(names: &[String], epochs: u32) -> Self {
        let network =
            |name: &String| NetworkState { name: name.clone(), ..NetworkState::default() };
        let networks = names.iter().map(network).collect();
        Self::begin(ViewContent::Networks(NetworksState { epochs, networks, text: String::new() }))
    }

    fn begin(shown: ViewContent) -> Self {
        screen::enter();
        let colours = screen::has_colours();
        let mut view = Self { shown, notes: Vec::new(), held: Vec::new(), colours, drawn: None };
        view.draw();
        view
    }

    /// Keeps a line for the end, and shows it as a note if it is a warning.
    pub(super) fn hold(&mut self, text: String) {
        if text.starts_with(WARNING) {
            let words: Vec<&str> = text.split_whitespace().collect();
            self.notes.push(words.join(" "));
        }
        if self.notes.len() > NOTES {
            self.notes.remove(0);
        }
        self.held.push(text);
        self.draw();
    }

    /// Takes an event of the run.
    pub(super) fn event(&mut self, event: &Event) {
        if let ViewContent::Run(run) = &mut self.shown {
            run.take(event);
        }
        self.draw_at_times();
    }

    /// Takes an event of a network of several; `text` says how far all are.
    pub(super) fn network_event(&mut self, network: usize, event: &Event, text: &str) {
        if let ViewContent::Networks(all) = &mut self.shown {
            all.text = text.to_string();
            let epochs = f64::from(all.epochs);
            if let Some(network) = all.networks.get_mut(network) {
                network.take(event, epochs);
            }
        }
        self.draw_at_times();
    }

    /// Marks a network that was trained before.
    pub(super) fn network_ended(&mut self, network: usize) {
        if let ViewContent::Networks(all) = &mut self.shown {
            let epochs = f64::from(all.epochs);
            if let Some(network) = all.networks.get_mut(network) {
                (network.begun, network.ended, network.epochs) = (true, true, epochs);
            }
        }
    }

    fn draw_at_times(&mut self) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let notice = screen::notice();
        let notes: Vec<String> = self.notes.iter().cloned().chain(notice).collect();
        let lines = self.shown.frame(screen::size(), &notes);
        let lines: Vec<String> = lines.iter().map(|line| line.text(self.colours)).collect();
        screen::draw(&lines);
        self.drawn = Some(Instant::now());
    }

    /// Ends the view. Returns the lines that were told meanwhile.
    pub(super) fn end(mut self) -> Vec<String> {
        screen::leave();
        std::mem::take(&mut self.held)
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        screen::leave();
    }
}

/// Appends a figure of an epoch, after those of later epochs are removed: a run may go back.
fn append(points: &mut Vec<(f64, f64)>, epoch: u32, value: f64) {
    points.retain(|it| it.0 < f64::from(epoch));
    points.push((f64::from(epoch), value));
}

/// Returns the number of epochs to which a warning says that a run goes back.
fn goes_back(event: &Event) -> Option<u32> {
    match event {
        Event::Warned(Warning::DeviceLost { ended, .. } | Warning::WentBack { ended, .. }) => {
            Some(*ended)
        }
        _ => None,
    }
}

impl RunView {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Progress(progress) => {
                // Within the first epoch there is nothing else to draw.
                if let (1, Some(loss)) = (progress.epoch, progress.loss) {
                    let share = progress.step as f64 / progress.steps.max(1) as f64;
                    self.train.retain(|it| it.0 < share);
                    self.train.push((share, loss));
                }
                self.progress = Some(*progress);
            }
            Event::Epoch(stats) => self.take_epoch(stats),
            _ => {}
        }
        if let Some(ended) = goes_back(event) {
            let last = f64::from(ended);
            self.train.retain(|it| it.0 <= last);
            self.valid.retain(|it| it.0 <= last);
            self.metric.iter_mut().for_each(|metric| metric.1.retain(|it| it.0 <= last));
            self.last = None;
            self.progress = None;
        }
    }

    fn take_epoch(&mut self, stats: &EpochStats) {
        append(&mut self.train, stats.epoch, stats.train_loss);
        for (metric, value) in stats.valid.iter().flat_map(|valid| valid.entries()) {
            if metric == Metric::Loss {
                append(&mut self.valid, stats.epoch, value);
            } else {
                let (known, points) = self.metric.get_or_insert_with(|| (metric, Vec::new()));
                if *known == metric {
                    append(points, stats.epoch, value);
                }
            }
        }
        self.last = Some(stats.clone());
    }
}

impl NetworkState {
    fn take(&mut self, event: &Event, epochs: f64) {
        self.begun = true;
        match event {
            Event::Progress(Progress { epoch, step, steps, .. }) => {
                self.epochs = f64::from(epoch - 1) + *step as f64 / (*steps).max(1) as f64;
            }
            Event::Epoch(stats) => {
                self.epochs = f64::from(stats.epoch);
                append(&mut self.train, stats.epoch, stats.train_loss);
                if let Some(valid) = &stats.valid {
                    append(&mut self.valid, stats.epoch, valid.loss);
                }
                self.last = Some(stats.clone());
            }
            Event::Finished(_) => (self.ended, self.epochs) = (true, epochs),
            Event::Started(_) | Event::Warned(_) => {}
        }
        if let Some(ended) = goes_back(event) {
            self.train.retain(|it| it.0 <= f64::from(ended));
            self.valid.retain(|it| it.0 <= f64::from(ended));
            self.epochs = f64::from(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_back_with_the_run() {
        let mut run = RunView { epochs: 5, ..RunView::default() };
        let stats = |epoch: u32| EpochStats {
            epoch,
            steps: 4,
            train_loss: f64::from(epoch),
            valid: None,
            lr: 0.1,
            seconds: 0.1,
            samples_per_second: 10.0,
        };
        (1..=4).for_each(|epoch| run.take(&Event::Epoch(stats(epoch))));
        let problem = "a loss that is not finite".to_string();
        let back = Warning::WentBack { problem, place: "epoch 2".into(), ended: 2, slowed: 0.5 };
        run.take(&Event::Warned(back));
        assert_eq!(run.train, [(1.0, 1.0), (2.0, 2.0)]);
        run.take(&Event::Epoch(EpochStats { train_loss: 9.0, ..stats(3) }));
        assert_eq!(run.train.last(), Some(&(3.0, 9.0)));
    }
}
