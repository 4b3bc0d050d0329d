//! Figures by epoch.

use super::frame::{Captions, Frame, Key, fill, stroke};
use super::scale::{Scale, few_digits};
use super::svg::Picture;

/// Points of a line up to which each is marked by a dot.
const DOTTED: usize = 12;
/// Colours that lines have until they begin again.
const COLOURS: usize = 8;

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

/// A network of several, for pictures of all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkLine {
    /// Name and figures of the network.
    pub line: Line,
    /// The epoch whose weights are kept.
    pub kept: Option<u32>,
}

/// Draws figures of several networks by epoch, with a dot where a network's weights were kept. Of more than eight networks the lines
/// have one colour, and their mean is drawn besides.
pub fn by_epoch_of_networks((name, title): (&str, &str), networks: &[NetworkLine]) -> Picture {
    let lines: Vec<Line> = networks.iter().map(|it| it.line.clone()).collect();
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (x, y) = (epochs(&lines), Scale::by_spread(values));
    let scale = if y.is_log() { "logarithmic scale" } else { "" };
    let many = networks.len() > COLOURS;
    let mut legend: Vec<(Key, String)> = match many {
        true => vec![
            (Key::Line(0), format!("{} networks", networks.len())),
            (Key::Line(1), "mean".to_string()),
        ],
        false => lines.iter().enumerate().map(|it| (Key::Line(it.0), it.1.name.clone())).collect(),
    };
    if networks.iter().any(|it| it.kept.is_some()) {
        legend.push((Key::Dot(if many { 0 } else { 6 }), "kept".to_string()));
    }
    let about = format!("{title} by epoch of {} networks.", networks.len());
    let texts = Captions { name: name.into(), title: title.into(), below: vec![], about };
    let mut frame = Frame::new(texts, &legend, (x, "epoch"), (y, scale));
    for (place, NetworkLine { line, kept }) in networks.iter().enumerate() {
        let colour = if many { 0 } else { place };
        let class = stroke(colour);
        frame.curve(&if many { format!("{class} thin faint") } else { class }, &line.points);
        let at_kept =
            line.points.iter().find(|it| kept.is_some_and(|kept| it.0 == f64::from(kept)));
        if let Some(at) = at_kept.and_then(|&point| frame.point(point)) {
            frame.svg.circle(&fill(colour), at, 4.0, 1.0);
        }
    }
    if many {
        frame.curve(&stroke(1), &mean_line(&lines));
    }
    frame.finish()
}

/// Returns the mean of lines at each epoch that a line has, over the lines that have it.
fn mean_line(lines: &[Line]) -> Vec<(f64, f64)> {
    let last = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    let mean = |place: usize| {
        let there: Vec<(f64, f64)> =
            lines.iter().filter_map(|line| line.points.get(place)).copied().collect();
        let finite: Vec<f64> = there.iter().map(|it| it.1).filter(|it| it.is_finite()).collect();
        Some((there.first()?.0, finite.iter().sum::<f64>() / finite.len() as f64))
    };
    (0..last).filter_map(mean).collect()
}
