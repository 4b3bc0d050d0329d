//! The metrics by name, and which way each is better.
//!
//! Absent on purpose: the formulas; see `classes.rs` and `numbers.rs`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::shape::fixed;

/// A figure of predictions against targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// The training loss.
    Loss,
    /// Share of rows whose class is right.
    Accuracy,
    /// Mean recall of the classes that occur.
    BalancedAccuracy,
    /// Share of rows whose class is among the k likeliest.
    TopK(usize),
    /// Precision of classes, averaged.
    Precision(ClassAverage),
    /// Recall of classes, averaged.
    Recall(ClassAverage),
    /// Harmonic mean of precision and recall of classes, averaged.
    F1(ClassAverage),
    /// Matthews' correlation coefficient.
    Matthews,
    /// Mean −log of the probability given to the right class.
    LogLoss,
    /// Squared distance of probabilities from what came true.
    Brier,
    /// Area under the receiver operating characteristic.
    RocAuc,
    /// Area under precision over recall, by steps.
    AveragePrecision,
    /// Expected calibration error over this number of bins.
    CalibrationError(usize),
    /// Share of the spread of the targets that predictions explain.
    R2,
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Mean absolute error as a fraction of the target.
    Mape,
    /// Median absolute error.
    MedianAbsoluteError,
    /// As R², the mean error taken out.
    ExplainedVariance,
    /// Mean loss of predictions taken for a quantile, above 0 and below 1; of the predictions of this quantile, if the loss
    /// makes some.
    Pinball(f64),
    /// Share of targets within the interval that a loss of quantiles, or of a mean and a variance, predicts.
    Coverage,
}

/// How figures of classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassAverage {
    /// The mean over classes that occur among targets or predictions; of labels, over all of them.
    Macro,
    /// Of all hits and misses together.
    Micro,
    /// Of the positive class alone, where there are two.
    Binary,
}

impl Metric {
    /// Reads a name such as `f1_macro` or `top_3`.
    ///
    /// # Errors
    /// If there is no metric of this name; the text lists the known ones.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let wanted = name.trim().to_ascii_lowercase().replace('-', "_");
        let plain = match wanted.as_str() {
            "loss" => Some(Self::Loss),
            "accuracy" => Some(Self::Accuracy),
            "balanced_accuracy" => Some(Self::BalancedAccuracy),
            "precision" => Some(Self::Precision(ClassAverage::Binary)),
            "precision_macro" => Some(Self::Precision(ClassAverage::Macro)),
            "precision_micro" => Some(Self::Precision(ClassAverage::Micro)),
            "recall" => Some(Self::Recall(ClassAverage::Binary)),
            "recall_macro" => Some(Self::Recall(ClassAverage::Macro)),
            "recall_micro" => Some(Self::Recall(ClassAverage::Micro)),
            "f1" => Some(Self::F1(ClassAverage::Binary)),
            "f1_macro" => Some(Self::F1(ClassAverage::Macro)),
            "f1_micro" => Some(Self::F1(ClassAverage::Micro)),
            "matthews" => Some(Self::Matthews),
            "log_loss" => Some(Self::LogLoss),
            "brier" => Some(Self::Brier),
            "roc_auc" => Some(Self::RocAuc),
            "average_precision" => Some(Self::AveragePrecision),
            "r2" => Some(Self::R2),
            "mae" => Some(Self::Mae),
            "rmse" => Some(Self::Rmse),
            "mape" => Some(Self::Mape),
            "median_absolute_error" => Some(Self::MedianAbsoluteError),
            "explained_variance" => Some(Self::ExplainedVariance),
            "coverage" => Some(Self::Coverage),
            _ => None,
        };
        let whole = |prefix: &str| {
            let digits = wanted.strip_prefix(prefix)?;
            digits.parse().ok().filter(|&count: &usize| count > 0 && count < 1_000_000)
        };
        let quantile = || {
            let digits = wanted.strip_prefix("pinball_")?;
            digits.parse().ok().filter(|&share: &f64| share > 0.0 && share < 1.0)
        };
        plain
            .or_else(|| whole("top_").map(Self::TopK))
            .or_else(|| whole("ece_").map(Self::CalibrationError))
            .or_else(|| quantile().map(Self::Pinball))
            .ok_or_else(|| {
                let known: Vec<_> = Self::VOCABULARY.iter().map(|entry| entry.name).collect();
                format!(
                    "unknown name \"{name}\"; known: {}, with numbers for K, BINS and QUANTILE",
                    known.join(", ")
                )
            })
    }

    /// Reads names between commas, or `none`; errors speak of the option.
    ///
    /// # Errors
    /// If one is unknown.
    pub fn list(option: &str, names: &str) -> Result<Vec<Self>> {
        if names.trim().eq_ignore_ascii_case("none") {
            return Ok(vec![]);
        }
        let names = names.split(',').filter(|name| !name.trim().is_empty());
        names.map(|name| Self::named(option, name)).collect()
    }

    /// Reads one name; errors speak of the option.
    ///
    /// # Errors
    /// If it is unknown.
    pub fn named(option: &str, name: &str) -> Result<Self> {
        Self::by_name(name).map_err(|problem| Error::setting(option, problem))
    }

    /// True if more of it is better.
    pub fn higher_is_better(self) -> bool {
        match self {
            Self::Accuracy
            | Self::BalancedAccuracy
            | Self::TopK(_)
            | Self::Precision(_)
            | Self::Recall(_)
            | Self::F1(_)
            | Self::Matthews
            | Self::RocAuc
            | Self::AveragePrecision
            | Self::R2
            | Self::Coverage
            | Self::ExplainedVariance => true,
            Self::Loss
            | Self::LogLoss
            | Self::Brier
            | Self::CalibrationError(_)
            | Self::Mae
            | Self::Rmse
            | Self::Mape
            | Self::MedianAbsoluteError
            | Self::Pinball(_) => false,
        }
    }

    /// True if it is for targets that are classes; `None` for any.
    pub fn of_classes(self) -> Option<bool> {
        match self {
            Self::Loss => None,
            Self::R2
            | Self::Mae
            | Self::Rmse
            | Self::Mape
            | Self::MedianAbsoluteError
            | Self::ExplainedVariance
            | Self::Coverage
            | Self::Pinball(_) => Some(false),
            _ => Some(true),
        }
    }

    /// True if it is precision, recall or F1.
    pub(super) fn of_hits(self) -> bool {
        matches!(self, Self::Precision(_) | Self::Recall(_) | Self::F1(_))
    }

    /// True if it is of the positive class alone.
    pub(in crate::train) fn of_positive(self) -> bool {
        matches!(
            self,
            Self::Precision(ClassAverage::Binary)
                | Self::Recall(ClassAverage::Binary)
                | Self::F1(ClassAverage::Binary)
        )
    }

    /// Returns a value with four places after the point. Losses and errors in the target's units may be of any size: where these places were
    /// all 0, they are shown by powers of ten.
    pub(crate) fn shown(self, value: f64) -> String {
        let of_any_size = matches!(
            self,
            Self::Loss | Self::Mae | Self::Rmse | Self::MedianAbsoluteError | Self::Pinball(_)
        );
        let is_small = value != 0.0 && value.abs() < 0.5e-4;
        if of_any_size && is_small { format!("{value:.3e}") } else { fixed(value) }
    }

    /// True if it makes something of probabilities besides their order.
    pub(super) fn of_probabilities(self) -> bool {
        matches!(self, Self::LogLoss | Self::Brier | Self::CalibrationError(_))
    }

    /// True if every validation has it, asked for or not.
    pub(crate) fn usual(self) -> bool {
        matches!(self, Self::Loss | Self::Accuracy | Self::R2 | Self::Mae | Self::Rmse)
    }

    /// All that suit targets of so many classes, 0 for numbers, but for the usual ones and for quantiles.
    pub fn suiting(classes: usize) -> Vec<Self> {
        if classes == 0 {
            return vec![Self::Mape, Self::MedianAbsoluteError, Self::ExplainedVariance];
        }
        let top = [2, 3, 5].into_iter().filter(|&k| k < classes).map(Self::TopK);
        let binary = (classes == 2).then_some(ClassAverage::Binary);
        std::iter::once(Self::BalancedAccuracy)
            .chain(top)
            .chain(
                binary
                    .into_iter()
                    .chain([ClassAverage::Macro, ClassAverage::Micro])
                    .flat_map(|by| [Self::Precision(by), Self::Recall(by), Self::F1(by)]),
            )
            .chain([Self::Matthews, Self::LogLoss, Self::Brier, Self::RocAuc])
            .chain([Self::AveragePrecision, Self::CalibrationError(10), Self::CalibrationError(15)])
            .collect()
    }

    /// Checks that targets of so many classes, 0 for numbers, have it; errors speak of the option.
    ///
    /// # Errors
    /// If they have not.
    pub fn check(self, option: &str, classes: usize) -> Result<()> {
        let refuse = |problem: String| Err(Error::setting(option, problem));
        match (self, self.of_classes()) {
            (_, Some(true)) if classes == 0 => refuse(format!(
                "{self} is for classes, and the target is a number; use r2, mae or rmse, or ‘task’ classify"
            )),
            (_, Some(false)) if classes > 0 => refuse(format!(
                "{self} is for numbers, and the target is a class; use accuracy or f1_macro, or ‘task’ regress"
            )),
            _ if self.of_positive() && classes > 2 => refuse(format!(
                "{self} is for two classes, of which one is the positive one, and the target has {classes}; use {self}_macro \
                 or {self}_micro"
            )),
            (Self::TopK(k), _) if k >= classes => refuse(format!(
                "{self} is 1 for {classes} classes, whatever is predicted; take fewer than there are"
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ClassAverage {
    /// Writes what follows the name of a figure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Macro => "_macro",
            Self::Micro => "_micro",
            Self::Binary => "",
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopK(k) => return write!(f, "top_{k}"),
            Self::Precision(average) => return write!(f, "precision{average}"),
            Self::Recall(average) => return write!(f, "recall{average}"),
            Self::F1(average) => return write!(f, "f1{average}"),
            Self::CalibrationError(bins) => return write!(f, "ece_{bins}"),
            Self::Pinball(quantile) => return write!(f, "pinball_{quantile}"),
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::Matthews => "matthews",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::RocAuc => "roc_auc",
            Self::AveragePrecision => "average_precision",
            Self::R2 => "r2",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::Mape => "mape",
            Self::MedianAbsoluteError => "median_absolute_error",
            Self::ExplainedVariance => "explained_variance",
            Self::Coverage => "coverage",
        })
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::named("metrics", name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_small_units_are_not_shown_as_none() {
        let shown = |name: &str, value: f64| name.parse::<Metric>().unwrap().shown(value);
        assert_eq!(
            (shown("mae", 2.464e-8), shown("rmse", 0.0)),
            ("2.464e-8".into(), "0.0000".into())
        );
        assert_eq!(
            (shown("loss", -3e-6), shown("mae", 0.25)),
            ("-3.000e-6".into(), "0.2500".into())
        );
        // These have no units.
        assert_eq!((shown("r2", -2e-5), shown("brier", 1e-9)), ("-0.0000".into(), "0.0000".into()));
    }

    #[test]
    fn the_vocabulary_lists_the_known_names() {
        let mut listed: Vec<String> = Vec::new();
        for entry in Metric::VOCABULARY {
            let name =
                entry.name.replace("BINS", "15").replace("QUANTILE", "0.9").replace('K', "3");
            let metric: Metric = name.parse().unwrap();
            assert_eq!(metric.to_string(), name);
            listed.push(name);
        }
        let [classes, two, numbers] = [9, 2, 0].map(Metric::suiting);
        let usual = [Metric::Loss, Metric::Accuracy, Metric::R2, Metric::Mae, Metric::Rmse];
        for metric in classes
            .into_iter()
            .chain(two)
            .chain(numbers)
            .chain(usual)
            .chain([Metric::Pinball(0.9), Metric::Coverage])
        {
            let name = metric.to_string();
            let kin = ["top_2", "top_5", "ece_10"].contains(&name.as_str());
            assert!(kin || listed.contains(&name), "{name}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "f2", "top_0", "top_", "ece_-1", "pinball_1", "pinball_nan", "auc"] {
            let said = name.parse::<Metric>().unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("metrics: unknown name \"{name}\"; known: loss, ")),
                "{said}"
            );
        }
        assert_eq!(
            Metric::list("metrics", "F1-macro, top_2,").unwrap(),
            [Metric::F1(ClassAverage::Macro), Metric::TopK(2)]
        );
        assert!(Metric::list("metrics", "none").unwrap().is_empty());
    }

    #[test]
    fn metrics_belong_to_classes_or_numbers() {
        let refused =
            |metric: Metric, classes| metric.check("stop_metric", classes).unwrap_err().to_string();
        assert!(
            refused(Metric::Accuracy, 0)
                .contains("accuracy is for classes, and the target is a number")
        );
        assert!(
            refused(Metric::Mape, 3).contains("mape is for numbers, and the target is a class")
        );
        assert!(refused(Metric::TopK(3), 3).contains("top_3 is 1 for 3 classes"));
        let said = refused(Metric::F1(ClassAverage::Binary), 3);
        assert!(said.ends_with("the target has 3; use f1_macro or f1_micro"), "{said}");
        Metric::F1(ClassAverage::Binary).check("metrics", 2).unwrap();
        for metric in Metric::suiting(6) {
            metric.check("metrics", 6).unwrap();
        }
        for metric in Metric::suiting(0) {
            metric.check("metrics", 0).unwrap();
        }
    }
}
