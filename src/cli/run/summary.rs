//! Figures of several networks: mean and standard deviation over them.
//!
//! In: the figures that each network has left. Out: the same figures of all of them together, and lines to show.

use serde_json::{Map, Value};

use super::parts::TrainedPart;
use crate::shape::number;

/// Beginnings of the names of figures.
const FIGURES: [&str; 2] = ["train_loss", "valid_"];

/// The figures of several networks, by name.
pub(super) struct FigureTable<'a>(Vec<&'a Map<String, Value>>);

/// Mean and standard deviation of the figures of several networks.
#[derive(Debug, Default)]
pub(super) struct FigureSpread {
    pub(super) mean: Map<String, Value>,
    pub(super) std: Map<String, Value>,
}

/// Returns the mean of some numbers and their standard deviation, with one degree of freedom less than there are numbers; that
/// of one number is not known.
pub(super) fn mean_and_std(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

impl<'a> FigureTable<'a> {
    pub(super) fn of(parts: &'a [TrainedPart]) -> Self {
        Self(parts.iter().map(|part| &part.metrics).collect())
    }

    /// Returns the values of a figure; `None` where a network has none.
    pub(super) fn values(&self, name: &str) -> Option<Vec<f64>> {
        self.0.iter().map(|it| it.get(name)?.as_f64()).collect()
    }

    /// Returns the sum of a figure over the networks that have it.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter_map(|it| it.get(name)?.as_f64()).sum()
    }

    /// Returns mean and deviation of each figure; `null` where a network has no value.
    pub(super) fn spread(&self) -> FigureSpread {
        let mut spread = FigureSpread::default();
        let first = self.0.first().copied();
        let names = first.into_iter().flat_map(Map::keys);
        for name in names.filter(|name| FIGURES.iter().any(|figure| name.starts_with(figure))) {
            let told = self.values(name).map(|values| mean_and_std(&values));
            let (mean, std) = told.map_or((None, None), |(mean, std)| (Some(mean), std));
            spread.mean.insert(name.clone(), mean.into());
            spread.std.insert(name.clone(), std.into());
        }
        spread
    }
}

impl FigureSpread {
    /// Returns the mean of a figure, if every network has one.
    pub(super) fn mean_of(&self, name: &str) -> Option<f64> {
        self.mean.get(name)?.as_f64()
    }

    /// Returns a line for each figure: `valid_loss 0.031 ± 0.002`.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(name, mean): (&String, &Value)| {
            let std = self.std.get(name).and_then(Value::as_f64);
            let std = std.map_or(String::new(), |std| format!(" ± {}", number(std)));
            Some(format!("{name} {}{std}", number(mean.as_f64()?)))
        };
        self.mean.iter().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_a_sample() {
        assert_eq!(mean_and_std(&[1.0, 3.0]), (2.0, Some(2.0_f64.sqrt())));
        assert_eq!(mean_and_std(&[1.5]), (1.5, None));
    }
}
