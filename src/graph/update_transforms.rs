//! Transforms of gradients and weights around an optimizer's own formulas, all as expressions.
//!
//! In: an optimizer, further settings of the update. Out: the expressions of the kernel `update`.
//! Absent on purpose: the places of arenas, which the plan decides.

use super::optimizer::{AVERAGE, Optimizer, SHARE, input};
use super::{Average, Group};
use crate::error::{Error, Result};
use crate::expr::{Compare, Expr, ExprNode, StepValue};

/// Buffers that a kernel may bind on every adapter of WebGPU.
const MOST_BINDINGS: usize = 8;

/// Transforms of gradients before, and of weights after, an optimizer's update.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateTransforms {
    /// True if gradients are accumulated over several steps before an update.
    pub accumulate: bool,
    /// The largest norm of all gradients together, as `torch.nn.utils.clip_grad_norm_`: they are multiplied by
    /// min(1, c / (norm + 1e-6)).
    pub clip_norm: Option<f64>,
    /// The largest size of an element of the gradients, as `torch.nn.utils.clip_grad_value_`; after the norm.
    pub clip_value: Option<f64>,
    /// Parameters with factors of their own.
    pub groups: Vec<Group>,
    /// Averaged weights.
    pub average: Option<Average>,
    /// True if updates are skipped whose loss or gradient is not finite.
    pub skips: bool,
}

impl UpdateTransforms {
    /// Checks each setting by itself.
    ///
    /// # Errors
    /// If a setting is out of its range, or does not go with the optimizer.
    pub fn check(&self, optimizer: &Optimizer) -> Result<()> {
        for (name, limit) in [("clip_norm", self.clip_norm), ("clip_value", self.clip_value)] {
            if let Some(limit) = limit.filter(|limit| !(*limit > 0.0 && limit.is_finite())) {
                let problem = format!("{limit}, but it must be a finite number above 0");
                return Err(Error::setting(name, problem));
            }
        }
        self.groups.iter().try_for_each(Group::check)?;
        match &self.average {
            Some(_) if optimizer.evaluated().is_some() => {
                let problem = format!(
                    "{} averages weights by itself; leave it out, or take another ‘optimizer’",
                    optimizer.name()
                );
                Err(Error::setting("average", problem))
            }
            Some(average) => average.check(),
            None => Ok(()),
        }
    }

    /// Returns whether nothing is transformed: the update is the optimizer's own.
    pub fn is_plain(&self) -> bool {
        *self == Self { skips: self.skips, ..Self::default() }
    }

    /// Returns the expressions of one pass over the arenas, or of two. `grouped`: parameters have factors; `scaled`:
    /// gradients are multiplied by a loss scale.
    pub fn passes(&self, optimizer: &Optimizer, grouped: bool, scaled: bool) -> Vec<Pass> {
        let gathered = self.gathered(scaled);
        let mut new = optimizer.formulas(self.clipped(gathered.clone()));
        let mut passes = Vec::new();
        // Of two passes, the first computes the states, the second the weight from them.
        if let Some(second) = optimizer.second() {
            let states = new.split_off(1);
            passes.push(Pass { kind: PassKind::First, exprs: states });
            new = vec![second];
        }
        let (old, zero) = (Expr::input(input::WEIGHT), Expr::constant(0.0));
        if grouped {
            // A formula may round even if its rate is 0, so such a parameter keeps its old value explicitly.
            let rate = Expr::input(input::RATE);
            let evaluated = optimizer.evaluated().map(|state| 1 + state);
            for index in std::iter::once(0).chain(evaluated) {
                new[index] = Expr::select(Compare::Eq, &rate, &zero, &old, &new[index]);
            }
        }
        let mean_with = |new: &Expr| {
            let share = Expr::quantity(StepValue::Scalar(AVERAGE));
            let mean = (1.0 - &share) * Expr::input(input::AVERAGE) + &share * new;
            // A parameter with a rate of 0 is not averaged: it is frozen, or its layer updates it.
            let rate = Expr::input(input::RATE);
            if grouped { Expr::select(Compare::Eq, &rate, &zero, new, &mean) } else { mean }
        };
        let kind = if passes.is_empty() { PassKind::Whole } else { PassKind::Second };
        if kind == PassKind::Whole && self.bindings(optimizer, grouped, scaled) > MOST_BINDINGS {
            passes.push(Pass { kind, exprs: new });
            let copies = self.average.iter().map(|_| mean_with(&old)).collect();
            passes.push(Pass { kind: PassKind::Copies, exprs: copies });
        } else {
            let mean = self.average.as_ref().map(|_| mean_with(&new[0]));
            new.extend(mean);
            passes.push(Pass { kind, exprs: new });
        }
        // The accumulated gradient is the first pass's last result: later passes do not change it.
        if self.accumulate {
            passes[0].exprs.push(gathered);
        }
        for pass in &mut passes {
            // Without a table the factors are 1, and the kernel need not read them.
            if !grouped {
                let one = |node: &ExprNode| {
                    let factor = matches!(node, ExprNode::Input(input::RATE | input::DECAY));
                    factor.then(|| Expr::constant(1.0))
                };
                pass.exprs.iter_mut().for_each(|expr| *expr = expr.replaced(&mut { one }));
            }
        }
        passes
    }

    /// Returns the number of arenas and tables that one pass for the whole update would bind.
    fn bindings(&self, optimizer: &Optimizer, grouped: bool, scaled: bool) -> usize {
        let others = [
            scaled || self.skips,
            grouped || self.clip_norm.is_some(),
            self.accumulate,
            self.average.is_some(),
            // The copy of the weights in half precision.
            scaled,
        ];
        2 + optimizer.states().len() + others.into_iter().filter(|there| *there).count()
    }

    /// Returns the gradient with those of the steps since the last update.
    fn gathered(&self, scaled: bool) -> Expr {
        let mut g = Expr::input(input::GRADIENT);
        // The loss scale is removed first, so that accumulated gradients never bear it.
        if scaled {
            g = g * Expr::input(input::INVERSE);
        }
        if self.accumulate {
            // Each step's gradient is the mean over its own rows, so it is weighted by their fraction.
            let share = Expr::quantity(StepValue::Scalar(SHARE));
            g = Expr::input(input::GATHERED) + share * g;
        }
        g
    }

    /// Returns the gradient that an optimizer sees.
    fn clipped(&self, mut g: Expr) -> Expr {
        // The norm first, then single elements, as the fields' documentation says.
        if self.clip_norm.is_some() {
            g = g * Expr::input(input::CLIP);
        }
        if let Some(limit) = self.clip_value {
            g = g.max(&(-limit).into()).min(&limit.into());
        }
        g
    }
}

/// One of an optimizer's passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassKind {
    /// The only pass: results are the weight, the states, the average; and last the accumulated gradient, if there is one.
    Whole,
    /// The first of two: results are the states; and last the accumulated gradient.
    First,
    /// The second of two: results are the weight, the average.
    Second,
    /// Follows the only pass where that one would bind too many arenas: the result is the average, if there is one, of the
    /// weight as it is now.
    Copies,
}

/// One pass over the arenas.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Kind of the pass.
    pub kind: PassKind,
    /// Results, in the order of [`PassKind`]; inputs are those of [`UpdateInput`].
    pub exprs: Vec<Expr>,
}

/// Inputs of an update's expressions, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateInput {
    /// The weight before.
    Weight,
    /// Its gradient as stored in the arena.
    Gradient,
    /// The state of this index before.
    State(usize),
    /// The gradients accumulated over earlier steps.
    Gathered,
    /// The averaged weight before.
    Average,
    /// Factor of the learning rate.
    Rate,
    /// Factor of the decay.
    Decay,
    /// Factor of a second pass's direction: the ratio of the parameter's norms, or a factor that follows from its shape.
    Trust,
    /// 1 for matrices, else 0.
    Matrix,
    /// Factor that clips the gradients' norm.
    Clip,
    /// Factor that removes the loss scale.
    Inverse,
}

impl UpdateInput {
    /// Returns the input with this number.
    pub fn of(index: u8) -> Self {
        match index {
            input::WEIGHT => Self::Weight,
            input::GRADIENT => Self::Gradient,
            input::GATHERED => Self::Gathered,
            input::AVERAGE => Self::Average,
            input::RATE => Self::Rate,
            input::DECAY => Self::Decay,
            input::TRUST => Self::Trust,
            input::MATRIX => Self::Matrix,
            input::CLIP => Self::Clip,
            input::INVERSE => Self::Inverse,
            state => Self::State(usize::from(state.saturating_sub(input::STATE))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_write_what_their_kinds_say() {
        for name in Optimizer::NAMES {
            let optimizer = Optimizer::by_name(name).unwrap();
            let states = optimizer.states().len();
            let moves = UpdateTransforms::default();
            let passes = moves.passes(&optimizer, false, false);
            let counts: Vec<_> = passes.iter().map(|pass| (pass.kind, pass.exprs.len())).collect();
            let want = if optimizer.between().is_some() {
                vec![(PassKind::First, states), (PassKind::Second, 1)]
            } else {
                vec![(PassKind::Whole, 1 + states)]
            };
            assert_eq!(counts, want, "{name}");
            let average = Some(Average::Ema { decay: 0.5, warmup: 0.0 });
            let moves = UpdateTransforms { average, ..moves };
            // The average is one result more: of the last pass, or of a pass of its own.
            let all: usize =
                moves.passes(&optimizer, true, true).iter().map(|pass| pass.exprs.len()).sum();
            let alone: usize = counts.iter().map(|(_, results)| results).sum();
            assert_eq!(all, alone + 1, "{name}");
        }
    }

    #[test]
    fn without_groups_there_are_no_factors() {
        for name in Optimizer::NAMES {
            let optimizer = Optimizer::by_name(name).unwrap();
            for pass in UpdateTransforms::default().passes(&optimizer, false, false) {
                for instruction in crate::expr::Program::of(&pass.exprs).instructions() {
                    let crate::expr::Instruction::Input(index) = instruction else { continue };
                    let input = UpdateInput::of(*index);
                    assert!(
                        !matches!(
                            input,
                            UpdateInput::Rate | UpdateInput::Decay | UpdateInput::Clip
                        ),
                        "{name}"
                    );
                }
            }
        }
    }

    #[test]
    fn gradients_are_clipped_between_gathering_and_the_optimizer() {
        let moves = UpdateTransforms {
            accumulate: true,
            clip_norm: Some(1.0),
            clip_value: Some(0.5),
            ..UpdateTransforms::default()
        };
        let sgd = Optimizer::by_name("sgd").unwrap();
        let expr = &moves.passes(&sgd, false, false)[0].exprs[0];
        let at = |gradient: f64| {
            let mut inputs = [0.0; 12];
            (inputs[0], inputs[1], inputs[5], inputs[11]) = (1.0, gradient, 0.25, 0.5);
            expr.program().values(&inputs[..], |_| 1.0)[0]
        };
        assert_eq!([at(0.25), at(9.0), at(-9.0)], [0.75, 0.5, 1.5]);
        let bad = UpdateTransforms { clip_norm: Some(0.0), ..moves };
        assert!(bad.check(&sgd).unwrap_err().to_string().starts_with("clip_norm: 0, but"));
        let both = UpdateTransforms {
            average: Some("ema".parse().unwrap()),
            ..UpdateTransforms::default()
        };
        let free = Optimizer::by_name("schedule-free").unwrap();
        assert!(both.check(&free).unwrap_err().to_string().contains("by itself"));
    }
}
