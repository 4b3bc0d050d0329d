//! The training loss of an epoch, as its steps become known.
//!
//! In: losses of steps, in order, each with the weight of its rows. Out: their mean, or their sum.
//! Absent on purpose: the consequences of a loss that is not finite.

use serde::{Deserialize, Serialize};

use crate::graph::Reduction;

/// Sum of an epoch's losses, each multiplied by the weight of its rows; and the sum of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::train) struct Losses {
    pub(in crate::train) sum: f64,
    pub(in crate::train) weight: f64,
    /// Losses of an update that has not ended.
    pub(in crate::train) open: PendingUpdate,
    /// Number of updates that were skipped.
    pub(in crate::train) lost: u32,
}

/// The same sums for the steps of one update, which are all used or all skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingUpdate {
    #[serde(rename = "sum")]
    sum: f64,
    #[serde(rename = "weight")]
    weight: f64,
    /// True if one of the losses is not finite.
    #[serde(rename = "lost")]
    lost: bool,
}

impl Losses {
    /// Adds a step.
    pub(in crate::train) fn add(&mut self, loss: f32, weight: f64) {
        self.sum += f64::from(loss) * weight;
        self.weight += weight;
    }

    /// Adds a step of an update that is skipped if one of its losses is not finite; `ends`: the step is the update's last.
    pub(in crate::train) fn add_to_move(&mut self, loss: f32, weight: f64, ends: bool) {
        if loss.is_finite() {
            self.open.sum += f64::from(loss) * weight;
            self.open.weight += weight;
        } else {
            self.open.lost = true;
        }
        // The end of an update decides if its steps are used.
        if !ends {
            return;
        }
        let open = std::mem::take(&mut self.open);
        if open.lost {
            self.lost += 1;
        } else {
            self.sum += open.sum;
            self.weight += open.weight;
        }
    }

    /// Returns the loss of the known steps that were not skipped.
    pub(in crate::train) fn told(&self, reduction: Reduction) -> f64 {
        match reduction {
            Reduction::Mean => self.sum / self.weight.max(f64::MIN_POSITIVE),
            Reduction::Sum => self.sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_counts_whole_or_not_at_all() {
        let mut losses = Losses::default();
        for (loss, ends) in [(1.0, false), (3.0, true), (5.0, false), (f32::NAN, true)] {
            losses.add_to_move(loss, 2.0, ends);
        }
        losses.add_to_move(7.0, 2.0, false);
        assert_eq!((losses.told(Reduction::Mean), losses.lost), (2.0, 1));
        losses.add_to_move(f32::INFINITY, 2.0, true);
        losses.add_to_move(8.0, 2.0, true);
        assert_eq!((losses.told(Reduction::Mean), losses.lost), (4.0, 2));
        assert_eq!(losses.told(Reduction::Sum), 24.0);
    }
}
