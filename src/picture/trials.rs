//! Trials of a search for settings.

use super::epochs::Line;
use super::frame::{Captions, Frame, fill, fitting_ticks, head, stroke};
use super::scale::{Scale, few_digits};
use super::svg::{Anchor, Picture, Svg, TEXT, WIDTH, fit, text_width};

/// Room at the left and right of the axes.
const EDGE: f64 = 26.0;
/// Distance between two axes.
const BETWEEN: f64 = 62.0;
/// Size of the texts at ticks.
const SMALL: f64 = 11.0;
/// Trials that are drawn stronger than others.
const STRONG: usize = 10;

/// A run of a search, for a picture of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialPoint {
    /// Name of the run.
    pub name: String,
    /// Value of the setting that was varied, such as the learning rate.
    pub setting: f64,
    /// The figure by which runs are compared.
    pub figure: f64,
}

/// Draws a figure of several runs by a setting that differs among them, such as the loss by the learning rate. The best run, by its
/// place in the list, is named.
pub fn trials(
    (setting, figure): (&str, &str),
    trials: &[TrialPoint],
    best: Option<usize>,
) -> Picture {
    let x = Scale::by_spread(trials.iter().map(|it| it.setting));
    let y = Scale::by_spread(trials.iter().map(|it| it.figure));
    let best = best.and_then(|place| trials.get(place));
    let told = best.map(|it| format!("best: {}, {figure} {}", it.name, few_digits(it.figure)));
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

/// Draws the losses that learning rates came to, and marks the rate that is suggested.
pub fn rates_by_loss(rates: &[(f64, f64)], suggested: Option<f64>) -> Picture {
    let x = Scale::by_spread(rates.iter().map(|it| it.0));
    let y = Scale::by_spread(rates.iter().map(|it| it.1));
    let told = suggested.map(|rate| format!("dashed: the rate to train with, {rate}"));
    let title = "Loss by learning rate".to_string();
    let about = format!("{title} of {} rates; {}.", rates.len(), told.clone().unwrap_or_default());
    let below = told.into_iter().collect();
    let texts = Captions { name: "find-lr".into(), title, below, about };
    let scale = if y.is_log() { "loss, logarithmic scale" } else { "loss" };
    let mut frame = Frame::new(texts, &[], (x, "learning rate"), (y, scale));
    if let Some(x) = suggested.and_then(|rate| frame.x.at(rate)) {
        let [_, top, _, bottom] = frame.field;
        frame.svg.line("mark", (x, top), (x, bottom));
    }
    let line = Line::new("loss", rates.to_vec());
    frame.curve(&stroke(0), &line.points);
    for &rate in rates {
        if let Some(at) = frame.point(rate) {
            frame.svg.circle(&fill(0), at, 3.0, 1.0);
        }
    }
    frame.finish()
}

/// Values of a setting, one for each trial.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialValues {
    /// Numbers; one that is not finite ends the trial's line.
    Numbers(Vec<f64>),
    /// Other values as they would be typed.
    Texts(Vec<String>),
}

/// A setting, or a figure, of several trials.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialAxis {
    /// Name of the setting.
    pub name: String,
    /// Its values in the order of the trials.
    pub values: TrialValues,
}

/// Places of the trials on an axis, and its ticks.
struct PlacedAxis {
    at: Vec<Option<f64>>,
    ticks: Vec<(f64, String)>,
}

/// Draws trials as lines over parallel axes, an axis for each setting and one for the figure, the last. `best_first` has the places of
/// the trials in their order: the best one is drawn strongest, the next nine less, others faint.
pub fn parallel_coordinates(axes: &[TrialAxis], best_first: &[usize]) -> Picture {
    let figure = axes.last().map_or("", |axis| axis.name.as_str());
    let title = format!("{figure} by {} settings", axes.len().saturating_sub(1));
    let below =
        vec![format!("{} trials; the best one strong, the next nine thin", best_first.len())];
    let about = format!("{title}, a line for each of {} trials.", best_first.len());
    let texts =
        Captions { name: "trials".into(), title: title.clone(), below, about: about.clone() };
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, &[]) + 22.0;
    let placed: Vec<PlacedAxis> = axes.iter().map(placed).collect();
    let height = |axis: usize| top + BETWEEN * axis as f64;
    let of_trial = |trial: usize| {
        placed
            .iter()
            .enumerate()
            .map(move |(axis, it)| Some((it.at.get(trial).copied()??, height(axis))))
    };
    // The best are drawn last, above all others.
    for (rank, &trial) in best_first.iter().enumerate().rev() {
        let class = match rank {
            0 => stroke(1),
            1..STRONG => format!("{} thin", stroke(0)),
            _ => format!("{} thin faint", stroke(6)),
        };
        svg.path(&class, of_trial(trial));
    }
    for (number, (axis, PlacedAxis { ticks, .. })) in axes.iter().zip(&placed).enumerate() {
        let y = height(number);
        svg.line("axis", (EDGE, y), (WIDTH - EDGE, y));
        let name = fit(&axis.name, TEXT, WIDTH - 2.0 * EDGE);
        let width = text_width(&name, TEXT);
        svg.rect("paper", (EDGE - 16.0, y - 19.0), (width + 4.0, 15.0), 0.8);
        svg.text("bold", (EDGE - 14.0, y - 7.0), (TEXT, Anchor::Start), &name);
        for (x, text) in ticks {
            svg.line("axis", (*x, y), (*x, y + 4.0));
            let half = text_width(text, SMALL) / 2.0;
            svg.rect("paper", (x - half, y + 5.0), (2.0 * half, 13.0), 0.8);
            svg.text("soft", (*x, y + 15.0), (SMALL, Anchor::Middle), text);
        }
    }
    if let Some(&best) = best_first.first() {
        for at in of_trial(best).flatten() {
            svg.circle(&fill(1), at, 4.0, 1.0);
        }
    }
    svg.finish(&texts.name, &title, about, height(axes.len().saturating_sub(1)) + 30.0)
}

/// Places the values of an axis between the edges.
fn placed(axis: &TrialAxis) -> PlacedAxis {
    let (left, right) = (EDGE, WIDTH - EDGE);
    match &axis.values {
        TrialValues::Numbers(values) => {
            let scale = Scale::by_spread(values.iter().copied()).to(left, right);
            let of =
                |value: &f64| Some(*value).filter(|it| it.is_finite()).and_then(|it| scale.at(it));
            let ticks = fitting_ticks(&scale)
                .into_iter()
                .filter_map(|(value, text)| Some((scale.at(value)?, text)));
            PlacedAxis { at: values.iter().map(of).collect(), ticks: ticks.collect() }
        }
        TrialValues::Texts(values) => {
            let mut names: Vec<&String> = Vec::new();
            for value in values {
                if !names.contains(&value) {
                    names.push(value);
                }
            }
            names.sort();
            let step = (right - left) / names.len().max(1) as f64;
            let x = |place: usize| left + step * (place as f64 + 0.5);
            let of = |value: &String| names.iter().position(|it| *it == value).map(x);
            let at = values.iter().map(of).collect();
            // Names that would be cut to a letter or two say nothing.
            let told = |(place, name): (usize, &&String)| (x(place), fit(name, SMALL, step - 6.0));
            let ticks = match step > 30.0 {
                true => names.iter().enumerate().map(told).collect(),
                false => Vec::new(),
            };
            PlacedAxis { at, ticks }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_trial_passes_its_values_on_all_axes() {
        let axes = [
            TrialAxis { name: "lr".into(), values: TrialValues::Numbers(vec![1e-4, 1e-2, 1e-1]) },
            TrialAxis {
                name: "hidden".into(),
                values: TrialValues::Texts(["8", "8,4", "8"].map(String::from).to_vec()),
            },
            TrialAxis {
                name: "loss".into(),
                values: TrialValues::Numbers(vec![0.5, 0.1, f64::NAN]),
            },
        ];
        let svg = parallel_coordinates(&axes, &[1, 0]).svg();
        let places = placed(&axes[0]);
        let best = places.at[1].unwrap();
        let third = placed(&axes[1]).at;
        assert!(best > EDGE && best < WIDTH - EDGE && third[0] == third[2] && third[1] > third[0]);
        let circle = format!("cx=\"{}\"", super::super::svg::coordinate(best));
        assert!(svg.contains(&circle), "{circle} in {svg}");
        assert_eq!(
            svg.matches("<path").count(),
            2,
            "a trial without a value of the figure is no line"
        );
        assert_eq!(placed(&axes[2]).at[2], None);
    }
}
