//! Scalars that change from one update of the weights to the next, computed ahead in double precision.
//!
//! In: the updates in their order, each with its learning rate. Out: the scalars of their steps.

use serde::{Deserialize, Serialize};

use super::Optimizer;
use super::specs::{AVERAGE, DECAY, LR, OWN, StepInputs, setting_scalars};
use crate::graph::Average;

/// Number of further scalars that an optimizer may have in each step.
pub const SCALARS: usize = 13;

/// Place of an update in the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateContext {
    /// Learning rate.
    pub lr: f64,
    /// Factor of weight decay.
    pub decay: f64,
    /// The epoch, from 0.
    pub epoch: u32,
    /// True if it is the epoch's last update.
    pub last: bool,
}

/// Counts the updates of a run: some optimizers' numbers depend on all updates before.
#[derive(Clone, Debug)]
pub struct OptimizerSchedule {
    optimizer: Optimizer,
    average: Option<Average>,
    past: OptimizerHostState,
}

/// State that the host keeps from one update to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerHostState {
    #[serde(rename = "moves")]
    moves: u64,
    /// `NAdam`'s product of µ so far.
    #[serde(rename = "product")]
    pub(super) product: f64,
    /// The sum of schedule-free's weights so far, and the largest rate.
    #[serde(rename = "sum")]
    pub(super) sum: f64,
    #[serde(rename = "largest")]
    pub(super) largest: f64,
    /// Weights that the average is of.
    #[serde(rename = "averaged")]
    averaged: u64,
}

impl OptimizerHostState {
    /// Returns whether at most this many updates can have led to this state.
    pub fn fits(&self, moves: u64) -> bool {
        self.averaged <= self.moves && self.moves <= moves
    }
}

impl Default for OptimizerHostState {
    fn default() -> Self {
        Self { moves: 0, product: 1.0, sum: 0.0, largest: 0.0, averaged: 0 }
    }
}

impl OptimizerSchedule {
    /// Makes the schedule before the first update.
    pub fn new(optimizer: Optimizer, average: Option<Average>) -> Self {
        Self::after(OptimizerHostState::default(), optimizer, average)
    }

    /// Continues after the updates of an earlier part of the run.
    pub fn after(past: OptimizerHostState, optimizer: Optimizer, average: Option<Average>) -> Self {
        Self { optimizer, average, past }
    }

    /// Returns the state after the updates so far.
    pub fn past(&self) -> OptimizerHostState {
        self.past
    }

    /// Returns the numbers of the next update, for [`crate::plan::StepParams::scalars`].
    pub fn next(&mut self, moment: UpdateContext) -> [f64; SCALARS] {
        self.past.moves += 1;
        let optimizer = &self.optimizer;
        let (correction1, correction2) = optimizer.corrections(self.past.moves);
        let mut scalars = [0.0; SCALARS];
        scalars[usize::from(LR)] = moment.lr;
        scalars[usize::from(DECAY)] =
            optimizer.setting("weight-decay").unwrap_or(0.0) * moment.decay;
        let own = (optimizer.method().scalars)(StepInputs {
            optimizer,
            lr: moment.lr,
            t: self.past.moves as f64,
            first: self.past.moves == 1,
            correction1,
            correction2,
            past: &mut self.past,
        });
        scalars[usize::from(OWN)..][..own.len()].copy_from_slice(&own);
        for setting in setting_scalars(&self.optimizer) {
            scalars[setting.place] = setting.value;
        }
        if let Some(average) = self.average {
            let (share, counted) = average.share(self.past.moves - 1, self.past.averaged, moment);
            scalars[usize::from(AVERAGE)] = share;
            self.past.averaged += u64::from(counted);
        }
        scalars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(optimizer: &str, average: Option<Average>, count: usize) -> Vec<[f64; SCALARS]> {
        let mut pace = OptimizerSchedule::new(Optimizer::by_name(optimizer).unwrap(), average);
        let moment = |step: usize| UpdateContext {
            lr: 0.1,
            decay: 0.5,
            epoch: step as u32 / 2,
            last: step % 2 == 1,
        };
        (0..count).map(|step| pace.next(moment(step))).collect()
    }

    #[test]
    fn first_moves_are_as_worked_out_by_hand() {
        let adamw = moves("adamw", None, 1)[0];
        assert!((adamw[2] - 1.0).abs() < 1e-12 && adamw[1] == 0.005);
        let sgd = moves("sgd(momentum=0.9, dampening=0.25)", None, 2);
        assert_eq!([sgd[0][2], sgd[1][2]], [1.0, 0.75]);
        let adagrad = moves("adagrad(lr-decay=1, initial-accumulator=3)", None, 2);
        assert_eq!(adagrad[0][2..4], [3.0, 0.1]);
        assert_eq!(adagrad[1][2..4], [0.0, 0.05]);
        // RAdam's length reaches 5 with the sixth move.
        let radam = moves("radam", None, 6);
        assert!(radam[4][2] == 0.0 && radam[5][2] > 0.0);
        // Equal rates: the plain mean of where z has been.
        let free = moves("schedule-free", None, 3);
        let shares = free.iter().map(|it| it[2]).collect::<Vec<_>>();
        assert!((shares[1] - 0.5).abs() < 1e-15 && (shares[2] - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!([free[0][4], free[1][4]], [1.0, 0.0]);
    }

    #[test]
    fn averages_take_their_shares() {
        let share = |text: &str| -> Vec<f64> {
            let average = text.parse().unwrap();
            moves("sgd", Some(average), 6).iter().map(|it| it[6]).collect()
        };
        assert_eq!(share("ema(decay=0.75, warmup=0)"), [1.0, 0.25, 0.25, 0.25, 0.25, 0.25]);
        // (1 + t) / (10 + t)
        assert!((share("ema")[1] - 9.0 / 11.0).abs() < 1e-12);
        assert_eq!(share("swa(start=1)"), [1.0, 1.0, 1.0, 1.0, 0.0, 0.5]);
        let thirds = [1.0, 1.0, 1.0, 0.5, 1.0 / 3.0, 0.25];
        assert_eq!(share("swa(start=1, each=step)"), thirds);
    }
}
