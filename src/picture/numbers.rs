//! Pictures of predicted numbers: against the actual ones, residuals, intervals.

use super::frame::{Captions, Frame, Key, fill, stroke};
use super::scale::{Scale, few_digits, grouped, range};
use super::svg::Picture;

/// Points up to which each is drawn; of more, their density is.
const POINTS: usize = 1500;
/// Cells of a density along either axis.
const CELLS: (usize, usize) = (60, 34);
/// Rows whose intervals are drawn.
const INTERVALS: usize = 150;

/// Figures of predicted numbers to put into a picture's texts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NumberFigures {
    /// Share of the variance that is explained.
    pub r2: Option<f64>,
    /// Root of the mean squared error.
    pub rmse: Option<f64>,
}

impl NumberFigures {
    fn text(&self) -> String {
        let figure =
            |name: &str, value: Option<f64>| value.map(|it| format!("{name} {}", few_digits(it)));
        let all = [figure("R²", self.r2), figure("RMSE", self.rmse)];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Draws predicted numbers by actual ones; on the dashed line both are equal. Of more than 1,500 rows the density is drawn.
pub fn predicted_actual(
    target: &str,
    truth: &[f64],
    predicted: &[f64],
    figures: NumberFigures,
) -> Picture {
    let both = || truth.iter().chain(predicted).copied();
    let (scale, ends) = (Scale::around(both()), range(both()));
    let (rows, told) = (grouped(truth.len() as f64, 0), figures.text());
    let about = format!("Predicted {target} by actual {target} of {rows} rows; {told}.");
    let texts = Captions {
        name: "predicted-actual".into(),
        title: format!("Predicted and actual {target}"),
        below: vec![told, density_text(truth.len())],
        about,
    };
    let axes = ((scale, format!("actual {target}")), (scale, format!("predicted {target}")));
    let mut frame =
        Frame::of_height(texts, &[], (axes.0.0, &axes.0.1), (axes.1.0, &axes.1.1), 290.0);
    points(&mut frame, truth, predicted);
    if let Some((low, high)) = ends {
        frame.segment("mark", (low, low), (high, high));
    }
    frame.finish()
}

/// Draws residuals, predicted less actual, by the prediction; of more than 1,500 rows their density. Their mean is by the weights of
/// the rows, if they have any.
pub fn residuals(
    target: &str,
    truth: &[f64],
    predicted: &[f64],
    weights: Option<&[f64]>,
) -> Picture {
    let residuals: Vec<f64> = truth.iter().zip(predicted).map(|(y, p)| p - y).collect();
    let mean = match weights {
        Some(weights) => {
            let sum: f64 = residuals.iter().zip(weights).map(|(it, weight)| it * weight).sum();
            let weight: f64 = weights.iter().sum();
            if weight > 0.0 { sum / weight } else { 0.0 }
        }
        None => residuals.iter().sum::<f64>() / residuals.len().max(1) as f64,
    };
    let (x, y) = (
        Scale::around(predicted.iter().copied()),
        Scale::around(residuals.iter().copied().chain([0.0])),
    );
    let told = format!(
        "predicted less actual; {} {}",
        if weights.is_some() { "weighted mean" } else { "mean" },
        few_digits(mean)
    );
    let about = format!("Residuals of {target} by prediction, {told}.");
    let texts = Captions {
        name: "residuals".into(),
        title: format!("Residuals of {target}"),
        below: vec![told, density_text(truth.len())],
        about,
    };
    let label = format!("predicted {target}");
    let mut frame = Frame::new(texts, &[], (x, &label), (y, "residual"));
    points(&mut frame, predicted, &residuals);
    if let (Some(zero), [left, _, right, _]) = (frame.y.at(0.0), frame.field) {
        frame.svg.line("mark", (left, zero), (right, zero));
    }
    frame.finish()
}

fn density_text(rows: usize) -> String {
    let text = grouped(rows as f64, 0);
    match rows > POINTS {
        true => format!("{text} rows; a darker cell holds more (by the logarithm of their number)"),
        false => format!("{text} rows, a dot each"),
    }
}

/// Draws points, or their density.
fn points(frame: &mut Frame, x: &[f64], y: &[f64]) {
    let places: Vec<(f64, f64)> =
        x.iter().zip(y).filter_map(|(&x, &y)| frame.point((x, y))).collect();
    if x.len() <= POINTS {
        frame.svg.dots("dots l1", &places);
        return;
    }
    let [left, top, right, bottom] = frame.field;
    let (width, height) = ((right - left) / CELLS.0 as f64, (bottom - top) / CELLS.1 as f64);
    let mut counts = vec![0_u32; CELLS.0 * CELLS.1];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "inside of the field"
    )]
    for (x, y) in places {
        let column = (((x - left) / width) as usize).min(CELLS.0 - 1);
        let row = (((y - top) / height) as usize).min(CELLS.1 - 1);
        counts[row * CELLS.0 + column] += 1;
    }
    let most = f64::from(counts.iter().max().copied().unwrap_or(0)).ln_1p();
    for (cell, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (row, column) = (cell / CELLS.0, cell % CELLS.0);
        let at = (left + column as f64 * width, top + row as f64 * height);
        let opacity = 0.12 + 0.88 * f64::from(count).ln_1p() / most;
        frame.svg.rect(&fill(0), at, (width, height), opacity);
    }
}

/// Intervals of rows with the numbers that they should hold.
#[derive(Clone, Copy, Debug)]
pub struct Intervals<'a> {
    /// Actual number of each row.
    pub truth: &'a [f64],
    /// Lower end of each row's interval.
    pub low: &'a [f64],
    /// The one prediction of each row, if there is one.
    pub middle: Option<&'a [f64]>,
    /// Upper end of each row's interval.
    pub high: &'a [f64],
    /// Share of rows that the intervals should hold, from 0 to 1.
    pub nominal: f64,
    /// Share that they hold.
    pub coverage: Option<f64>,
}

/// Draws intervals of rows in the order of their predictions, and the actual numbers. Of more than 150 rows, as many evenly chosen.
pub fn intervals(target: &str, rows: Intervals<'_>) -> Picture {
    let mut order: Vec<usize> = (0..rows.truth.len()).collect();
    let along = rows.middle.unwrap_or(rows.low);
    order.sort_by(|&a, &b| along[a].total_cmp(&along[b]).then(a.cmp(&b)));
    let stride = order.len().div_ceil(INTERVALS).max(1);
    let shown: Vec<usize> = order.iter().copied().step_by(stride).collect();
    let values = || shown.iter().flat_map(|&row| [rows.truth[row], rows.low[row], rows.high[row]]);
    let (x, y) = (Scale::between(-1.0, shown.len().max(1) as f64), Scale::around(values()));
    let held = rows.coverage.map_or("–".to_string(), |it| format!("{:.1} %", 100.0 * it));
    let told =
        format!("intervals of {} % hold {held} of the rows", few_digits(100.0 * rows.nominal));
    let mut below = vec![told.clone()];
    if stride > 1 {
        below.push(format!("{} of {} rows are drawn", shown.len(), grouped(order.len() as f64, 0)));
    }
    let about = format!("Predicted intervals of {target} and actual numbers: {told}.");
    let (name, title) = ("intervals".into(), format!("Intervals of {target}"));
    let texts = Captions { name, title, below, about };
    let mut legend =
        vec![(Key::Line(5), "interval".to_string()), (Key::Dot(1), "actual".to_string())];
    let mut label = "rows in the order of their lower ends";
    if rows.middle.is_some() {
        legend.insert(1, (Key::Line(0), "prediction".to_string()));
        label = "rows in the order of their predictions";
    }
    let mut frame = Frame::new(texts, &legend, (x, label), (y, target));
    let place =
        |frame: &Frame, at: usize, value: f64| Some((frame.x.at(at as f64)?, frame.y.at(value)?));
    for (at, &row) in shown.iter().enumerate() {
        let ends = (place(&frame, at, rows.low[row]), place(&frame, at, rows.high[row]));
        if let (Some(low), Some(high)) = ends {
            frame.svg.line(&stroke(5), low, high);
        }
    }
    if let Some(middle) = rows.middle {
        let places = shown.iter().enumerate();
        let middle: Vec<(f64, f64)> = places.map(|(at, &row)| (at as f64, middle[row])).collect();
        frame.curve(&stroke(0), &middle);
    }
    for (at, &row) in shown.iter().enumerate() {
        if let Some(at) = place(&frame, at, rows.truth[row]) {
            frame.svg.circle(&fill(1), at, 2.2, 0.9);
        }
    }
    frame.finish()
}

/// Draws the share of rows below each predicted quantile by the share that should be; on the dashed line both are equal. Points are
/// (nominal share, share of rows).
pub fn quantile_coverage(target: &str, points: &[(f64, f64)]) -> Picture {
    let told: Vec<String> = points
        .iter()
        .map(|(nominal, share)| {
            format!("{} % below {}", few_digits(100.0 * share), few_digits(*nominal))
        })
        .collect();
    let about = format!("Share of rows below each quantile of {target}: {}.", told.join(", "));
    let texts = Captions {
        name: "quantiles".into(),
        title: format!("Quantiles of {target}"),
        below: vec![told.join(", ")],
        about,
    };
    let scale = Scale::between(-0.02, 1.02);
    let axes = ((scale, "predicted quantile"), (scale, "share of rows below it"));
    let mut frame = Frame::new(texts, &[], axes.0, axes.1);
    frame.segment("mark", (0.0, 0.0), (1.0, 1.0));
    frame.curve(&stroke(0), points);
    for &point in points {
        if let Some(at) = frame.point(point) {
            frame.svg.circle(&fill(0), at, 4.5, 1.0);
        }
    }
    frame.finish()
}
