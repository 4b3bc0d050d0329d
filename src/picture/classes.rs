//! Pictures of predicted classes: confusion, ranking, calibration.

use super::frame::{Captions, Frame, Key, fill, head, stroke};
use super::scale::{Scale, few_digits, grouped};
use super::svg::{Anchor, Picture, Svg, TEXT, WIDTH, fit, text_width};

/// Classes up to which all pairs are shown.
const ALL_PAIRS: usize = 20;
/// Pairs that are shown of more classes.
const WORST: usize = 20;

/// Draws how often each class was taken for each: a row for each true class, the number of rows, and their share of the class by
/// colour. Of more than 20 classes the 20 most frequent confusions are bars. `counts[true][predicted]`.
/// `weighted` tells that rows have weights, which the counts leave out.
pub fn confusion(classes: &[String], counts: &[Vec<u64>], weighted: bool) -> Picture {
    match classes.len() > ALL_PAIRS {
        true => worst_pairs(classes, counts, weighted),
        false => matrix(classes, counts, weighted),
    }
}

fn right_text(counts: &[Vec<u64>]) -> (u64, u64, String) {
    let all: u64 = counts.iter().flatten().sum();
    let right: u64 =
        counts.iter().enumerate().map(|(at, row)| row.get(at).copied().unwrap_or(0)).sum();
    let share = 100.0 * right as f64 / all.max(1) as f64;
    let text = format!(
        "{} of {} rows right, {share:.2} %",
        grouped(right as f64, 0),
        grouped(all as f64, 0),
    );
    (right, all, text)
}

/// Says below a picture of counted rows that their weights do not count.
fn with_remark(mut told: Vec<String>, weighted: bool) -> Vec<String> {
    if weighted {
        told.push("each row counts as one, whatever rows weigh".into());
    }
    told
}

fn matrix(classes: &[String], counts: &[Vec<u64>], weighted: bool) -> Picture {
    let (_, _, told) = right_text(counts);
    let texts = Captions {
        name: "confusion".into(),
        title: "Confusion matrix".into(),
        below: with_remark(vec![format!("{told}; a row for each true class")], weighted),
        about: format!("Confusion matrix of {} classes: {told}.", classes.len()),
    };
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, &[]) + 6.0;
    let label = if classes.len() > 12 { 10.0 } else { TEXT };
    let widest = classes.iter().map(|it| text_width(it, label)).fold(0.0, f64::max).min(110.0);
    let left = 12.0 + 16.0 + widest + 6.0;
    let cell = ((WIDTH - left - 12.0) / classes.len().max(1) as f64).min(60.0);
    let height = cell.clamp(18.0, 40.0);
    svg.text("soft", (left, top + 8.0), (TEXT, Anchor::Start), "predicted");
    // Names that do not fit side by side stand upright, by their numbers where even these do not.
    let fits = classes.iter().all(|it| text_width(it, label) <= cell - 4.0);
    let grid_top = top + 28.0;
    for (at, class) in classes.iter().enumerate() {
        let (x, y) = (left + (at as f64 + 0.5) * cell, grid_top + (at as f64 + 0.5) * height);
        let above = if fits { class.clone() } else { fit(class, label, cell - 2.0) };
        let above = if above.chars().count() < 3 && !fits { (at + 1).to_string() } else { above };
        svg.text("", (x, grid_top - 6.0), (label, Anchor::Middle), &above);
        let name = fit(class, label, widest);
        svg.text("", (left - 6.0, y + 4.0), (label, Anchor::End), &name);
    }
    for (row, cells) in counts.iter().enumerate() {
        let sum: u64 = cells.iter().sum();
        for (column, &count) in cells.iter().enumerate() {
            let at = (left + column as f64 * cell, grid_top + row as f64 * height);
            draw_cell(&mut svg, at, (cell, height), (count, sum), row == column);
        }
    }
    let bottom = grid_top + classes.len() as f64 * height;
    svg.finish("confusion", "Confusion matrix", texts.about, bottom + 14.0)
}

/// Draws a cell: the number of rows, and below it their share of the true class where there is room.
fn draw_cell(
    svg: &mut Svg,
    (x, y): (f64, f64),
    (width, height): (f64, f64),
    (count, sum): (u64, u64),
    right: bool,
) {
    let share = if sum == 0 { 0.0 } else { count as f64 / sum as f64 };
    svg.rect("box", (x, y), (width, height), 1.0);
    if count > 0 {
        let opacity = 0.12 + 0.88 * share;
        svg.rect(
            if right { "f1" } else { "f2" },
            (x + 0.5, y + 0.5),
            (width - 1.0, height - 1.0),
            opacity,
        );
    }
    if count == 0 && width < 30.0 {
        return;
    }
    let class = if share > 0.45 {
        "on"
    } else if count == 0 {
        "soft"
    } else {
        ""
    };
    let text = grouped(count as f64, 0);
    let size = (TEXT * (width - 3.0) / text_width(&text, TEXT)).clamp(6.0, TEXT);
    let middle = x + width / 2.0;
    let percent = format!("{:.1} %", 100.0 * share);
    if height >= 32.0 && count > 0 && text_width(&percent, 9.0) <= width - 2.0 {
        svg.text(class, (middle, y + height / 2.0 - 1.0), (size, Anchor::Middle), &text);
        svg.text(class, (middle, y + height / 2.0 + 11.0), (9.0, Anchor::Middle), &percent);
    } else {
        svg.text(class, (middle, y + height / 2.0 + size / 3.0), (size, Anchor::Middle), &text);
    }
}

/// Bars of the most frequent confusions.
fn worst_pairs(classes: &[String], counts: &[Vec<u64>], weighted: bool) -> Picture {
    let mut pairs: Vec<(usize, usize, u64)> = Vec::new();
    for (row, cells) in counts.iter().enumerate() {
        let wrong = cells.iter().enumerate().filter(|&(column, &count)| column != row && count > 0);
        pairs.extend(wrong.map(|(column, &count)| (row, column, count)));
    }
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.2), pair.0, pair.1));
    let all = pairs.len();
    pairs.truncate(WORST);
    let (_, _, told) = right_text(counts);
    let shown = format!("true class → predicted class, {} of {all} pairs that occur", pairs.len());
    let about = format!("Most frequent confusions among {} classes: {told}.", classes.len());
    let texts = Captions {
        name: "confusion".into(),
        title: "Most frequent confusions".into(),
        below: with_remark(vec![told, shown], weighted),
        about,
    };
    let most = pairs.first().map_or(1, |pair| pair.2);
    let bars = pairs.iter().map(|&(row, column, count)| {
        let sum: u64 = counts[row].iter().sum();
        let text = format!("{count} of {}", grouped(sum as f64, 0));
        (format!("{} → {}", classes[row], classes[column]), count as f64 / most as f64, text)
    });
    named_bars(texts, &bars.collect::<Vec<_>>(), 1)
}

/// Draws bars with names before them and texts after them; lengths from 0 to 1.
pub(super) fn named_bars(
    texts: Captions,
    bars: &[(String, f64, String)],
    colour: usize,
) -> Picture {
    let mut svg = Svg::default();
    let top = head(&mut svg, &texts, &[]) + 4.0;
    let widest = bars.iter().map(|it| text_width(&it.0, TEXT)).fold(0.0, f64::max).min(210.0);
    let after = bars.iter().map(|it| text_width(&it.2, TEXT)).fold(0.0, f64::max);
    let left = 12.0 + widest + 8.0;
    let room = (WIDTH - 12.0 - left - after - 6.0).max(30.0);
    let step = 21.0;
    for (at, (name, length, text)) in bars.iter().enumerate() {
        let y = top + at as f64 * step;
        svg.text("", (left - 6.0, y + 13.0), (TEXT, Anchor::End), &fit(name, TEXT, widest));
        svg.rect(&fill(colour), (left, y + 2.0), ((length * room).max(1.0), step - 6.0), 1.0);
        let x = left + (length * room).max(1.0) + 5.0;
        svg.text("soft", (x, y + 13.0), (TEXT, Anchor::Start), text);
    }
    let height = top + bars.len() as f64 * step + 12.0;
    svg.finish(&texts.name, &texts.title, texts.about, height)
}

/// A curve of how well the scores of a class rank its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankCurve {
    /// Name of the class.
    pub class: String,
    /// Points from the highest threshold to the lowest, both from 0 to 1.
    pub points: Vec<(f64, f64)>,
    /// Area below the curve, or average precision; `None` where it is not defined.
    pub figure: Option<f64>,
}

/// Kind of targets that curves and bars are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassesOrLabels {
    /// Classes, of which each row has one.
    Classes,
    /// Labels, each of which a row has or has not.
    Labels,
}

impl ClassesOrLabels {
    /// Word for one of them.
    fn word(self) -> &'static str {
        match self {
            Self::Classes => "class",
            Self::Labels => "label",
        }
    }
}

/// Draws ROC curves: share of the class's rows that are found, by the share of other rows that are taken for it.
pub fn roc(curves: &[RankCurve], of: ClassesOrLabels) -> Picture {
    let texts =
        |below, about| Captions { name: "roc".into(), title: "ROC curve".into(), below, about };
    let labels = ("false positive rate", "true positive rate");
    rank_curves((curves, of), texts, labels, "area", |frame| {
        frame.segment("mark", (0.0, 0.0), (1.0, 1.0));
    })
}

/// Draws precision-recall curves: the share of rows taken for the class that are of it, by the share of its rows that are found.
pub fn precision_recall(curves: &[RankCurve], of: ClassesOrLabels) -> Picture {
    let (name, title) = ("precision-recall", "Precision and recall");
    let texts = |below, about| Captions { name: name.into(), title: title.into(), below, about };
    rank_curves((curves, of), texts, ("recall", "precision"), "average precision", |_| {})
}

fn rank_curves(
    (curves, of): (&[RankCurve], ClassesOrLabels),
    texts: impl Fn(Vec<String>, String) -> Captions,
    (x_label, y_label): (&str, &str),
    figure: &str,
    behind: impl Fn(&mut Frame),
) -> Picture {
    let told = |curve: &RankCurve| {
        let value = curve.figure.map_or("–".to_string(), |value| format!("{value:.4}"));
        format!("{} {value}", curve.class)
    };
    let below = match (curves.len(), of) {
        (1, ClassesOrLabels::Classes) => format!("of class {}, the positive one", curves[0].class),
        (1, ClassesOrLabels::Labels) => format!("of label {}", curves[0].class),
        (_, ClassesOrLabels::Classes) => "each class against all others".to_string(),
        (_, ClassesOrLabels::Labels) => "each label by itself".to_string(),
    };
    let all: Vec<String> = curves.iter().map(told).collect();
    let about = format!("{y_label} by {x_label}; {figure}: {}.", all.join(", "));
    let legend: Vec<(Key, String)> =
        all.into_iter().enumerate().map(|(at, text)| (Key::Line(at), text)).collect();
    let texts = texts(vec![format!("{below}; number: {figure}")], about);
    let scale = Scale::between(-0.01, 1.01);
    let mut frame = Frame::of_height(texts, &legend, (scale, x_label), (scale, y_label), 290.0);
    behind(&mut frame);
    for (colour, curve) in curves.iter().enumerate() {
        // After eight colours lines are thinner, so that two of one colour differ.
        let class = format!("{}{}", stroke(colour), if colour >= 8 { " thin" } else { "" });
        frame.curve(&class, &curve.points);
    }
    frame.finish()
}

/// Predictions of about the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CalibrationBin {
    /// Mean confidence: the largest probability of a row.
    pub confidence: f64,
    /// Share of rows that are right.
    pub accuracy: f64,
    /// Total weight of the rows.
    pub weight: f64,
}

/// Draws how often predictions are right by how sure they are. On the dashed line they are right as often as they say. Of several
/// labels the bins hold the rows of all, and the error is the mean of the labels' own.
pub fn calibration(bins: &[CalibrationBin], error: Option<f64>, labels: usize) -> Picture {
    let error = error.map_or("–".to_string(), |error| format!("{error:.4}"));
    let about =
        format!("Share of right predictions by their confidence; calibration error {error}.");
    let mean = match labels {
        0 | 1 => "mean distance from the dashed line".to_string(),
        _ => format!("mean of {labels} labels, each by itself"),
    };
    let below = vec![
        format!("calibration error {error} ({mean})"),
        format!(
            "a larger dot stands for more rows{}",
            if labels > 1 { " of all labels together" } else { "" }
        ),
    ];
    let (name, title) = ("calibration".into(), "Calibration".into());
    let texts = Captions { name, title, below, about };
    let scale = Scale::between(-0.02, 1.02);
    let axes = ((scale, "confidence (mean of the rows)"), (scale, "share of rows that are right"));
    let mut frame = Frame::of_height(texts, &[], axes.0, axes.1, 290.0);
    frame.segment("mark", (0.0, 0.0), (1.0, 1.0));
    let filled = || bins.iter().filter(|bin| bin.weight > 0.0);
    let points: Vec<(f64, f64)> = filled().map(|bin| (bin.confidence, bin.accuracy)).collect();
    frame.curve(&stroke(0), &points);
    let most = filled().map(|bin| bin.weight).fold(0.0, f64::max);
    for bin in filled() {
        if let Some(at) = frame.point((bin.confidence, bin.accuracy)) {
            let radius = 3.0 + 6.0 * (bin.weight / most).sqrt();
            frame.svg.circle(&fill(0), at, radius, 0.9);
        }
    }
    frame.finish()
}

/// Draws figures of classes, such as F1, as bars; `figures` from 0 to 1. At most 30, the least ones.
pub fn class_figures(figure: &str, figures: &[(String, f64)], of: ClassesOrLabels) -> Picture {
    const MOST: usize = 30;
    let mut bars: Vec<&(String, f64)> = figures.iter().collect();
    let mut below = vec![format!("{figure} of each {}, from 0 to 1", of.word())];
    if bars.len() > MOST {
        bars.sort_by(|a, b| a.1.total_cmp(&b.1));
        bars.truncate(MOST);
        below = vec![format!("the {MOST} least of {}", figures.len())];
    }
    let plural = if of == ClassesOrLabels::Classes { "classes" } else { "labels" };
    let about = format!("{figure} of {} {plural}.", figures.len());
    let (name, title) = ("class-figures".into(), format!("{figure} by class"));
    let texts = Captions { name, title, below, about };
    let bars: Vec<_> =
        bars.into_iter().map(|(name, value)| (name.clone(), *value, few_digits(*value))).collect();
    named_bars(texts, &bars, 0)
}
