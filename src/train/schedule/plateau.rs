//! A rate that falls when a metric no longer improves: the one schedule that needs to see how a run goes.
//!
//! In: a metric's value as each epoch ends. Out: the fraction of the peak for the next epoch.
//! Absent on purpose: steps; they all have their epoch's fraction.

use serde::{Deserialize, Serialize};

use super::super::Metric;

/// `torch.optim.lr_scheduler.ReduceLROnPlateau`; whether more is better follows from the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// Factor of the learning rate.
    pub factor: f64,
    /// Epochs without an improvement that are let pass; the one after them lowers the rate.
    pub patience: u32,
    /// How much better than the best a value must be to count as an improvement.
    pub threshold: f64,
    /// True if the threshold is a fraction of the best value (`rel`), and not a difference (`abs`).
    pub relative: bool,
    /// Epochs after each fall of the rate in which none is counted as one without an improvement.
    pub cooldown: u32,
    /// Lower end of the reduction, as a fraction of the peak.
    pub min: f64,
    /// A fall by less than this, in units of the rate, is left out.
    pub eps: f64,
    /// Watched metric of the validation rows; without them, the training loss.
    pub metric: Metric,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            relative: true,
            cooldown: 0,
            min: 0.0,
            eps: 1e-8,
            metric: Metric::Loss,
        }
    }
}

/// How far a plateau's fall has come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlateauReduction {
    /// Present fraction of the peak.
    #[serde(rename = "share")]
    pub(super) share: f64,
    #[serde(rename = "best")]
    best: Option<f64>,
    #[serde(rename = "bad")]
    bad: u32,
    #[serde(rename = "cooling")]
    cooling: u32,
}

impl PlateauReduction {
    pub(crate) fn new() -> Self {
        Self { share: 1.0, best: None, bad: 0, cooling: 0 }
    }

    /// Takes in an epoch's value; an epoch without one is neither better nor worse, and changes nothing. `peak` is the rate whose
    /// share falls.
    pub(super) fn observe(&mut self, plateau: &Plateau, peak: f64, value: Option<f64>) {
        let Some(value) = value else { return };
        if self.improves(plateau, value) {
            self.best = Some(value);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > plateau.patience {
            let next = (self.share * plateau.factor).max(plateau.min);
            if (self.share - next) * peak > plateau.eps {
                self.share = next;
            }
            self.cooling = plateau.cooldown;
            self.bad = 0;
        }
    }

    fn improves(&self, plateau: &Plateau, value: f64) -> bool {
        let Some(best) = self.best else { return true };
        let sign = if plateau.metric.higher_is_better() { 1.0 } else { -1.0 };
        let bar = if plateau.relative {
            best * (1.0 + sign * plateau.threshold)
        } else {
            best + sign * plateau.threshold
        };
        sign * value > sign * bar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_waits_its_patience_and_cools_down() {
        let plateau =
            Plateau { factor: 0.5, patience: 1, cooldown: 2, min: 0.2, ..Plateau::default() };
        let mut fall = PlateauReduction::new();
        let shares: Vec<f64> = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 0.9, 0.9]
            .into_iter()
            .map(|loss| {
                fall.observe(&plateau, 1.0, Some(loss));
                fall.share
            })
            .collect();
        // The first loss is the best; 2 that are no better make it fall; 2 that follow do not count.
        assert_eq!(shares, [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2]);
    }

    #[test]
    fn more_is_better_where_the_metric_says_so() {
        let plateau = Plateau { patience: 0, metric: Metric::Accuracy, ..Plateau::default() };
        let mut fall = PlateauReduction::new();
        for value in [Some(0.5), Some(0.6), Some(0.7)] {
            fall.observe(&plateau, 1.0, value);
        }
        assert_eq!(fall.share, 1.0);
        fall.observe(&plateau, 1.0, None);
        assert_eq!(fall.share, 1.0, "an epoch without a value is neither better nor worse");
        fall.observe(&plateau, 1.0, Some(0.7));
        assert!((fall.share - 0.1).abs() < 1e-15, "one that is no better is no improvement");
        fall.observe(&plateau, 1e-8, Some(0.1));
        assert!((fall.share - 0.1).abs() < 1e-15, "a fall of less than eps is left out");
    }
}
