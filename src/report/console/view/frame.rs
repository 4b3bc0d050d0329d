//! Frames of the live view: lines of text for a window of some size.
//!
//! In: what is known of a run, or of several networks. Out: lines that fit the window.
//! Absent on purpose: the terminal.

use super::canvas::Canvas;
use crate::report::text::{duration, figure, laid_out_in, pluralize, speed};
use crate::shape::number;
use crate::train::{EpochStats, Metric, Progress};

/// Least window in which curves are drawn.
const CURVES: (usize, usize) = (40, 14);
/// Least width of two fields of curves side by side.
const TWO_FIELDS: usize = 100;
/// Factor between ends of a scale from which on it is logarithmic.
const LOGARITHMIC: f64 = 30.0;
/// Room right of the curves for their names.
const NAMES: usize = 6;

/// Colour and weight of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Bold,
    Soft,
    /// One of the colours of curves.
    Curve(usize),
}

/// A line of a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FrameLine(Vec<(Tone, String)>);

impl FrameLine {
    fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    fn width(&self) -> usize {
        self.0.iter().map(|it| it.1.chars().count()).sum()
    }

    /// Returns the line without what lies beyond a width.
    fn cut(self, width: usize) -> Self {
        let mut left = width;
        let mut pieces = Vec::new();
        for (tone, text) in self.0 {
            let kept: String = text.chars().take(left).collect();
            left -= kept.chars().count();
            pieces.push((tone, kept));
        }
        Self(pieces)
    }

    /// Returns the text, with colours if the terminal is to show them.
    pub(super) fn text(&self, colours: bool) -> String {
        /// Blue, orange, and others that people who do not tell red from green tell apart.
        const CURVES: [&str; 6] = ["34", "33", "36", "35", "32", "31"];
        let mut shown = String::new();
        for (tone, text) in &self.0 {
            let code = match tone {
                Tone::Bold => "1",
                Tone::Soft => "2",
                Tone::Curve(curve) if colours => CURVES[curve % CURVES.len()],
                Tone::Plain | Tone::Curve(_) => "",
            };
            match code.is_empty() {
                true => shown += text,
                false => shown += &format!("\x1b[{code}m{text}\x1b[0m"),
            }
        }
        shown
    }
}

/// A curve with its name.
#[derive(Clone, Debug, Default)]
pub(super) struct ViewCurve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A run of one network.
#[derive(Clone, Debug, Default)]
pub(super) struct RunView {
    pub(super) epochs: u32,
    pub(super) train: Vec<(f64, f64)>,
    pub(super) valid: Vec<(f64, f64)>,
    /// The first metric of validation rows besides the loss.
    pub(super) metric: Option<(Metric, Vec<(f64, f64)>)>,
    pub(super) progress: Option<Progress>,
    pub(super) last: Option<EpochStats>,
}

/// Progress of a network of several.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworkState {
    pub(super) name: String,
    /// Epochs done, with the share of the present one.
    pub(super) epochs: f64,
    pub(super) begun: bool,
    pub(super) ended: bool,
    pub(super) train: Vec<(f64, f64)>,
    pub(super) valid: Vec<(f64, f64)>,
    pub(super) last: Option<EpochStats>,
}

/// Several networks that train side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct NetworksState {
    pub(super) epochs: u32,
    pub(super) networks: Vec<NetworkState>,
    /// Says how many are done, and how long it takes.
    pub(super) text: String,
}

/// Content of a view.
#[derive(Clone, Debug)]
pub(super) enum ViewContent {
    Run(Box<RunView>),
    Networks(NetworksState),
}

impl ViewContent {
    /// Returns the lines of a frame, at most `height` of them and none wider than `width`; `notes` are shown at its end.
    pub(super) fn frame(
        &self,
        (width, height): (usize, usize),
        notes: &[String],
    ) -> Vec<FrameLine> {
        let mut below: Vec<FrameLine> = Vec::new();
        for note in notes.iter().rev().take(3).rev() {
            let text = laid_out_in(note.split(' '), " ", (2, width.max(10)));
            below.extend(text.lines().take(2).map(|line| FrameLine::of(Tone::Plain, line)));
        }
        below.truncate(height.saturating_sub(4));
        let room = (width, height.saturating_sub(below.len()));
        let mut lines = match self {
            Self::Run(run) => run.frame(room),
            Self::Networks(networks) => networks.frame(room),
        };
        lines.truncate(room.1);
        lines.extend(below);
        lines.into_iter().map(|line| line.cut(width)).collect()
    }
}

impl RunView {
    fn frame(&self, (width, height): (usize, usize)) -> Vec<FrameLine> {
        let mut lines = self.figures(width);
        let room = height.saturating_sub(lines.len());
        if width < CURVES.0 || room + lines.len() < CURVES.1 {
            return lines;
        }
        let span = (0.0, f64::from(self.epochs.max(1)));
        let losses = [
            ViewCurve { name: "train".into(), points: self.train.clone() },
            ViewCurve { name: "valid".into(), points: self.valid.clone() },
        ];
        let losses: Vec<ViewCurve> =
            losses.into_iter().filter(|it| !it.points.is_empty()).collect();
        let metric = self.metric.as_ref().filter(|it| width >= TWO_FIELDS && !it.1.is_empty());
        let Some((name, points)) = metric else {
            lines.extend(field("loss", &losses, (0, span), (width, room)));
            return lines;
        };
        let half = (width - 2) / 2;
        let curve = ViewCurve { name: "valid".into(), points: points.clone() };
        let right = field(&name.to_string(), &[curve], (1, span), (half, room));
        for (left, right) in field("loss", &losses, (0, span), (half, room)).into_iter().zip(right)
        {
            let gap = " ".repeat(half + 2 - left.width().min(half));
            let mut line = left.and(Tone::Plain, gap);
            line.0.extend(right.0);
            lines.push(line);
        }
        lines
    }

    /// Returns lines of figures: where the run is, how fast, and the figures of the last epoch and of the best.
    fn figures(&self, width: usize) -> Vec<FrameLine> {
        let ended = self.last.as_ref().map_or(0, |last| last.epoch);
        let (epoch, share) = match &self.progress {
            Some(it) => {
                (it.epoch, f64::from(it.epoch - 1) + it.step as f64 / it.steps.max(1) as f64)
            }
            None => (ended, f64::from(ended)),
        };
        // Short epochs have no progress of their own.
        let seconds_left = match (&self.progress, &self.last) {
            (Some(progress), _) => Some(progress.seconds_left),
            (None, Some(last)) => Some(last.seconds * f64::from(self.epochs.saturating_sub(ended))),
            (None, None) => None,
        };
        let left = seconds_left.map(|seconds| format!("  {} left", duration(seconds)));
        let place = format!("epoch {epoch}/{}", self.epochs);
        let text = left.unwrap_or_default();
        let used = place.chars().count() + text.chars().count() + 2;
        let bar = bar(share / f64::from(self.epochs.max(1)), width.saturating_sub(used).min(40));
        let gap = if bar.is_empty() { "" } else { "  " };
        let rest = format!("{gap}{bar}{text}");
        let mut lines = vec![FrameLine::of(Tone::Bold, place).and(Tone::Plain, rest)];
        if let Some(Progress { step, steps, loss, samples_per_second, .. }) = self.progress {
            let loss = loss.map_or(String::new(), |loss| format!("  {}", figure("loss", loss)));
            let text = format!("step {step}/{steps}{loss}  {} rows/s", speed(samples_per_second));
            lines.push(FrameLine::of(Tone::Plain, text));
        } else if let Some(last) = &self.last {
            let text = format!("{} rows/s", speed(last.samples_per_second));
            lines.push(FrameLine::of(Tone::Plain, text));
        }
        if let Some(last) = &self.last {
            lines.extend(told(last, width).into_iter().map(|it| FrameLine::of(Tone::Plain, it)));
        }
        let best = self.valid.iter().filter(|it| it.1.is_finite());
        if let Some((epoch, loss)) = best.min_by(|a, b| a.1.total_cmp(&b.1)) {
            let text = format!("least valid loss {} in epoch {epoch}", number(*loss));
            lines.push(FrameLine::of(Tone::Soft, text));
        }
        lines
    }
}

/// Returns the figures of an epoch as lines of some width.
fn told(stats: &EpochStats, width: usize) -> Vec<String> {
    let mut parts = vec![format!("epoch {}:", stats.epoch), figure("loss", stats.train_loss)];
    for (metric, value) in stats.valid.iter().flat_map(|valid| valid.entries()) {
        let valid = if metric == Metric::Loss { "valid " } else { "" };
        parts.push(valid.to_string() + &figure(&metric.to_string(), value));
    }
    parts.push(format!("lr {}", crate::shape::short(stats.lr)));
    let text = laid_out_in(parts.iter().map(String::as_str), "  ", (2, width.max(10)));
    text.lines().map(String::from).collect()
}

/// Returns a bar of some width; none where there is no room.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a width")]
fn bar(share: f64, width: usize) -> String {
    if width < 7 {
        return String::new();
    }
    let inner = width - 2;
    let full = (share.clamp(0.0, 1.0) * inner as f64) as usize;
    let head = if full < inner { ">" } else { "" };
    let rest = " ".repeat(inner - full - head.len());
    format!("[{}{head}{rest}]", "=".repeat(full))
}

/// A scale of figures.
struct FigureScale {
    low: f64,
    high: f64,
    log: bool,
}

impl FigureScale {
    fn of(curves: &[ViewCurve]) -> Self {
        let values = curves.iter().flat_map(|it| &it.points).map(|it| it.1);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|it| it.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low >= high {
            let room = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low, high) = (low - room, high + room);
        }
        Self { low, high, log: low > 0.0 && high / low >= LOGARITHMIC }
    }

    /// Returns the place of a figure between 0 and 1.
    fn at(&self, value: f64) -> f64 {
        match self.log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            // Halves keep the difference of very large ends finite.
            false => (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0),
        }
    }

    /// Returns the figure at a place between 0 and 1.
    fn value(&self, at: f64) -> f64 {
        match self.log {
            true => self.low * (self.high / self.low).powf(at),
            false => self.low * (1.0 - at) + self.high * at,
        }
    }
}

/// Draws curves by epoch: a title, rows of dots with an axis, and the ends of the epochs. `first` is the colour of the first curve.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows of a field")]
fn field(
    title: &str,
    curves: &[ViewCurve],
    (first, (begin, end)): (usize, (f64, f64)),
    (width, height): (usize, usize),
) -> Vec<FrameLine> {
    let scale = FigureScale::of(curves);
    let rows = height.saturating_sub(2).max(1);
    // A figure at the top, in the middle and at the bottom.
    let labels: Vec<String> = (0..rows)
        .map(|row| {
            let at = 1.0 - row as f64 / (rows - 1).max(1) as f64;
            let shown = row == 0 || row + 1 == rows || row == rows / 2;
            if shown { number(scale.value(at)) } else { String::new() }
        })
        .collect();
    let margin = labels.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 2 + NAMES).max(1);
    let mut canvas = Canvas::new(columns, rows);
    let place = |&(x, y): &(f64, f64)| ((x - begin) / (end - begin), scale.at(y));
    // The name of a curve stands beside its last point, or as near as there is room.
    let mut names: Vec<Option<(usize, &str)>> = vec![None; rows];
    for (number, curve) in curves.iter().enumerate() {
        let points: Vec<(f64, f64)> = curve.points.iter().map(place).collect();
        for pair in points.windows(2) {
            canvas.line(first + number, pair[0], pair[1]);
        }
        if let [only] = points[..] {
            canvas.line(first + number, only, only);
        }
        let last = points.iter().rev().find(|it| it.1.is_finite());
        let wanted =
            last.map(|it| ((1.0 - it.1.clamp(0.0, 1.0)) * (rows - 1) as f64).round() as usize);
        let free = wanted.and_then(|row| {
            (0..rows).filter(|it| names[*it].is_none()).min_by_key(|it| it.abs_diff(row))
        });
        if let Some(row) = free {
            names[row] = Some((first + number, &curve.name));
        }
    }
    let log = if scale.log { ", logarithmic" } else { "" };
    let mut lines = vec![FrameLine::of(Tone::Soft, format!("{title}{log}"))];
    for (row, label) in labels.iter().enumerate() {
        let sign = if label.is_empty() { '│' } else { '┤' };
        let mut line = FrameLine::of(Tone::Soft, format!("{label:>margin$} {sign}"));
        for (number, letter) in canvas.row(row) {
            let tone = if letter == ' ' { Tone::Plain } else { Tone::Curve(number) };
            match line.0.last_mut().filter(|last| last.0 == tone) {
                Some(last) => last.1.push(letter),
                None => line = line.and(tone, letter),
            }
        }
        if let Some((number, name)) = names[row] {
            let name: String = name.chars().take(NAMES - 1).collect();
            line = line.and(Tone::Curve(number), format!(" {name}"));
        }
        lines.push(line);
    }
    let last = format!("epoch {end}");
    let gap = (margin + 2 + columns).saturating_sub(margin + 3 + last.chars().count());
    lines.push(FrameLine::of(
        Tone::Soft,
        format!("{}{begin}{}{last}", " ".repeat(margin + 2), " ".repeat(gap)),
    ));
    lines
}

impl NetworksState {
    fn frame(&self, (width, height): (usize, usize)) -> Vec<FrameLine> {
        let all = self.networks.len() as f64 * f64::from(self.epochs.max(1));
        let done: f64 = self.networks.iter().map(|it| it.epochs).sum();
        let bar = bar(done / all, width.saturating_sub(self.text.chars().count() + 2).min(40));
        let mut lines =
            vec![FrameLine::of(Tone::Bold, self.text.clone()).and(Tone::Plain, format!("  {bar}"))];
        // Networks that train come first where there is no room for all.
        let mut order: Vec<&NetworkState> = self.networks.iter().collect();
        let room = height.saturating_sub(2).max(1);
        if order.len() > room {
            order.sort_by_key(|it| (it.ended, !it.begun));
        }
        let shown = order.len().min(room);
        let name = order.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
        lines.extend(order[..shown].iter().map(|it| it.line(self.epochs, (name, width))));
        if shown < order.len() {
            let ended = order[shown..].iter().filter(|it| it.ended).count();
            let text = format!(
                "and {}, {ended} of them done",
                pluralize((order.len() - shown) as u64, "more network")
            );
            lines.push(FrameLine::of(Tone::Soft, text));
        }
        let left = height.saturating_sub(lines.len());
        if width >= CURVES.0 && left >= CURVES.1 - 4 {
            let has_valid = self.networks.iter().any(|it| !it.valid.is_empty());
            let curve = |it: &NetworkState| ViewCurve {
                // Names of many networks would lie on one another.
                name: String::new(),
                points: if has_valid { it.valid.clone() } else { it.train.clone() },
            };
            let curves: Vec<ViewCurve> = self.networks.iter().map(curve).collect();
            let title = if has_valid { "valid loss of each" } else { "training loss of each" };
            let span = (0.0, f64::from(self.epochs.max(1)));
            lines.extend(field(title, &curves, (0, span), (width, left)));
        }
        lines
    }
}

impl NetworkState {
    /// Returns the line of a network, with as many figures as have room; `name` is the width of the longest name.
    fn line(&self, epochs: u32, (name, width): (usize, usize)) -> FrameLine {
        let digits = epochs.to_string().len();
        let state = match (self.begun, self.ended) {
            (_, true) => "done".to_string(),
            (false, false) => "waits".to_string(),
            (true, false) => format!(
                "epoch {:>digits$.0}/{epochs}",
                (self.epochs.floor() + 1.0).min(f64::from(epochs))
            ),
        };
        let state_width = 7 + 2 * digits;
        let mut parts = Vec::new();
        if let Some(last) = &self.last {
            parts.push(figure("loss", last.train_loss));
            for (metric, value) in last.valid.iter().flat_map(|valid| valid.entries()) {
                let valid = if metric == Metric::Loss { "valid " } else { "" };
                parts.push(valid.to_string() + &figure(&metric.to_string(), value));
            }
        }
        let mut text = format!("{:<name$}  {state:<state_width$}", self.name);
        for part in parts {
            if text.chars().count() + 2 + part.chars().count() > width {
                break;
            }
            text += &format!("  {part}");
        }
        let tone = if self.ended || !self.begun { Tone::Soft } else { Tone::Plain };
        FrameLine::of(tone, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Metrics;

    fn stats(epoch: u32, loss: f64, valid: f64) -> EpochStats {
        let valid = Metrics { rows: 9, loss: valid, accuracy: Some(0.5), ..Metrics::default() };
        EpochStats {
            epoch,
            steps: 4,
            train_loss: loss,
            valid: Some(valid),
            lr: 0.01,
            seconds: 0.1,
            samples_per_second: 1234.0,
        }
    }

    fn run() -> RunView {
        let points =
            |of: fn(f64) -> f64| (1..=6).map(|it| (f64::from(it), of(f64::from(it)))).collect();
        RunView {
            epochs: 10,
            train: points(|x| 1.0 / x),
            valid: points(|x| 0.5 + (x - 4.0).powi(2) / 10.0),
            metric: Some((Metric::Accuracy, points(|x| x / 10.0))),
            progress: Some(Progress {
                epoch: 7,
                step: 2,
                steps: 4,
                loss: Some(0.15),
                samples_per_second: 1234.0,
                seconds_left: 80.0,
            }),
            last: Some(stats(6, 1.0 / 6.0, 0.9)),
        }
    }

    fn texts(shown: &ViewContent, size: (usize, usize), notes: &[String]) -> Vec<String> {
        shown
            .frame(size, notes)
            .iter()
            .map(|line| {
                line.text(false)
                    .replace("\x1b[0m", "")
                    .replace("\x1b[1m", "")
                    .replace("\x1b[2m", "")
            })
            .collect()
    }

    #[test]
    fn frames_fit_every_window() {
        let networks = NetworksState {
            epochs: 10,
            networks: (0..40)
                .map(|it| NetworkState {
                    name: format!("member {it}"),
                    epochs: f64::from(it % 10),
                    begun: it < 20,
                    ended: it < 5,
                    train: vec![(1.0, 0.5), (2.0, f64::NAN)],
                    last: Some(stats(1, 0.5, 0.6)),
                    ..NetworkState::default()
                })
                .collect(),
            text: "5/40 members done  epoch 100/400 of all  3 min left".into(),
        };
        let notes: Vec<String> =
            (0..5).map(|it| format!("warning: number {it} {}", "long ".repeat(40))).collect();
        for shown in [
            ViewContent::Run(Box::new(run())),
            ViewContent::Run(Box::default()),
            ViewContent::Networks(networks),
        ] {
            for size in [(1, 1), (10, 3), (39, 10), (40, 14), (80, 24), (100, 30), (200, 60)] {
                for notes in [&notes[..], &[]] {
                    let lines = texts(&shown, size, notes);
                    assert!(lines.len() <= size.1, "{size:?}: {lines:#?}");
                    for line in &lines {
                        assert!(line.chars().count() <= size.0, "{size:?}: {line}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_tells_where_the_run_is_and_draws_both_losses() {
        let lines = texts(&ViewContent::Run(Box::new(run())), (80, 24), &[]);
        assert!(
            lines[0].starts_with("epoch 7/10  [=====") && lines[0].ends_with("1 min 20 s left"),
            "{lines:#?}"
        );
        assert_eq!(lines[1], "step 2/4  loss 0.1500  1,234 rows/s");
        assert_eq!(lines[2], "epoch 6:  loss 0.1667  valid loss 0.9000  accuracy 50.00 %  lr 0.01");
        assert_eq!(lines[3], "least valid loss 0.5000 in epoch 4");
        // The scale goes from the least figure to the greatest.
        assert!(lines[5].starts_with("1.4000 ┤"), "{lines:#?}");
        assert!(lines[22].starts_with("0.1667 ┤") && lines[22].ends_with("train"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("valid")), "{lines:#?}");
        assert!(
            lines[23].trim_start().starts_with('0') && lines[23].ends_with("epoch 10"),
            "{lines:#?}"
        );
        // The curves end at six of ten epochs.
        let braille = |letter: char| ('\u{2801}'..='\u{28ff}').contains(&letter);
        let end = lines
            .iter()
            .filter_map(|line| line.chars().collect::<Vec<_>>().iter().rposition(|it| braille(*it)))
            .max()
            .unwrap();
        let columns = 80 - 6 - 2 - NAMES;
        assert!(end.abs_diff(8 + columns * 6 / 10) <= 1, "{end}: {lines:#?}");
        // A wide window has the metric besides.
        assert!(texts(&ViewContent::Run(Box::new(run())), (120, 24), &[])[4].contains("accuracy"));
    }

    #[test]
    fn networks_have_a_line_each() {
        let network = |name: &str, begun, ended| NetworkState {
            name: name.into(),
            epochs: 2.5,
            begun,
            ended,
            last: begun.then(|| stats(2, 0.25, 0.5)),
            ..NetworkState::default()
        };
        let networks = vec![
            network("fold 0", true, true),
            network("fold 1", true, false),
            network("fold 2", false, false),
        ];
        let state = NetworksState { epochs: 10, networks, text: "1/3 folds done".into() };
        let lines = texts(&ViewContent::Networks(state), (80, 6), &["a note".into()]);
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[0].starts_with("1/3 folds done  [======"), "{lines:#?}");
        assert_eq!(
            lines[1],
            "fold 0  done         loss 0.2500  valid loss 0.5000  accuracy 50.00 %"
        );
        assert_eq!(
            lines[2],
            "fold 1  epoch  3/10  loss 0.2500  valid loss 0.5000  accuracy 50.00 %"
        );
        assert_eq!(lines[3].trim_end(), "fold 2  waits");
        assert_eq!(lines[4], "a note");
    }
}
