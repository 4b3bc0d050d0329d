//! All figures of a table at once, for `wgrad evaluate`.

use std::fmt;

use super::classes::ClassFigures;
use super::compensated_sum::CompensatedSum;
use super::rows::Counted;
use super::{Metric, Metrics, ScoredRows, TableFigures};
use crate::data::{Positive, Preprocessing, TargetKind, Targets, list};
use crate::error::Result;
use crate::graph::Loss;
use crate::train::{Criterion, TrainedModel};

/// Classes of which it is counted which was taken for which, at most: the counts grow with their square.
const COUNTED: usize = 256;
/// Classes of which a text shows the whole table of which was taken for which.
const SHOWN: usize = 20;

/// How well predictions fit, in all known ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The usual figures and all others that suit the targets.
    pub metrics: Metrics,
    /// The positive class of a target of two classes, and of each label.
    pub positive: Vec<Positive>,
    /// Names and figures of the classes; none where targets are numbers.
    pub classes: Vec<(String, ClassFigures)>,
    /// Number of rows of each class that were taken for each, whatever they weigh; a list for each true class; `None` for more
    /// than 256 classes.
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// Figures of a table that comes in parts, in the order of its rows: the same bits, whatever the parts. Memory does not grow
/// with the rows.
#[derive(Debug)]
pub struct StreamingEvaluator {
    criterion: Criterion,
    preparation: Preprocessing,
    rows: usize,
    losses: CompensatedSum,
    weight: CompensatedSum,
    figures: TableFigures,
    confusion: Option<Vec<Vec<u64>>>,
}

impl StreamingEvaluator {
    /// Of nothing yet.
    pub fn new(trained: &TrainedModel) -> Self {
        let (criterion, preparation) = (&trained.criterion, &trained.preparation);
        let (usual, classes): (&[Metric], usize) = match &preparation.schema.kind {
            TargetKind::Classes(names) => (&[Metric::Accuracy], names.len()),
            // A label is a choice between two.
            TargetKind::Labels(_) => (&[Metric::Accuracy], 2),
            TargetKind::Number | TargetKind::Numbers(_) => {
                (&[Metric::R2, Metric::Mae, Metric::Rmse], 0)
            }
        };
        let mut asked = [usual, &Metric::suiting(classes)].concat();
        if matches!(criterion.loss, Loss::GaussianNll { .. } | Loss::Pinball(_)) {
            asked.push(Metric::Coverage);
        }
        asked.retain(|metric| metric.without_rows(&criterion.loss).is_none());
        if preparation.schema.targets().len() > 1 {
            // Of which label?
            asked.retain(|metric| !metric.of_positive());
        }
        let lists_classes = matches!(&preparation.schema.kind, TargetKind::Classes(names) if names.len() <= COUNTED);
        Self {
            criterion: criterion.clone(),
            preparation: preparation.clone(),
            rows: 0,
            losses: CompensatedSum::default(),
            weight: CompensatedSum::default(),
            figures: TableFigures::new(asked),
            confusion: lists_classes.then(|| vec![vec![0; classes]; classes]),
        }
    }

    /// Adds raw outputs `[rows, outputs]`, targets as they stand in the table, and weights.
    ///
    /// # Errors
    /// If a temporary file cannot be written.
    pub fn add(&mut self, outputs: &[f32], targets: (&Targets, Option<&[f64]>)) -> Result<()> {
        let rows = Counted::of(outputs, targets);
        if rows.rows() == 0 {
            return Ok(());
        }
        let Self { criterion, preparation, .. } = self;
        let weighted = (&*rows.targets, rows.raw_weights.as_deref());
        let losses = criterion.losses(&rows.outputs, weighted, preparation).0;
        losses.into_iter().for_each(|loss| self.losses.add(loss));
        match criterion.row_weights(weighted.0, weighted.1) {
            Some(weights) => weights.into_iter().for_each(|weight| self.weight.add(weight)),
            None => self.weight.add(rows.rows() as f64),
        }
        self.rows += rows.rows();
        let outcomes = ScoredRows::of_counted(&rows, preparation, &criterion.loss);
        if let (Some(counts), ScoredRows::Classes { truth, best, .. }) =
            (&mut self.confusion, &outcomes)
        {
            for (&y, &p) in truth.iter().zip(best) {
                counts[y as usize][p as usize] += 1;
            }
        }
        self.figures.add(&outcomes)
    }

    /// All figures of all parts.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn finish(self) -> Result<Evaluation> {
        let names: &[String] = match &self.preparation.schema.kind {
            TargetKind::Classes(names) => names,
            _ => &[],
        };
        let figures = self.figures.classes();
        let classes = names.iter().cloned().zip(figures).collect();
        // Scores of hinge losses are ranked, but they are no probabilities.
        let scores = self.criterion.loss.gives_scores();
        let mut metrics = Metrics {
            rows: self.rows,
            loss: self.losses.value() / self.criterion.divisor(self.weight.value()),
            ..Metrics::default()
        };
        for (metric, value) in self.figures.finish()? {
            match metric {
                Metric::Accuracy => metrics.accuracy = value,
                Metric::R2 => metrics.r2 = value,
                Metric::Mae => metrics.mae = value,
                Metric::Rmse => metrics.rmse = value,
                _ => {
                    let told = !(scores && metric.of_probabilities());
                    metrics.asked.push((metric, value.filter(|_| told)));
                }
            }
        }
        let positive = self.preparation.schema.positives();
        Ok(Evaluation { metrics, positive, classes, confusion: self.confusion })
    }
}

/// A name without line ends.
fn one_line(name: &str) -> String {
    name.replace('\r', "\\r").replace('\n', "\\n")
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Metrics that were asked for are listed below, one a line, so they are left out of the first line.
        write!(f, "{}", Metrics { asked: Vec::new(), ..self.metrics.clone() })?;
        let names =
            |of: fn(&Positive) -> &String| list(&self.positive.iter().map(of).collect::<Vec<_>>());
        match self.positive.len() {
            0 => {}
            1 => write!(f, "\n  the positive class is {}", names(|it| &it.class))?,
            _ => {
                let (columns, classes) = (names(|it| &it.column), names(|it| &it.class));
                write!(f, "\n  the positive classes of {columns} are {classes}")?;
            }
        }
        for (metric, value) in &self.metrics.asked {
            // A metric without a value keeps its line, so that a reader sees that it was computed.
            match value {
                Some(value) => {
                    write!(f, "\n  {:<24}{:>10}", metric.to_string(), metric.shown(*value))?
                }
                None => write!(f, "\n  {:<24}{:>10}", metric.to_string(), "-")?,
            }
        }
        if self.classes.is_empty() {
            return Ok(());
        }
        // Each class has a line of its own, whatever its name contains.
        let names: Vec<String> = self.classes.iter().map(|(name, _)| one_line(name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let width = width.clamp(5, 24);
        // Weights are shown only if they differ from the numbers of rows.
        let weighted = self.classes.iter().any(|(_, class)| class.weight != class.rows as f64);
        let weight = |text: String| if weighted { format!("  {text:>11}") } else { String::new() };
        write!(
            f,
            "\n\n  {:<width$}  {:>9}  {:>9}  {:>9}  {:>9}{}",
            "class",
            "precision",
            "recall",
            "f1",
            "rows",
            weight("weight".into())
        )?;
        // Long names are cut, so that the columns stay aligned.
        for (name, (_, class)) in names.iter().zip(&self.classes) {
            let ClassFigures { precision, recall, f1, rows, .. } = class;
            let name: String = name.chars().take(width).collect();
            let weight = weight(format!("{:.4}", class.weight));
            write!(
                f,
                "\n  {name:<width$}  {precision:>9.4}  {recall:>9.4}  {f1:>9.4}  {rows:>9}{weight}"
            )?;
        }
        // A large confusion matrix would not fit a terminal.
        let Some(confusion) = self.confusion.as_ref().filter(|rows| rows.len() <= SHOWN) else {
            return Ok(());
        };
        // As wide as the largest count or class number needs.
        let most = confusion.iter().flatten().max().copied().unwrap_or(0);
        let cell = most.to_string().len().max(self.classes.len().to_string().len()) + 2;
        write!(
            f,
            "\n\n  rows of each class{}, by the class they were taken for (in the same order)",
            if weighted { ", whatever they weigh" } else { "" }
        )?;
        for (name, counts) in names.iter().zip(confusion) {
            let name: String = name.chars().take(width).collect();
            write!(f, "\n  {name:<width$}")?;
            for count in counts {
                write!(f, "{count:>cell$}")?;
            }
        }
        Ok(())
    }
}
