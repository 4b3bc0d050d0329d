//! Figures by epoch.

use super::frame::{Captions, Frame, Key, fill, stroke};
use super::scale::{Scale, few_digits};
use super::svg::{Anchor, Picture, TEXT, text_width};

/// Points of a line up to which each is marked by a dot.
const DOTTED: usize = 12;

/// A line of figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Name for the legend.
    pub name: String,
    /// Points of the line: epoch and figure. A figure that is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A line with a name.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// Draws figures by epoch; the epoch whose weights were kept is marked. Figures above 0 that are far apart are on a logarithmic
/// scale.
pub fn by_epoch((name, title): (&str, &str), lines: &[Line], kept: Option<u32>) -> Picture {
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (x, y) = (epochs(lines), Scale::by_spread(values));
    let told = |line: &Line| {
        let last = kept.and_then(|kept| line.points.iter().find(|it| it.0 == f64::from(kept)));
        let last = last.or(line.points.last());
        last.map(|&(epoch, value)| format!("{} {} at epoch {epoch}", line.name, few_digits(value)))
    };
    let told: Vec<String> = lines.iter().filter_map(told).collect();
    let kept_text = kept.map(|kept| format!("epoch {kept} kept"));
    let about = format!("{title} by epoch: {}.", told.join(", "));
    let texts = Captions { name: name.into(), title: title.into(), below: vec![], about };
    let mut legend: Vec<(Key, String)> =
        lines.iter().enumerate().map(|(at, line)| (Key::Line(at), line.name.clone())).collect();
    legend.extend(kept_text.map(|text| (Key::Mark, text)));
    let scale = if y.is_log() { "logarithmic scale" } else { "" };
    let mut frame = Frame::new(texts, &legend, (x, "epoch"), (y, scale));
    mark_kept(&mut frame, kept);
    for (colour, line) in lines.iter().enumerate() {
        frame.curve(&stroke(colour), &line.points);
        if line.points.len() <= DOTTED {
            for &point in &line.points {
                if let Some(at) = frame.point(point) {
                    frame.svg.circle(&fill(colour), at, 3.0, 1.0);
                }
            }
        }
    }
    frame.finish()
}

fn epochs(lines: &[Line]) -> Scale {
    let last = lines.iter().flat_map(|line| &line.points).map(|point| point.0);
    let last = last.fold(1.0_f64, f64::max);
    Scale::between(if last > 1.0 { 1.0 } else { 0.5 }, last.max(1.5)).whole()
}

/// Draws the kept epoch as a dashed line over the whole field.
fn mark_kept(frame: &mut Frame, kept: Option<u32>) {
    let Some(x) = kept.and_then(|kept| frame.x.at(f64::from(kept))) else { return };
    let [_, top, _, bottom] = frame.field;
    frame.svg.line("mark", (x, top), (x, bottom));
}

/// Draws the learning rate by epoch.
pub fn learning_rate(rates: &[(f64, f64)]) -> Picture {
    let line = Line::new("learning rate", rates.to_vec());
    let lines = std::slice::from_ref(&line);
    let spread = Scale::by_spread(rates.iter().map(|point| point.1));
    // A rate that hardly changes is drawn as such.
    let from_zero = Scale::around(rates.iter().map(|point| point.1).chain([0.0]));
    let y = if spread.is_log() { spread } else { from_zero };
    let most = rates.iter().map(|point| point.1).fold(0.0, f64::max);
    let about = format!("Learning rate of the last step of each epoch, at most {most}.");
    let (name, title) = ("learning-rate".into(), "Learning rate".into());
    let below = vec!["of the last step of each epoch".to_string()];
    let texts = Captions { name, title, below, about };
    let scale = if y.is_log() { "logarithmic scale" } else { "" };
    let mut frame = Frame::of_height(texts, &[], (epochs(lines), "epoch"), (y, scale), 150.0);
    frame.curve(&stroke(0), rates);
    if rates.len() <= DOTTED {
        for &point in rates {
            if let Some(at) = frame.point(point) {
                frame.svg.circle(&fill(0), at, 3.0, 1.0);
            }
        }
    }
    frame.finish()
}

/// A run of a search or a fold, for a picture of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialPoint {
    /// Name of the run.
    pub name: String,
    /// Setting that differs among the runs, such as the learning rate.
    pub setting: f64,
    /// The figure by which runs are compared.
    pub figure: f64,
}

/// Draws a figure of several runs by a setting that differs among them, such as the loss by the learning rate. The run with the
/// least figure is named.
pub fn trials(setting: &str, figure: &str, trials: &[TrialPoint]) -> Picture {
    let x = Scale::by_spread(trials.iter().map(|it| it.setting));
    let y = Scale::by_spread(trials.iter().map(|it| it.figure));
    let finite = trials.iter().filter(|it| it.figure.is_finite());
    let best = finite.min_by(|a, b| a.figure.total_cmp(&b.figure));
    let told = best.map(|it| format!("least: {}, {}", it.name, few_digits(it.figure)));
    let title = format!("{figure} by {setting}");
    let about = format!("{title} of {} runs; {}.", trials.len(), told.clone().unwrap_or_default());
    let texts = Captions { name: "trials".into(), title, below: told.into_iter().collect(), about };
    let mut frame = Frame::new(texts, &[], (x, setting), (y, figure));
    for trial in trials {
        let is_best = best.is_some_and(|best| std::ptr::eq(best, trial));
        let Some(at) = frame.point((trial.setting, trial.figure)) else { continue };
        frame.svg.circle(&fill(usize::from(is_best)), at, if is_best { 5.0 } else { 3.5 }, 0.85);
        if is_best {
            let width = text_width(&trial.name, TEXT);
            let right = at.0 + 8.0 + width <= frame.field[2];
            let (x, anchor) =
                if right { (at.0 + 8.0, Anchor::Start) } else { (at.0 - 8.0, Anchor::End) };
            frame.svg.text("bold", (x, at.1 + 4.0), (TEXT, anchor), &trial.name);
        }
    }
    frame.finish()
}
