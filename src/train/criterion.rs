//! Criterion of a run over a table: its loss, with the weights of rows, classes and binary columns.
//!
//! In: options and training rows. Out: the graph's objective, the constants that its kernel reads, the divisor of a step,
//! and the same loss on the host in f64.
//! Absent on purpose: other figures, which `metrics` has.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::data::{Dataset, Preprocessing, TargetKind, Targets, list};
use crate::device::cpu::loss::{LossInputs, LossTargets, loss_classes, loss_map};
use crate::error::{Error, Result};
use crate::graph::{ClassLoss, Loss, Reduction, RequiredTarget};
use crate::plan::{LossVariant, StepParams};
use crate::shape::narrow;

use super::TrainOptions;

/// Rows whose losses are computed at once. Tests have small tables, and should have several blocks of rows.
const ROWS_AT_ONCE: usize = if cfg!(test) { 7 } else { 1 << 14 };

/// Weight of each class, or of the yes of each label.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeights {
    /// The same weight for all.
    #[default]
    None,
    /// Rows / (classes · rows of the class), as scikit-learn's "balanced"; for labels rows of no / rows of yes. Rows count by their
    /// weights.
    Balanced,
    /// Weights by name; 1 for names that are not given.
    Of(Vec<(String, f64)>),
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Balanced => f.write_str("balanced"),
            Self::Of(weights) => {
                let parts: Vec<_> =
                    weights.iter().map(|(name, w)| format!("{}={w}", quoted(name))).collect();
                f.write_str(&parts.join(","))
            }
        }
    }
}

impl FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |problem: String| Err(Error::setting("class_weights", problem));
        match text.trim() {
            "none" => return Ok(Self::None),
            "balanced" => return Ok(Self::Balanced),
            _ => {}
        }
        let mut weights: Vec<(String, f64)> = Vec::new();
        // Read from left to right, since a quoted name may have commas in it.
        let mut left = text;
        loop {
            let Some((name, weight, rest)) = next_weight(left) else {
                // The message shows the part at fault, which for an open quote is everything that is left.
                let part = if left.trim_start().starts_with('"') {
                    left
                } else {
                    left.split(',').next().unwrap_or(left)
                };
                return refuse(format!(
                    "\"{part}\" is no class with its weight; write balanced, none, or weights such as a=2,b=1, with quotes around a \
                     name that has a comma in it: \"late, very\"=2"
                ));
            };
            weights.push((name, weight));
            match rest {
                Some(rest) => left = rest,
                None => return Self::of(weights),
            }
        }
    }
}

impl ClassWeights {
    /// Takes weights of classes by name.
    ///
    /// # Errors
    /// If a weight is negative or not finite, or a name comes twice.
    pub fn of(weights: Vec<(String, f64)>) -> Result<Self> {
        let refuse = |problem: String| Err(Error::setting("class_weights", problem));
        for (index, (name, weight)) in weights.iter().enumerate() {
            if !(weight.is_finite() && *weight >= 0.0) {
                return refuse(format!("{weight} for {name}, but a weight must be 0 or more"));
            }
            if weights[..index].iter().any(|(other, _)| other == name) {
                return refuse(format!("{name} is given twice"));
            }
        }
        Ok(Self::Of(weights))
    }
}

/// Returns a name as `--class-weights` reads it: in quotes, if a character in it has a meaning there.
fn quoted(name: &str) -> String {
    let plain = !name.contains([',', '"']) && name.trim() == name && !name.is_empty();
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Returns the first class with its weight, and the text after the comma.
fn next_weight(text: &str) -> Option<(String, f64, Option<&str>)> {
    let text = text.trim_start();
    let (name, rest) = match text.strip_prefix('"') {
        Some(inner) => {
            // A doubled quote is a quote in the name; a single one ends it.
            let mut end = inner.find('"')?;
            while inner[end + 1..].starts_with('"') {
                end += 2 + inner[end + 2..].find('"')?;
            }
            let rest = inner[end + 1..].trim_start().strip_prefix('=')?;
            (inner[..end].replace("\"\"", "\""), rest)
        }
        None => {
            let part = text.split(',').next()?;
            // The last equals sign, since a name may contain others.
            let sign = part.rfind('=')?;
            (part[..sign].trim().to_string(), &text[sign + 1..])
        }
    };
    let (weight, rest) = match rest.split_once(',') {
        Some((weight, rest)) => (weight, Some(rest)),
        None => (rest, None),
    };
    Some((name, weight.trim().parse().ok()?, rest))
}

/// A loss with everything that the training rows add to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// The loss.
    pub loss: Loss,
    /// Reduction of the rows' losses.
    pub reduction: Reduction,
    /// Weight of each class, or the positive weight of each label; empty if all weigh the same.
    pub class_weights: Vec<f32>,
    /// Factor of the loss's label smoothing in [`Self::value`]: the one at the end of its schedule, so that epochs compare.
    pub final_smoothing: f64,
}

impl From<Loss> for Criterion {
    fn from(loss: Loss) -> Self {
        Self { loss, reduction: Reduction::Mean, class_weights: Vec::new(), final_smoothing: 1.0 }
    }
}

impl Criterion {
    /// Finds the weights of classes and checks that the loss fits the targets.
    ///
    /// # Errors
    /// If the loss does not fit, or a name is not a class; the message says what would fit.
    pub fn of(options: &TrainOptions, train: &Dataset) -> Result<Self> {
        let TrainOptions { loss, reduction, class_weights: weights, .. } = options;
        let reduction = *reduction;
        let kind = &train.schema().kind;
        if !loss.fits(kind) {
            return Err(Error::setting("loss", misfit(loss, kind)));
        }
        check_values(loss, train)?;
        // Weights are given by class, or by label, whose names are those of the columns.
        let names: Vec<&str> = match kind {
            TargetKind::Classes(labels) => labels.iter().map(String::as_str).collect(),
            TargetKind::Labels(labels) => labels.iter().map(|it| it.column.as_str()).collect(),
            TargetKind::Number | TargetKind::Numbers(_) => vec![],
        };
        if *weights != ClassWeights::None && names.is_empty() {
            let problem = format!("{weights}, but the target is no class; use ‘weight’ for rows");
            return Err(Error::setting("class_weights", problem));
        }
        let class_weights = match weights {
            ClassWeights::None => vec![],
            ClassWeights::Balanced => balanced(train, names.len()),
            ClassWeights::Of(given) => {
                if let Some((name, _)) = given.iter().find(|(name, _)| !names.contains(&&**name)) {
                    let problem =
                        format!("{name} is none of the classes {}; correct its name", list(&names));
                    return Err(Error::setting("class_weights", problem));
                }
                let of = |name: &&str| given.iter().find(|(other, _)| other == name);
                #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
                names
                    .iter()
                    .map(|name| of(name).map_or(1.0, |(_, weight)| *weight as f32))
                    .collect()
            }
        };
        // Checked after the change to f32, in which the kernels read the weights.
        if class_weights.iter().any(|weight| !weight.is_finite()) {
            let problem = "a weight is too large for 32-bit floats; give smaller ones";
            return Err(Error::setting("class_weights", problem));
        }
        if !class_weights.is_empty() && class_weights.iter().all(|&weight| weight == 0.0) {
            let problem = "all of them are 0, so that there is nothing to learn";
            return Err(Error::setting("class_weights", problem));
        }
        Ok(Self { loss: loss.clone(), reduction, class_weights, final_smoothing: 1.0 })
    }

    /// Returns the constants that the loss's kernel reads.
    #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
    pub fn constants(&self) -> Vec<f32> {
        match &self.loss {
            Loss::Pinball(quantiles) => quantiles.as_slice().iter().map(|&q| q as f32).collect(),
            _ => self.class_weights.clone(),
        }
    }

    /// Returns the weight of each row in a mean: its own weight times that of its class. `None` if all rows weigh the same.
    pub(super) fn row_weights(&self, y: &Targets, weights: Option<&[f64]>) -> Option<Vec<f64>> {
        let classes = self.weights_of_classes(y);
        let own = || weights.map(<[f64]>::to_vec);
        let Some(mut rows) = classes else { return own() };
        rows.iter_mut().zip(weights.into_iter().flatten()).for_each(|(row, own)| *row *= own);
        Some(rows)
    }

    /// Returns the weight of each row's class; `None` if all classes weigh the same. A batch's mean is over these weights,
    /// as in PyTorch.
    pub(super) fn weights_of_classes(&self, y: &Targets) -> Option<Vec<f64>> {
        let Targets::Classes(classes) = y else { return None };
        let weight = |&class: &u32| f64::from(self.class_weights[class as usize]);
        (!self.class_weights.is_empty()).then(|| classes.iter().map(weight).collect())
    }

    /// Returns the weights of the training rows as steps take them; empty if all rows weigh the same. For a mean they are 1
    /// on average over the training rows, whatever batch a row comes in.
    #[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
    pub(super) fn step_weights(&self, train: &Dataset) -> Vec<f32> {
        let Some(weights) = train.weights() else { return Vec::new() };
        let classes = self.weights_of_classes(train.y());
        let class = |row: usize| classes.as_ref().map_or(1.0, |classes| classes[row]);
        // The mean over a batch divides by its classes' weights, so these enter the average too.
        let (mut rows, mut together) = (0.0, 0.0);
        for (row, weight) in weights.iter().enumerate() {
            rows += class(row);
            together += weight * class(row);
        }
        let mean = self.reduction == Reduction::Mean && together > 0.0;
        let factor = if mean { rows / together } else { 1.0 };
        weights.iter().map(|weight| (weight * factor) as f32).collect()
    }

    /// Returns the divisor for the losses of rows with this total weight; rows of weight 0 make no step.
    pub(super) fn divisor(&self, weight: f64) -> f64 {
        if self.reduction == Reduction::Sum || weight == 0.0 { 1.0 } else { weight }
    }

    /// Returns the loss of raw outputs `[rows, outputs]`, in f64. `y` and `weights` are in the units of the table.
    pub fn value(
        &self,
        outputs: &[f32],
        (y, weights): (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
    ) -> f64 {
        let mut sum: f64 = std::iter::empty::<f64>().sum();
        // In blocks, since losses, slopes and all their inputs in f64 take much memory.
        for first in (0..y.len()).step_by(ROWS_AT_ONCE) {
            let rows = first..y.len().min(first + ROWS_AT_ONCE);
            let losses = self.losses_of_rows(rows, outputs, (y, weights), preparation);
            losses.iter().for_each(|loss| sum += loss);
        }
        sum / self.divisor(self.total_weight(y, weights))
    }

    /// Returns the terms of [`Self::value`]: the losses of rows, each times its weight, and the total weight.
    pub(super) fn losses(
        &self,
        outputs: &[f32],
        (y, weights): (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
    ) -> (Vec<f64>, f64) {
        let losses = self.losses_of_rows(0..y.len(), outputs, (y, weights), preparation);
        (losses, self.total_weight(y, weights))
    }

    /// Returns the sum of the weights of rows, with those of their classes.
    fn total_weight(&self, y: &Targets, weights: Option<&[f64]>) -> f64 {
        self.row_weights(y, weights).map_or(y.len() as f64, |all| all.iter().sum())
    }

    /// Returns the loss with the label smoothing of the end of its schedule.
    pub(super) fn at_the_end(&self, loss: &Loss) -> Loss {
        match loss {
            Loss::Classes(it @ ClassLoss::CrossEntropy { .. }) => {
                Loss::Classes(it.times(self.final_smoothing))
            }
            other => other.clone(),
        }
    }

    /// Returns the losses of some rows, each times its weight.
    fn losses_of_rows(
        &self,
        rows: Range<usize>,
        outputs: &[f32],
        (y, weights): (&Targets, Option<&[f64]>),
        preparation: &Preprocessing,
    ) -> Vec<f64> {
        let all = y.len();
        let width = outputs.len() / all.max(1);
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let outputs = wide(&outputs[rows.start * width..rows.end * width]);
        let constants = match &self.loss {
            Loss::Pinball(quantiles) => quantiles.as_slice().to_vec(),
            _ => wide(&self.class_weights),
        };
        let extra = LossInputs {
            constants: Some(constants.as_slice()).filter(|constants| !constants.is_empty()),
            weights: weights.map(|weights| &weights[rows.clone()]),
            members: 1,
        };
        // With the number of all rows as the divisor, each row's loss stays as it is, whatever rows are computed with it.
        let step = StepParams { rows: narrow(all), ..StepParams::default() };
        let form = LossVariant {
            mean: self.reduction == Reduction::Mean,
            constants: extra.constants.is_some(),
            weights: weights.is_some(),
            scaled: false,
            members: 1,
        };
        // The kernel writes gradients as well, which nobody reads here.
        let (mut losses, mut slopes) = (vec![0.0; rows.len()], vec![0.0; outputs.len()]);
        let outs = (losses.as_mut_slice(), slopes.as_mut_slice());
        let numbers: Vec<f64> = y.columns().map_or(vec![], |(y, columns)| {
            let y = &y[rows.start * columns..rows.end * columns];
            preparation.scaled_targets(y).map(f64::from).collect()
        });
        // The devices' own loss functions, in f64, so that host and device cannot disagree on a formula.
        if let Loss::Classes(loss) = self.at_the_end(&self.loss) {
            let goal = match y {
                Targets::Classes(classes) => LossTargets::Classes(&classes[rows]),
                _ => LossTargets::Numbers(&numbers),
            };
            loss_classes(loss, (&outputs, goal), extra, outs, &step);
        } else {
            let formula = self.loss.formula().expect("other losses are elementwise");
            loss_map((&form, &formula.program()), (&outputs, &numbers), extra, outs, &step);
        }
        losses
    }
}

/// Returns the message for a loss that does not fit the target, with losses that do.
fn misfit(loss: &Loss, kind: &TargetKind) -> String {
    let there = match kind {
        TargetKind::Classes(_) => "classes",
        TargetKind::Number | TargetKind::Numbers(_) => "numbers",
        TargetKind::Labels(_) => "labels",
    };
    let remedy = match loss.wants() {
        RequiredTarget::Classes => "it compares with classes: ‘task’ classify",
        RequiredTarget::Numbers | RequiredTarget::Counts => {
            "it compares with numbers: ‘task’ regress"
        }
        RequiredTarget::Shares => {
            "it compares with probabilities in several columns: ‘target’ a,b,c ‘task’ regress"
        }
        RequiredTarget::Labels => "it compares with yes or no in each column: ‘task’ labels",
    };
    format!("{loss} does not fit targets that are {there}; {remedy}")
}

/// Largest distance from 1 of the sum of a row's probabilities, which tables give rounded.
const SUM_TOLERANCE: f64 = 1e-3;

/// Refuses numbers that do not suit a loss.
pub(super) fn check_values(loss: &Loss, train: &Dataset) -> Result<()> {
    let Some((y, columns)) = train.y().columns() else { return Ok(()) };
    let fits = |y: f64| match loss.wants() {
        RequiredTarget::Counts => y >= 0.0,
        RequiredTarget::Shares => (0.0..=1.0).contains(&y),
        RequiredTarget::Classes | RequiredTarget::Numbers | RequiredTarget::Labels => true,
    };
    let Some(at) = y.iter().position(|&y| !fits(y)) else { return check_sums(loss, (y, columns)) };
    let range = if loss.wants() == RequiredTarget::Counts { "0 or more" } else { "from 0 to 1" };
    let column = train.schema().targets()[at % columns].to_string();
    let problem =
        format!("{} needs targets of {range}, but {} has {}", loss.name(), list(&[column]), y[at]);
    Err(Error::setting("loss", problem))
}

/// Refuses rows that are not distributions, if the loss compares distributions.
fn check_sums(loss: &Loss, (y, columns): (&[f64], usize)) -> Result<()> {
    let sum = |row: &[f64]| row.iter().sum::<f64>();
    let far = |row: &[f64]| (sum(row) - 1.0).abs() > SUM_TOLERANCE;
    let mut rows = y.chunks(columns.max(1)).enumerate();
    let Some((index, row)) =
        rows.find(|(_, row)| loss.wants() == RequiredTarget::Shares && far(row))
    else {
        return Ok(());
    };
    let values: Vec<String> = row.iter().map(f64::to_string).collect();
    let problem = format!(
        "{} needs targets that add up to 1 in each row, but in row {} of those for training they are {} and add up to {:.3}; divide \
         each row's targets by their sum, or use ‘loss’ mse",
        loss.name(),
        index + 1,
        list(&values),
        sum(row)
    );
    Err(Error::setting("loss", problem))
}

/// Returns weights with which all classes, or yes and no of each label, have the same total weight. A row of weight 2
/// counts as two.
#[expect(clippy::cast_possible_truncation, reason = "slots hold f32")]
fn balanced(train: &Dataset, count: usize) -> Vec<f32> {
    let weight = |row: usize| train.weights().map_or(1.0, |weights| weights[row]);
    let all: f64 = (0..train.rows()).map(weight).sum();
    let share = |of: f64, by: f64| if of == 0.0 { 1.0 } else { (by / of) as f32 };
    match train.y() {
        Targets::Classes(classes) => {
            let mut each = vec![0.0; count];
            let rows = classes.iter().enumerate();
            rows.for_each(|(row, &class)| each[class as usize] += weight(row));
            each.into_iter().map(|of| share(of, all / count as f64)).collect()
        }
        Targets::Numbers(y) | Targets::Columns(y, _) => (0..count)
            .map(|column| {
                let values = y.iter().skip(column).step_by(count).enumerate();
                let of: f64 = values.filter(|(_, y)| **y == 1.0).map(|(row, _)| weight(row)).sum();
                // A label that every row has needs no balance either.
                if of == all { 1.0 } else { share(of, all - of) }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ClassLoss;

    fn options(loss: Loss, weights: &ClassWeights) -> TrainOptions {
        TrainOptions { loss, class_weights: weights.clone(), ..TrainOptions::default() }
    }

    fn of(loss: Loss, weights: &ClassWeights, y: Targets) -> Result<Criterion> {
        let x: Vec<f32> = (0..y.len()).map(|i| i as f32).collect();
        Criterion::of(&options(loss, weights), &Dataset::from_arrays(&x, 1, y)?)
    }

    #[test]
    fn distributions_add_up_to_one() {
        let of = |y: [f64; 4]| {
            let y = Targets::Columns(y.to_vec(), 2);
            of(ClassLoss::KlDivergence.into(), &ClassWeights::None, y)
                .map_err(|error| error.to_string())
        };
        assert!(of([0.25, 0.75, 0.3333, 0.6663]).is_ok());
        let said = of([0.25, 0.75, 0.5, 0.25]).unwrap_err();
        assert!(said.contains("row 2 of those for training") && said.contains("0.750"), "{said}");
    }

    #[test]
    fn blocks_of_rows_give_the_loss_of_all_rows_at_once() {
        let rows = 40_u32;
        let weights: Vec<f64> = (0..rows).map(|row| f64::from(row % 3 + 1) / 3.0).collect();
        let outputs: Vec<f32> = (0..rows * 2).map(|i| (i * 37 % 23) as f32 / 7.0 - 1.5).collect();
        let numbers: Vec<f64> = (0..rows * 2).map(|i| f64::from(i * 29 % 31) / 3.0).collect();
        let shares =
            (0..rows).flat_map(|row| [f64::from(row % 4) / 4.0, 1.0 - f64::from(row % 4) / 4.0]);
        let classes = Targets::Classes((0..rows).map(|row| row % 2).collect());
        let weighted = ClassWeights::Of(vec![("1".into(), 2.5)]);
        for (loss, class_weights, y) in [
            (Loss::CROSS_ENTROPY, &weighted, classes),
            (Loss::Mse, &ClassWeights::None, Targets::Columns(numbers.clone(), 2)),
            (Loss::Mae, &ClassWeights::None, Targets::Numbers(numbers[..40].to_vec())),
            (
                ClassLoss::KlDivergence.into(),
                &ClassWeights::None,
                Targets::Columns(shares.collect(), 2),
            ),
        ] {
            let x: Vec<f32> = (0..rows).map(|row| row as f32).collect();
            let data = Dataset::from_arrays(&x, 1, y).unwrap();
            let criterion = Criterion::of(&options(loss, class_weights), &data).unwrap();
            let preparation = Preprocessing::fit(&data, crate::data::FeatureScaling::Standard);
            let outputs = &outputs[..rows as usize * data.schema().outputs()];
            for weights in [None, Some(weights.as_slice())] {
                let targets = (data.y(), weights);
                let (losses, total) = criterion.losses(outputs, targets, &preparation);
                let want = losses.iter().sum::<f64>() / criterion.divisor(total);
                let got = criterion.value(outputs, targets, &preparation);
                assert_eq!(got.to_bits(), want.to_bits(), "{:?}: {got} {want}", criterion.loss);
            }
        }
    }

    #[test]
    fn weights_are_read_or_refused() {
        for text in ["none", "balanced", "a=2,b=0.5", "x=y=1"] {
            assert_eq!(text.parse::<ClassWeights>().unwrap().to_string(), text);
        }
        for (text, want) in [
            ("a", "\"a\" is no class with its weight"),
            ("a=-1", "-1 for a, but a weight must be 0 or more"),
            ("a=1,a=2", "a is given twice"),
        ] {
            let said = text.parse::<ClassWeights>().unwrap_err().to_string();
            assert!(said.starts_with("class_weights: ") && said.contains(want), "{said}");
        }
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        let y = Targets::Classes(vec![0, 0, 0, 1, 2, 2]);
        let made = of(Loss::CROSS_ENTROPY, &ClassWeights::Balanced, y.clone()).unwrap();
        // sklearn.utils.class_weight.compute_class_weight("balanced", ...): 6 / (3 · count)
        assert_eq!(made.class_weights, [2.0 / 3.0, 2.0, 1.0]);
        assert_eq!(made.row_weights(&y, None).unwrap()[3], 2.0);
        // With weights, as of repeated rows: the two of class 2 weigh 4 together.
        let weighted = Dataset::from_arrays(&[0.0; 6], 1, y.clone()).unwrap();
        let weighted = weighted.with_weights(vec![1.0, 1.0, 1.0, 1.0, 3.0, 1.0]).unwrap();
        let balanced = options(Loss::CROSS_ENTROPY, &ClassWeights::Balanced);
        let made = Criterion::of(&balanced, &weighted).unwrap();
        assert_eq!(made.class_weights, [8.0 / 9.0, 8.0 / 3.0, 2.0 / 3.0]);
        let given = ClassWeights::Of(vec![("1".into(), 5.0)]);
        assert_eq!(of(Loss::CROSS_ENTROPY, &given, y).unwrap().class_weights, [1.0, 5.0, 1.0]);
        let labels = Targets::Columns(vec![1.0, 1.0, 0.0, 1.0, 0.0, 1.0], 2);
        let labels =
            Dataset::from_arrays(&[0.0, 1.0, 2.0], 1, labels).unwrap().as_labels().unwrap();
        let balanced = options(Loss::BinaryCrossEntropy, &ClassWeights::Balanced);
        assert_eq!(Criterion::of(&balanced, &labels).unwrap().class_weights, [2.0, 1.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_remedy() {
        let none = ClassWeights::None;
        let said = |result: Result<Criterion>| result.unwrap_err().to_string();
        let numbers = || Targets::Numbers(vec![1.0, -2.0]);
        let poisson = Loss::PoissonNll { full: false };
        assert!(
            said(of(poisson, &none, numbers())).contains("targets of 0 or more, but `y` has -2")
        );
        let shares = Targets::Columns(vec![0.5, 0.5, 2.0, -1.0], 2);
        assert!(said(of(ClassLoss::KlDivergence.into(), &none, shares)).contains("`y0` has 2"));
        let said_of = said(of(Loss::CROSS_ENTROPY, &none, numbers()));
        assert!(
            said_of.contains("does not fit targets that are numbers; it compares with classes"),
            "{said_of}"
        );
        assert!(said(of(Loss::Mse, &ClassWeights::Balanced, numbers())).contains("use ‘weight’"));
        let given = ClassWeights::Of(vec![("7".into(), 5.0)]);
        let classes = Targets::Classes(vec![0, 1]);
        assert!(
            said(of(Loss::CROSS_ENTROPY, &given, classes))
                .contains("7 is none of the classes `0`, `1`; correct its name")
        );
    }
}
