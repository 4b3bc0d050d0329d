//! Scaling of features and of a numeric target, and its undoing.
//!
//! In: the training part of a data set. Out: [`Preprocessing`], which a model keeps, so that later
//! rows are scaled by the numbers of the training rows.
//! Absent on purpose: anything learnt from validation rows.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::column::{indices, unscaled};
use super::column_copies::ColumnCopies;
use super::header::list;
use super::numbers::Numbers;
use super::scaling::{
    Curve, FeatureScaling, MeasuredScaling, OF_CONSTANT, ScalingCurves, ScalingRules, moments,
};
use super::schema::{Schema, TargetKind};
use super::table::Dataset;
use crate::error::{Error, Result};

/// Everything that a model needs from its training table to read other rows in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Columns and target.
    pub schema: Schema,
    /// Kind of scaling that gave the numbers below, for inputs without a method of their own.
    pub scale: FeatureScaling,
    /// Numbers that are subtracted from the features; from their logarithms, where [`Self::curves`] says so.
    pub mean: Vec<f64>,
    /// Numbers that the differences are divided by; never 0. The largest f64 makes 0 of a feature that had one value in all training rows,
    /// whatever its value is elsewhere.
    pub std: Vec<f64>,
    /// Numbers that are subtracted from a numeric target, for each of its columns; 0 for classes and labels.
    #[serde(with = "one_or_more")]
    pub target_mean: Vec<f64>,
    /// Numbers that the differences are divided by; 1 for classes and labels, never 0.
    #[serde(with = "one_or_more")]
    pub target_std: Vec<f64>,
    /// Names of feature columns whose values single precision cannot tell apart before they are scaled: these must be given
    /// in double precision for predictions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub double: Vec<String>,
    /// Parts of the scaling beyond a shift and a factor.
    #[serde(default, skip_serializing_if = "ScalingCurves::is_empty")]
    pub curves: ScalingCurves,
    /// Least and largest number that is predicted for each column of a numeric target; empty if there is no limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_range: Vec<(f64, f64)>,
}

/// Stores a list of one element as a plain number, as files had it before there could be more.
mod one_or_more {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(f64),
        More(Vec<f64>),
    }

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        match values {
            [one] => one.serialize(to),
            more => more.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(match Values::deserialize(from)? {
            Values::One(one) => vec![one],
            Values::More(more) => more,
        })
    }
}

impl Preprocessing {
    /// Measures the training rows, in f64; a row of weight 2 counts as the row twice.
    ///
    /// The standard deviation is that of the population (divided by n, not by n - 1), as in
    /// [scikit-learn's `StandardScaler`](https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.StandardScaler.html).
    /// A constant column is only shifted to 0.
    pub fn fit(train: &Dataset, scale: FeatureScaling) -> Self {
        let methods = vec![scale; train.columns()];
        Self::measured(train, &scale.into(), methods)
    }

    /// Does the same as [`Self::fit`] with rules for single columns and for the target.
    ///
    /// # Errors
    ///
    /// When a rule names a column that is no feature, or not of numbers, or suits no target.
    pub fn fit_by(train: &Dataset, rules: &ScalingRules) -> Result<Self> {
        rules.check()?;
        let schema = train.schema();
        let mut methods = vec![rules.features; train.columns()];
        let left_out: HashSet<&str> =
            schema.duplicates.iter().map(|it| it.column.as_str()).collect();
        for (name, method) in &rules.columns {
            // The column that stands for it is scaled by the same method.
            if left_out.contains(name.as_str()) {
                continue;
            }
            let input = schema.number_input(name).ok_or_else(|| {
                let problem = match schema.read_columns().contains(&name.as_str()) {
                    true => "holds no numbers, so that it is not scaled",
                    false => "is no feature",
                };
                let problem = format!("{} {problem}; leave {method} out for it", list(&[name]));
                Error::setting("columns", problem)
            })?;
            methods[input] = *method;
        }
        Ok(Self::measured(train, rules, methods))
    }

    /// Measures each input by its method.
    fn measured(train: &Dataset, rules: &ScalingRules, mut methods: Vec<FeatureScaling>) -> Self {
        let (columns, weights) = (train.columns(), train.weights());
        // Indicators and indices stay as they are.
        let columns_as_is = if rules.texts { indices } else { unscaled };
        for input in columns_as_is(&train.schema().columns) {
            methods[input] = FeatureScaling::None;
        }
        // Models of the two first methods need no list of them. Without scaling the means stand in for gaps alone, of dates above all.
        let first = match rules.features {
            FeatureScaling::Standard => true,
            FeatureScaling::None => train.schema().columns.is_empty(),
            _ => false,
        };
        let simple = first && rules.columns.is_empty() && !rules.texts;
        let mut curves = ScalingCurves::default();
        let (mut mean, mut std) = (Vec::with_capacity(columns), Vec::with_capacity(columns));
        let (mut lossy, mut copies) = (Vec::new(), ColumnCopies::new(train));
        for (input, &method) in methods.iter().enumerate() {
            let own = match (method, simple) {
                (FeatureScaling::None, true) => None,
                _ => Some(match copies.get(input) {
                    Some(values) => MeasuredScaling::of(values.iter().copied(), weights, method),
                    None => MeasuredScaling::of(train.column(input), weights, method),
                }),
            };
            let line = own.as_ref().map_or((0.0, 1.0), |own| own.of_feature(method));
            mean.push(line.0);
            std.push(line.1);
            let std = own.as_ref().map_or(1.0, |own| own.moments.1);
            // A table in single precision has no more digits to lose.
            let lost = !train.x().is_single()
                && match copies.get(input) {
                    Some(values) => loses_digits(values.iter().copied(), method, std),
                    None => loses_digits(train.column(input), method, std),
                };
            if lost {
                lossy.push(train.schema().features[input].clone());
            }
            let Some(own) = own.filter(|_| !simple) else { continue };
            curves.means.push(own.moments.0);
            if !own.quantiles.is_empty() {
                curves.quantiles.insert(input, own.quantiles);
            }
        }
        if !simple {
            curves.methods = methods;
        }
        let schema = train.schema().clone();
        let none = Vec::new();
        let (target_mean, target_std) = (none.clone(), none);
        let scale = rules.features;
        let (double, target_range) = (lossy, Vec::new());
        let fit = Self {
            schema,
            scale,
            mean,
            std,
            target_mean,
            target_std,
            double,
            curves,
            target_range,
        };
        fit.with_target_scaled(train, rules.target_method())
    }

    /// Returns the same scaling, except for a numeric target that is scaled by this method.
    fn with_target_scaled(mut self, train: &Dataset, method: FeatureScaling) -> Self {
        self.curves.target = None;
        self.curves.target_quantiles.clear();
        // Classes and labels are not numbers to scale.
        let raw = matches!(train.schema().kind, TargetKind::Classes(_) | TargetKind::Labels(_));
        let (y, columns) = train.y().columns().unwrap_or((&[], 1));
        (self.target_mean, self.target_std) = (vec![0.0; columns], vec![1.0; columns]);
        if raw || method == FeatureScaling::None {
            return self;
        }
        for column in 0..columns {
            let values = y[column.min(y.len())..].iter().step_by(columns).copied();
            let own = MeasuredScaling::of(values, train.weights(), method);
            (self.target_mean[column], self.target_std[column]) = (own.mean, own.std);
            if !own.quantiles.is_empty() {
                self.curves.target_quantiles.insert(column, own.quantiles);
            }
        }
        self.curves.target = (!method.is_linear()).then_some(method);
        self
    }

    /// Returns the same scaling, except for columns that stay as they are, such as indices into a table.
    pub fn with_columns_as_is(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        for column in columns {
            if let (Some(mean), Some(std)) = (self.mean.get_mut(column), self.std.get_mut(column)) {
                (*mean, *std) = (0.0, 1.0);
            }
            if let Some(method) = self.curves.methods.get_mut(column) {
                *method = FeatureScaling::None;
                self.curves.quantiles.remove(&column);
            }
        }
        self
    }

    /// Takes the scaling of columns and targets from another table with the same names.
    pub fn take_from(&mut self, other: &Self) {
        let places = |names: Vec<&str>| -> HashMap<String, usize> {
            names.into_iter().zip(0..).map(|(name, at)| (name.to_string(), at)).collect()
        };
        let features =
            |schema: &'_ Schema| places(schema.features.iter().map(String::as_str).collect());
        // By name, since the other table may have its columns in another order.
        let (own, others) = (features(&self.schema), features(&other.schema));
        let lists = [&*self, other].iter().any(|it| !it.curves.methods.is_empty());
        if lists {
            self.list_methods();
        }
        for (name, at) in own {
            let Some(&from) = others.get(&name) else { continue };
            // A column that was constant there has weights that were never trained.
            if other.std[from] == OF_CONSTANT {
                continue;
            }
            (self.mean[at], self.std[at]) = (other.mean[from], other.std[from]);
            if lists {
                self.curves.methods[at] = other.method(from);
                self.curves.means[at] =
                    other.curves.means.get(from).map_or(other.mean[from], |mean| *mean);
                self.curves.quantiles.remove(&at);
                if let Some(table) = other.curves.quantiles.get(&from) {
                    self.curves.quantiles.insert(at, table.clone());
                }
            }
        }
        self.double.extend(other.double.iter().cloned());
        self.double.sort_unstable();
        self.double.dedup();
        let (own, others) = (places(self.schema.targets()), places(other.schema.targets()));
        for (name, at) in own {
            if let Some(&from) = others.get(&name) {
                self.target_mean[at] = other.target_mean[from];
                self.target_std[at] = other.target_std[from];
                self.curves.target = other.curves.target;
                self.curves.target_quantiles.remove(&at);
                if let Some(table) = other.curves.target_quantiles.get(&from) {
                    self.curves.target_quantiles.insert(at, table.clone());
                }
            }
        }
    }

    /// Lists the method of each input, where one method of all was enough so far.
    fn list_methods(&mut self) {
        if self.curves.methods.is_empty() {
            self.curves.methods = self.methods();
            self.curves.means.clone_from(&self.mean);
        }
    }

    /// Returns the method by which an input is scaled; for all inputs, use [`Self::methods`].
    pub fn method(&self, input: usize) -> FeatureScaling {
        let stays = || unscaled(&self.schema.columns).contains(&input);
        match self.curves.methods.get(input) {
            Some(method) => *method,
            None if stays() => FeatureScaling::None,
            None => self.scale,
        }
    }

    /// Returns the method by which each input is scaled.
    pub fn methods(&self) -> Vec<FeatureScaling> {
        if !self.curves.methods.is_empty() {
            return self.curves.methods.clone();
        }
        let mut methods = vec![self.scale; self.mean.len()];
        unscaled(&self.schema.columns)
            .into_iter()
            .for_each(|at| methods[at] = FeatureScaling::None);
        methods
    }

    /// Returns the method by which a numeric target is scaled.
    pub fn target_method(&self) -> FeatureScaling {
        let plain = |(mean, std): (&f64, &f64)| *mean == 0.0 && *std == 1.0;
        self.curves.target.unwrap_or_else(|| {
            match self.target_mean.iter().zip(&self.target_std).all(plain) {
                true => FeatureScaling::None,
                false => FeatureScaling::Standard,
            }
        })
    }

    /// Returns the same scaling, except for a target that stays as it is.
    pub fn with_target_as_is(mut self) -> Self {
        self.curves.target = None;
        self.curves.target_quantiles.clear();
        self.target_mean.fill(0.0);
        self.target_std.fill(1.0);
        self
    }

    /// Returns the same scaling, except for a target that is divided by √ mean y² of its column and not shifted: its sign
    /// stays.
    pub fn with_target_divided(self, train: &Dataset) -> Self {
        let mut divided = self.with_target_as_is();
        let Some((y, columns)) = train.y().columns() else { return divided };
        let values = |c: usize| y[c..].iter().step_by(columns).copied();
        let size = |c| {
            let (mean, std) = moments(values(c), train.weights());
            // `moments` returns a deviation of 1 for a constant column.
            let constant = values(c).all(|value| value == mean);
            let size = if constant { mean.abs() } else { mean.hypot(std) };
            if size > 0.0 { size } else { 1.0 }
        };
        divided.target_std = (0..columns).map(size).collect();
        divided
    }

    /// Returns the same scaling, except for target columns that are all divided by one number, √ mean of their variances,
    /// so that a difference means the same in each of them.
    pub fn with_one_target_std(mut self) -> Self {
        let squares: f64 = self.target_std.iter().map(|std| std * std).sum();
        let std = (squares / self.target_std.len().max(1) as f64).sqrt();
        self.target_std.fill(std);
        self
    }

    /// Returns the mean of the training rows, which stands in for a gap where training had none; `None` if it is not known.
    pub fn gap_mean(&self, input: usize) -> Option<f64> {
        let scaled = self.scale != FeatureScaling::None;
        self.curves.means.get(input).or(self.mean.get(input).filter(|_| scaled)).copied()
    }

    /// Puts the mean of the training rows where an input of rows `[rows, features]` is NaN, which is a gap in a column that had none in
    /// training. Inputs in `ids` name rows of tables, and stay. Returns the row and the place of the first input whose mean is not known.
    pub(crate) fn fill_gaps(&self, x: &mut [f64], ids: &[usize]) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        let mut unknown = None;
        for (at, value) in x.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
            let (row, input) = (at / columns, at % columns);
            match self.gap_mean(input) {
                _ if ids.contains(&input) => {}
                Some(mean) => *value = mean,
                None => unknown = unknown.or(Some((row, input))),
            }
        }
        unknown
    }

    /// Returns rows as the network takes them; `x` is `[rows, features]`, row-major. Computed in f64, rounded once at the end.
    pub fn features<'a>(&self, x: impl Into<Numbers<'a>>) -> Vec<f32> {
        let x = x.into();
        let mut scaled = Vec::with_capacity(x.len());
        self.extend_features(x, &mut scaled);
        scaled
    }

    /// Appends rows as the network takes them, so that a large table needs no second copy. Use [`Self::scaler`] for rows one by one.
    pub(crate) fn extend_features(&self, x: Numbers<'_>, scaled: &mut Vec<f32>) {
        self.scaler().extend(x, scaled);
    }

    /// Returns the scaling of all inputs, whose curves are looked up once for any number of rows.
    pub(crate) fn scaler(&self) -> FeatureScaler<'_> {
        let inputs = if self.curves.methods.is_empty() { 0 } else { self.mean.len() };
        let curves = (0..inputs).map(|input| self.curves.of_input(input)).collect();
        FeatureScaler::new(&self.mean, &self.std, curves)
    }

    /// Returns numbers of whole rows of the target's columns as the loss takes them.
    pub fn scaled_targets(&self, y: &[f64]) -> impl Iterator<Item = f32> {
        let columns = self.target_mean.len().max(1);
        let curves: Vec<Curve<'_>> =
            (0..columns).map(|column| self.curves.of_target(column)).collect();
        y.iter().enumerate().map(move |(at, &y)| {
            let column = at % columns;
            curves[column].scale(y, self.target_mean[column], self.target_std[column]) as f32
        })
    }

    /// Returns a number of a target's column as the loss takes it.
    pub fn scaled_target(&self, y: f64, column: usize) -> f32 {
        let curve = self.curves.of_target(column);
        curve.scale(y, self.target_mean[column], self.target_std[column]) as f32
    }

    /// Returns a number predicted for a target's column in the units of the table.
    pub fn restore_target(&self, y: f32, column: usize) -> f64 {
        let curve = self.curves.of_target(column);
        let value = curve.restore(f64::from(y), self.target_mean[column], self.target_std[column]);
        match self.target_range.get(column) {
            // NaN stays, so that it shows.
            Some(&(least, largest)) => value.clamp(least, largest),
            None => value,
        }
    }

    /// Returns the same scaling, by which predictions of numbers stay within the range of these rows' targets.
    pub fn with_target_range(self, train: &Dataset) -> Self {
        let Some((y, columns)) = train.y().columns() else { return self };
        let range = |column: usize| {
            let values = y[column.min(y.len())..].iter().step_by(columns);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)))
        };
        let ranges = (0..columns).map(range).filter(|(least, largest)| least <= largest);
        Self { target_range: ranges.collect(), ..self }
    }

    /// Returns a feature as the network takes it, before it is rounded.
    #[cfg(any(feature = "cli", test))]
    pub(crate) fn scaled_feature(&self, x: f64, input: usize) -> f64 {
        self.curves.of_input(input).scale(x, self.mean[input], self.std[input])
    }

    /// Finds the first feature of rows `[rows, features]` that single precision cannot hold after scaling: its row and
    /// column.
    pub fn beyond_single(&self, x: Numbers<'_>) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        let scaler = self.scaler();
        let mut first = 0;
        for block in x.blocks(columns) {
            let found = match block.view() {
                Numbers::Single(x) => scaler.first_beyond(x),
                Numbers::Double(x) => scaler.first_beyond(x),
                Numbers::Stored(_) => None,
            };
            if let Some((row, column)) = found {
                return Some((first + row, column));
            }
            first += block.view().len() / columns;
        }
        None
    }

    /// Returns the fraction of a feature column's different values, in some of the rows, that cannot be told from another
    /// one once they are scaled and rounded to single precision.
    pub fn lost_values(&self, data: &Dataset, column: usize) -> f64 {
        self.lost_of(data.column(column), data.rows(), column)
    }

    /// Returns the same as [`Self::lost_values`] for all columns.
    pub(crate) fn lost_of_all(&self, data: &Dataset) -> Vec<f64> {
        let mut copies = ColumnCopies::new(data);
        let lost = |column| match copies.get(column) {
            Some(values) => self.lost_of(values.iter().copied(), data.rows(), column),
            None => self.lost_values(data, column),
        };
        (0..data.columns()).map(lost).collect()
    }

    fn lost_of(&self, values: impl Iterator<Item = f64>, rows: usize, column: usize) -> f64 {
        let (curve, mean, std) =
            (self.curves.of_input(column), self.mean[column], self.std[column]);
        lost(values, rows, |value| curve.scale(value, mean, std))
    }

    /// Returns the same as [`Self::lost_values`] for a target's column; 0 for classes.
    pub fn lost_targets(&self, data: &Dataset, column: usize) -> f64 {
        let Some((y, columns)) = data.y().columns() else { return 0.0 };
        let values = y[column..].iter().step_by(columns).copied();
        let curve = self.curves.of_target(column);
        let (mean, std) = (self.target_mean[column], self.target_std[column]);
        lost(values, data.rows(), |value| curve.scale(value, mean, std))
    }

    /// Returns the deviation of a feature's values in some rows; the feature is scaled by this method.
    pub(crate) fn deviation(&self, data: &Dataset, input: usize, method: FeatureScaling) -> f64 {
        match method {
            FeatureScaling::Standard if self.std[input] != OF_CONSTANT => self.std[input],
            _ => moments(data.column(input), data.weights()).1,
        }
    }
}

/// Scaling of all inputs of a network, ready for many rows.
#[derive(Debug)]
pub(crate) struct FeatureScaler<'a> {
    mean: &'a [f64],
    std: &'a [f64],
    /// Curve of each input; empty if each has a shift and a factor only.
    curves: Vec<Curve<'a>>,
    /// Absolute value of each input below which single precision holds it after scaling, whatever its sign; empty if there are curves.
    limits: Vec<f64>,
}

impl<'a> FeatureScaler<'a> {
    fn new(mean: &'a [f64], std: &'a [f64], curves: Vec<Curve<'a>>) -> Self {
        // |v − mean| / std is at most (|v| + |mean|) / std; half of the largest float leaves room for rounding.
        let limit = |(mean, std): (&f64, &f64)| f64::from(f32::MAX / 2.0) * std - mean.abs();
        let limits = match curves.is_empty() {
            true => mean.iter().zip(std).map(limit).collect(),
            false => vec![],
        };
        Self { mean, std, curves, limits }
    }

    /// Appends whole rows as the network takes them. Computed in f64, rounded once at the end.
    pub(crate) fn extend(&self, x: Numbers<'_>, scaled: &mut Vec<f32>) {
        match x {
            Numbers::Single(x) => self.extend_by(x, scaled),
            Numbers::Double(x) => self.extend_by(x, scaled),
            Numbers::Stored(_) => {
                x.blocks(self.mean.len()).for_each(|it| self.extend(it.view(), scaled));
            }
        }
    }

    fn extend_by<T: Copy + Into<f64>>(&self, x: &[T], scaled: &mut Vec<f32>) {
        let columns = self.mean.len();
        debug_assert!(x.len().is_multiple_of(columns), "whole rows");
        let there = scaled.len();
        scaled.resize(there + x.len(), 0.0);
        let rows = x.chunks_exact(columns).zip(scaled[there..].chunks_exact_mut(columns));
        for (row, to) in rows {
            let lines = row.iter().zip(to).zip(self.mean.iter().zip(self.std));
            if self.curves.is_empty() {
                for ((&v, to), (mean, std)) in lines {
                    *to = ((v.into() - mean) / std) as f32;
                }
            } else {
                for (((&v, to), (mean, std)), curve) in lines.zip(&self.curves) {
                    *to = curve.scale(v.into(), *mean, *std) as f32;
                }
            }
        }
    }

    /// Finds the first number of whole rows that single precision cannot hold after scaling: its row and column.
    fn first_beyond<T: Copy + Into<f64>>(&self, x: &[T]) -> Option<(usize, usize)> {
        let columns = self.mean.len().max(1);
        let mut scaled = Vec::with_capacity(columns);
        x.chunks(columns).enumerate().find_map(|(row, values)| {
            // Most rows are told by a comparison, which takes less time than scaling. NaN is below no limit.
            let below = |all, (&v, limit): (&T, &f64)| all & (v.into().abs() < *limit);
            if !self.limits.is_empty() && values.iter().zip(&self.limits).fold(true, below) {
                return None;
            }
            scaled.clear();
            self.extend_by(values, &mut scaled);
            // NaN is found, too.
            Some((row, scaled.iter().position(|value| !value.is_finite())?))
        })
    }
}

/// Returns true if rounding to single precision moves a column's values by more than a small part of their deviation.
fn loses_digits(mut values: impl Iterator<Item = f64>, method: FeatureScaling, std: f64) -> bool {
    let rounding = |v: f64| (f64::from(v as f32) - v).abs();
    // A value of which a column has many has one rank, and its neighbour another one.
    let most = if method == FeatureScaling::Quantile { 0.0 } else { LEAST_DIGIT * std };
    values.any(|v| rounding(v) > most)
}

/// Fraction of a column's deviation by which rounding may move its values before that is a loss.
const LEAST_DIGIT: f64 = 1e-5;
/// Largest number of values that are compared with one another.
const COMPARED: usize = 4096;

/// Returns the fraction of the different values that equal another one when they are scaled and rounded.
fn lost(values: impl Iterator<Item = f64>, rows: usize, scale: impl Fn(f64) -> f64) -> f64 {
    let mut different: Vec<f64> = values.step_by(rows.div_ceil(COMPARED).max(1)).collect();
    different.sort_by(f64::total_cmp);
    // Scaling keeps the order, so equal results are neighbours.
    different.dedup();
    let mut scaled: Vec<f32> = different.iter().map(|value| scale(*value) as f32).collect();
    scaled.dedup();
    1.0 - scaled.len() as f64 / different.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::Targets;

    fn numbers<'a>(x: impl Into<Numbers<'a>>, columns: usize) -> Dataset {
        let x = x.into();
        let y = (0..x.len() / columns).map(|i| 10.0 + 2.0 * i as f64).collect();
        Dataset::from_arrays(x, columns, Targets::Numbers(y)).unwrap()
    }

    #[test]
    fn columns_stay_as_they_are_on_demand() {
        let data = Dataset::from_arrays(&[1.0, 5.0, 3.0, 7.0], 2, Targets::Numbers(vec![0.0, 1.0]));
        let fit =
            Preprocessing::fit(&data.unwrap(), FeatureScaling::Standard).with_columns_as_is([1, 9]);
        assert_eq!(fit.features(&[1.0, 5.0, 3.0, 7.0]), [-1.0, 5.0, 1.0, 7.0]);
    }

    #[test]
    fn moments_are_those_of_the_population() {
        // Column 0 is 1, 2, 3, 4: mean 2.5, variance 1.25. Column 1 is constant and not exact in binary.
        let data = numbers(&[1.0, 0.1, 2.0, 0.1, 3.0, 0.1, 4.0, 0.1], 2);
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!(fit.mean, [2.5, 0.1]);
        assert_eq!(fit.std, [1.25_f64.sqrt(), OF_CONSTANT]);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![13.0], &vec![5.0_f64.sqrt()]));
        // 0.5 / sqrt(1.25), rounded once.
        assert_eq!(fit.features(&[2.5, 0.1, 3.0, 0.1]), [0.0, 0.0, 0.447_213_6, 0.0]);
        // Nothing is learned of other values of a constant column, so they change nothing, by whatever method.
        for method in ["standard", "robust", "minmax", "quantile", "log"] {
            let fit = Preprocessing::fit(&data, method.parse().unwrap());
            assert_eq!(fit.features(&[1.0, -1e200, 1.0, 7.0]), fit.features(&[1.0, 0.1, 1.0, 0.1]));
            assert_eq!(fit.beyond_single(Numbers::Double(&[2.5, 1e300])), None, "{method}");
        }
        // A table in which the column has several values is scaled by these.
        let mut anew =
            Preprocessing::fit(&numbers(&[1.0, 1.0, 2.0, 3.0], 2), FeatureScaling::Standard);
        anew.take_from(&fit);
        assert_eq!((anew.mean.as_slice(), anew.std[1]), ([2.5, 2.0].as_slice(), 1.0));

        let none = Preprocessing::fit(&data, FeatureScaling::None);
        assert_eq!(
            (none.mean.as_slice(), none.std.as_slice()),
            ([0.0; 2].as_slice(), [1.0; 2].as_slice())
        );
        assert_eq!(none.features(data.x())[..4], [1.0, 0.1, 2.0, 0.1]);
        assert_eq!(none.scaled_targets(&[10.0, 0.1]).collect::<Vec<_>>(), [10.0, 0.1]);
        assert_eq!(none.restore_target(0.25, 0), 0.25);
    }

    #[test]
    fn classes_are_never_scaled() {
        let y = Targets::Classes(vec![0, 1, 5]);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0], &vec![1.0]));
    }

    #[test]
    fn each_target_column_has_its_own_scaling() {
        let y = Targets::Columns(vec![10.0, 0.0, 14.0, 1.0, 18.0, 1.0, 14.0, 0.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0, 3.0, 4.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        assert_eq!(
            (&fit.target_mean, &fit.target_std),
            (&vec![14.0, 0.5], &vec![8_f64.sqrt(), 0.5])
        );
        let scaled: Vec<f32> = fit.scaled_targets(data.y().columns().unwrap().0).collect();
        assert_eq!(scaled[2..6], [0.0, 1.0, 2_f32.sqrt(), 1.0]);
        assert_eq!((fit.restore_target(1.0, 1), fit.restore_target(0.0, 0)), (1.0, 14.0));
        let labels =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Columns(vec![0.0, 1.0, 1.0, 1.0], 2));
        let fit =
            Preprocessing::fit(&labels.unwrap().as_labels().unwrap(), FeatureScaling::Standard);
        assert_eq!((&fit.target_mean, &fit.target_std), (&vec![0.0; 2], &vec![1.0; 2]));
    }

    #[test]
    fn one_target_is_written_as_a_number() {
        let data = numbers(&[1.0, 2.0], 1);
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        let text = serde_json::to_string(&fit).unwrap();
        assert!(text.contains("\"target_mean\":11.0,\"target_std\":1.0"), "{text}");
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), fit);
        let two = Preprocessing { target_mean: vec![1.0, 2.0], target_std: vec![1.0; 2], ..fit };
        let text = serde_json::to_string(&two).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), two, "{text}");
    }

    /// Scaled rows of a column.
    fn scaled(x: &[f64]) -> (Preprocessing, Vec<f32>) {
        let fit = Preprocessing::fit(&numbers(x, 1), FeatureScaling::Standard);
        let scaled = fit.features(x);
        (fit, scaled)
    }

    #[test]
    fn digits_far_behind_the_first_survive_scaling() {
        // In single precision both are 100100040.
        let (fit, z) = scaled(&[100_100_037.0, 100_100_039.0]);
        assert_eq!((z, fit.double), (vec![-1.0, 1.0], vec!["x0".to_string()]));
        assert!(scaled(&[0.1, 0.2]).0.double.is_empty());
        // Seconds since 1970, minutes apart.
        let y: Vec<f64> = (0..800).map(|i| 1.7e9 + 200.0 * f64::from(i).sin()).collect();
        let data = Dataset::from_arrays(&vec![0.5; 800], 1, Targets::Numbers(y.clone())).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        for (z, y) in fit.scaled_targets(&y).zip(&y) {
            assert!((fit.restore_target(z, 0) - y).abs() < 1e-4, "{z} {y}");
        }
        // A sum of these has lost what they differ by.
        let far: Vec<f64> = (0..1000).map(|i| 1e15 + f64::from(i % 2)).collect();
        let (fit, z) = scaled(&far);
        assert_eq!((fit.mean[0], fit.std[0], z[0], z[1]), (1e15 + 0.5, 0.5, -1.0, 1.0));
    }

    #[test]
    fn values_beyond_single_precision_are_scaled() {
        for unit in [1e60, 1e-60, 1e300, 1e-300, 1e-310] {
            let (_, z) = scaled(&[-unit, unit, 0.0, 0.0]);
            let want = 2_f32.sqrt();
            assert!((z[0] + want).abs() < 1e-6 && (z[1] - want).abs() < 1e-6, "{unit:e}: {z:?}");
        }
        let fit = Preprocessing::fit(&numbers(&[1.0, 2.0, 3.0, 5.0], 2), FeatureScaling::Standard);
        assert_eq!(fit.beyond_single((&[1.0, 2.0, 3.0, 1e39]).into()), Some((1, 1)));
        assert_eq!(fit.beyond_single((&[1.0, 2.0, 3.0, 1e38]).into()), None);
        assert_eq!(fit.beyond_single((&[1.0, 2.0, f64::NAN, 3.0]).into()), Some((1, 0)));
        assert_eq!(fit.beyond_single((&[1.0_f32, 2.0, 3.0, f32::INFINITY]).into()), Some((1, 1)));
        // Deviations of 1 and 1.5 hold up to the largest float times that, which rows near it are scaled for.
        let [largest, half] = [f64::from(f32::MAX), f64::from(f32::MAX / 2.0)];
        assert_eq!(fit.beyond_single((&[-half, half, half, -largest]).into()), None);
        assert_eq!(fit.beyond_single((&[largest, 1.6 * largest, 0.0, 0.0]).into()), Some((0, 1)));
        // A mean that is far away is part of the scaling.
        let far =
            Preprocessing::fit(&numbers(&[1e300, 1e300 + 1e285], 1), FeatureScaling::Standard);
        assert_eq!(far.beyond_single((&[1e300]).into()), None);
        assert_eq!(far.beyond_single((&[1.0]).into()), None);
        // Other values of a constant column are nothing, however far away.
        let constant = Preprocessing::fit(&numbers(&[1e300, 1e300], 1), FeatureScaling::Standard);
        assert_eq!(constant.beyond_single((&[1e300, 0.0]).into()), None);
    }

    #[test]
    fn values_that_fall_together_are_counted() {
        let lost = |x: &[f64]| {
            let data = numbers(x, 1);
            Preprocessing::fit(&data, FeatureScaling::Standard).lost_values(&data, 0)
        };
        let ids: Vec<f64> = (0..100).map(|i| 1e12 + f64::from(i)).collect();
        assert_eq!(lost(&ids), 0.0);
        // One far away makes the others alike.
        let outlier: Vec<f64> = ids.iter().copied().chain([1e30]).collect();
        assert!(lost(&outlier) > 0.95);
        assert_eq!(lost(&[3.0; 5]), 0.0);
    }

    #[test]
    fn weights_enter_the_scaling() {
        let x = [1.0, 5.0, 2.0, 9.0];
        let y = vec![3.0, 4.0, 8.0, -999_999_999.0];
        let weighted = Dataset::from_arrays(&x, 1, Targets::Numbers(y)).unwrap();
        let weighted = weighted.with_weights(vec![1.0, 2.0, 1.0, 0.0]).unwrap();
        let repeated = Dataset::from_arrays(
            &[1.0, 5.0, 5.0, 2.0],
            1,
            Targets::Numbers(vec![3.0, 4.0, 4.0, 8.0]),
        );
        let (fit, want) = (
            Preprocessing::fit(&weighted, FeatureScaling::Standard),
            Preprocessing::fit(&repeated.unwrap(), FeatureScaling::Standard),
        );
        assert_eq!((&fit.mean, &fit.target_mean), (&vec![3.25], &vec![4.75]));
        assert!((fit.std[0] - want.std[0]).abs() < 1e-15);
        assert!((fit.target_std[0] - want.target_std[0]).abs() < 1e-15);
    }

    #[test]
    fn targets_are_divided_or_share_a_deviation() {
        let y = Targets::Columns(vec![3.0, 0.0, 5.0, 8.0], 2);
        let data = Dataset::from_arrays(&[1.0, 2.0], 1, y).unwrap();
        let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
        let one = fit.clone().with_one_target_std();
        assert_eq!((one.target_mean, one.target_std), (vec![4.0, 4.0], vec![8.5_f64.sqrt(); 2]));
        let divided = fit.with_target_divided(&data);
        assert_eq!(divided.target_mean, [0.0, 0.0]);
        assert!((divided.target_std[0] - 17_f64.sqrt()).abs() < 1e-12);
        let constant =
            Dataset::from_arrays(&[1.0, 2.0], 1, Targets::Numbers(vec![-7.0; 2])).unwrap();
        let fit =
            Preprocessing::fit(&constant, FeatureScaling::Standard).with_target_divided(&constant);
        assert_eq!(fit.target_std, [7.0]);
    }

    #[test]
    fn columns_and_targets_have_methods_of_their_own() {
        let data = numbers(&[3.0, 1.0, -1.0, 2.0, 0.0, 3.0, 8.0, 6.0], 2);
        let by = |columns: &[(&str, FeatureScaling)], target| {
            let columns = columns.iter().map(|(name, it)| ((*name).to_string(), *it)).collect();
            let rules = ScalingRules { columns, target, ..ScalingRules::default() };
            Preprocessing::fit_by(&data, &rules)
        };
        let log = FeatureScaling::Log;
        let fit = by(&[("x0", FeatureScaling::MinMax)], Some(log)).unwrap();
        // 3 of -1 to 8; 1 of mean 3 and deviation √3.5.
        let want = [4.0 / 9.0, -2.0 / 3.5_f64.sqrt()].map(|it| it as f32);
        assert_eq!(fit.features(&[3.0, 1.0]), want);
        assert_eq!(
            (fit.method(0), fit.method(1)),
            (FeatureScaling::MinMax, FeatureScaling::Standard)
        );
        // The mean of all rows stands in for a gap, not the least value.
        assert_eq!((fit.gap_mean(0), fit.gap_mean(1)), (Some(2.5), Some(3.0)));
        // The targets are 10, 12, 14, 16: numpy's log1p and its population moments.
        assert!(
            (fit.target_mean[0] - 2.626_027_043_854_583_6).abs() < 1e-14,
            "{:?}",
            fit.target_mean
        );
        assert!(
            (fit.target_std[0] - 0.162_348_814_329_271_9).abs() < 1e-14,
            "{:?}",
            fit.target_std
        );
        for (z, y) in fit.scaled_targets(&[10.0, 16.0]).zip([10.0, 16.0]) {
            assert!((fit.restore_target(z, 0) - y).abs() < 1e-5, "{z} {y}");
        }
        let text = serde_json::to_string(&fit).unwrap();
        assert!(text.contains(r#""curves":{"methods":["minmax","standard"]"#), "{text}");
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), fit);
        let ranks =
            by(&[("x1", FeatureScaling::Quantile)], Some(FeatureScaling::Quantile)).unwrap();
        let text = serde_json::to_string(&ranks).unwrap();
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), ranks, "{text}");
        let said = |it: Result<Preprocessing>| it.unwrap_err().to_string();
        assert_eq!(
            said(by(&[("z", log)], None)),
            "columns: `z` is no feature; leave log out for it"
        );
        let said = said(by(&[], Some(FeatureScaling::Robust)));
        assert!(said.starts_with("target_scale: robust is for features"), "{said}");
    }

    #[test]
    fn scaling_of_another_model_goes_by_name() {
        let rules = |method| ScalingRules {
            features: method,
            columns: vec![("x1".into(), FeatureScaling::Quantile)],
            target: Some(FeatureScaling::Log),
            texts: false,
        };
        let data = numbers(&[3.0, 1.0, -1.0, 2.0, 0.0, 3.0, 8.0, 6.0], 2);
        let other = Preprocessing::fit_by(&data, &rules(FeatureScaling::Robust)).unwrap();
        let turned = data.clone().with_columns(["x1", "new"]).unwrap();
        let mut own = Preprocessing::fit(&turned, FeatureScaling::Standard);
        own.take_from(&other);
        assert_eq!(own.method(0), FeatureScaling::Quantile);
        assert_eq!(own.scaled_feature(2.5, 0), other.scaled_feature(2.5, 1));
        assert_eq!((own.method(1), own.gap_mean(1)), (FeatureScaling::Standard, Some(3.0)));
        assert_eq!(own.restore_target(0.7, 0), other.restore_target(0.7, 0));
    }

    proptest! {
        #[test]
        fn scaled_columns_have_moments_0_and_1_and_targets_come_back(
            rows in prop::collection::vec((-1e6_f64..1e6, -1e-3_f64..1e-3, -1e4_f64..1e4), 2..80)
        ) {
            let x: Vec<f64> = rows.iter().flat_map(|r| [r.0, r.1]).collect();
            let y: Vec<f64> = rows.iter().map(|r| r.2).collect();
            let data = Dataset::from_arrays(&x, 2, Targets::Numbers(y.clone())).unwrap();
            let fit = Preprocessing::fit(&data, FeatureScaling::Standard);
            let scaled = fit.features(&x);
            for c in 0..2 {
                let (mean, std) = moments(scaled[c..].iter().step_by(2).map(|&v| f64::from(v)), None);
                // Each scaled value is rounded to f32: at most sqrt(80) * 2^-24 off, and constants give std 1.
                prop_assert!(mean.abs() < 1e-6 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
            }
            for (&want, z) in y.iter().zip(fit.scaled_targets(&y)) {
                let got = fit.restore_target(z, 0);
                // Half an ulp of z, in units of the target.
                let limit = f64::from(z.abs()) * fit.target_std[0] * 2_f64.powi(-24) + 1e-9;
                prop_assert!((got - want).abs() <= limit, "{got} {want} {limit:e}");
            }
        }
    }
}
