//! All figures of a table at once, for `wgrad evaluate`.

use std::fmt;

use super::classes::{ClassFigures, confusion};
use super::{Metric, Metrics, Outcomes};
use crate::data::{Preparation, TargetKind, Targets};
use crate::graph::Loss;
use crate::train::Criterion;

/// Classes of which it is counted which was taken for which, at most: the counts grow with their square.
const COUNTED: usize = 256;
/// Classes of which a text shows the whole table of which was taken for which.
const SHOWN: usize = 20;

/// How well predictions fit, in all known ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The usual figures and all others that suit the targets.
    pub metrics: Metrics,
    /// Names and figures of the classes; none where targets are numbers.
    pub classes: Vec<(String, ClassFigures)>,
    /// How often each class was taken for each, a list for each true class; `None` for more than 256.
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Evaluation {
    /// All figures of raw outputs `[rows, outputs]` against targets as they stand in the table.
    pub fn of(
        criterion: &Criterion,
        outputs: &[f32],
        (targets, weights): (&Targets, Option<&[f32]>),
        preparation: &Preparation,
    ) -> Self {
        let (names, classes): (&[String], usize) = match &preparation.schema.kind {
            TargetKind::Classes(names) => (names, names.len()),
            // A label is a choice between two.
            TargetKind::Labels(_) => (&[], 2),
            TargetKind::Number | TargetKind::Numbers(_) => (&[], 0),
        };
        let (mut suiting, how) = (Metric::suiting(classes), (preparation, criterion.loss));
        if matches!(criterion.loss, Loss::GaussianNll { .. } | Loss::Pinball(_)) {
            suiting.push(Metric::Coverage);
        }
        let metrics = Metrics::under(criterion, outputs, (targets, weights), preparation);
        let metrics = metrics.with(&suiting, outputs, targets, how);
        let (figures, confusion) = match Outcomes::of(outputs, targets, preparation, how.1) {
            Outcomes::Classes { truth, best, tally, .. } => {
                let counted = names.len() <= COUNTED;
                (tally.figures(), counted.then(|| confusion(&truth, &best, names.len())))
            }
            Outcomes::Numbers { .. } | Outcomes::Columns { .. } => (Vec::new(), None),
        };
        let classes = names.iter().cloned().zip(figures).collect();
        Self { metrics, classes, confusion }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Metrics { asked: Vec::new(), ..self.metrics.clone() })?;
        for (metric, value) in &self.metrics.asked {
            match value {
                Some(value) => write!(f, "\n  {:<24}{value:>10.4}", metric.to_string())?,
                None => write!(f, "\n  {:<24}{:>10}", metric.to_string(), "-")?,
            }
        }
        if self.classes.is_empty() {
            return Ok(());
        }
        let width = self.classes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = width.clamp(5, 24);
        write!(
            f,
            "\n\n  {:<width$}  {:>9}  {:>9}  {:>9}  {:>9}",
            "class", "precision", "recall", "f1", "rows"
        )?;
        for (name, class) in &self.classes {
            let ClassFigures { precision, recall, f1, rows, .. } = class;
            let name: String = name.chars().take(width).collect();
            write!(f, "\n  {name:<width$}  {precision:>9.4}  {recall:>9.4}  {f1:>9.4}  {rows:>9}")?;
        }
        let Some(confusion) = self.confusion.as_ref().filter(|rows| rows.len() <= SHOWN) else {
            return Ok(());
        };
        let most = confusion.iter().flatten().max().copied().unwrap_or(0);
        let cell = most.to_string().len().max(self.classes.len().to_string().len()) + 2;
        write!(
            f,
            "\n\n  rows of each class, by the class they were taken for (in the same order)"
        )?;
        for ((name, _), counts) in self.classes.iter().zip(confusion) {
            let name: String = name.chars().take(width).collect();
            write!(f, "\n  {name:<width$}")?;
            for count in counts {
                write!(f, "{count:>cell$}")?;
            }
        }
        Ok(())
    }
}
