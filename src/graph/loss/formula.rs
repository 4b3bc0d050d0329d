//! The elementwise losses as expressions: one arm each, from which all devices derive value and gradient.

use super::Loss;
use crate::expr::{Expr, Program, StepValue};

/// An elementwise loss: l(prediction, target, c), or of two predictions a target.
///
/// Inputs of its expressions are 0 the prediction, 1 the target, 2 the constant c of the column (a quantile, a positive
/// weight; 1 if there is none), 3 the second prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct LossFormula {
    /// The loss l.
    pub value: Expr,
    /// Derivatives ∂l / ∂ each prediction.
    pub slopes: Vec<Expr>,
}

impl LossFormula {
    /// Returns the program that computes the value, then the derivatives.
    pub fn program(&self) -> Program {
        Program::of(&[std::slice::from_ref(&self.value), &self.slopes].concat())
    }
}

impl Loss {
    /// Returns the number of predictions of an element: two for a mean and a raw variance; quantiles of one target are predictions of
    /// their own.
    pub fn predictions_each(&self) -> usize {
        if matches!(self, Self::GaussianNll { .. }) { 2 } else { 1 }
    }

    /// Returns the loss's formula, if it is elementwise.
    pub fn formula(&self) -> Option<LossFormula> {
        self.formula_of(|_, value| value.into())
    }

    /// Returns the formula in plans, whose steps bring factors of the settings.
    pub(crate) fn planned_formula(&self) -> Option<LossFormula> {
        self.formula_of(|place, value| value * Expr::quantity(StepValue::Loss(place)))
    }

    /// Returns the formula of settings that `number` makes of their places and values.
    fn formula_of(&self, number: impl Fn(u8, f64) -> Expr) -> Option<LossFormula> {
        let [p, y, c, raw] = [0, 1, 2, 3].map(Expr::input);
        let (d, zero) = (&p - &y, Expr::constant(0.0));
        // Negative log likelihood of a label: t softplus(−x) + (1 − t) softplus(x) loses no digits for t of 0 or 1.
        let surprise = |weight: &Expr| weight * &y * (-&p).softplus() + (1.0 - &y) * p.softplus();
        // The positive weight for rows whose label is yes, else 1.
        let yes = 1.0 + &y * (&c - 1.0);
        let value = match *self {
            Self::Classes(_) => return None,
            Self::Mse => d.square(),
            Self::Mae => d.abs(),
            Self::Huber { delta } => {
                let delta = number(0, delta);
                let beyond = &delta * (d.abs() - 0.5 * &delta);
                d.abs().if_less(&delta, &(0.5 * d.square()), &beyond)
            }
            Self::SmoothL1 { beta } => {
                let beta = number(0, beta);
                let within = 0.5 / &beta * d.square();
                d.abs().if_less(&beta, &within, &(d.abs() - 0.5 * &beta))
            }
            // ln cosh d = |d| + ln(1 + e^(−2|d|)) − ln 2, which cannot overflow.
            Self::LogCosh => d.abs() + (-2.0 * d.abs()).softplus() - std::f64::consts::LN_2,
            // The same as max(q (y − p), (q − 1) (y − p)); at the kink its derivative is the mean of both sides.
            Self::Pinball(_) => d.abs() * 0.5 + (0.5 - &c) * &d,
            Self::GaussianNll { full, eps } => {
                // Softplus keeps the variance positive, whatever the raw output is.
                let variance = raw.softplus() + number(0, eps);
                let constant = if full { 0.5 * (2.0 * std::f64::consts::PI).ln() } else { 0.0 };
                0.5 * (variance.ln() + d.square() / &variance) + constant
            }
            Self::PoissonNll { full } => {
                let loss = p.exp() - &y * &p;
                // Stirling's formula replaces ln y!, as in PyTorch, and only above 1.
                let stirling = &y * y.ln() - &y + 0.5 * (2.0 * std::f64::consts::PI * &y).ln();
                let over_one = Expr::constant(1.0).if_less(&y, &stirling, &zero);
                if full { loss + over_one } else { loss }
            }
            Self::BinaryCrossEntropy => surprise(&c),
            Self::BinaryFocal { gamma, alpha } => {
                // 1 − p_t = σ(−z), z = (2t − 1) x, and its power without a function of its own.
                let z = (2.0 * &y - 1.0) * &p;
                let ease = (-number(0, gamma) * z.softplus()).exp();
                let one = Expr::constant(1.0);
                let share = if alpha < 0.0 {
                    one.clone()
                } else {
                    let alpha = number(1, alpha);
                    &alpha * &y + (1.0 - &alpha) * (1.0 - &y)
                };
                yes * share * ease * surprise(&one)
            }
            Self::BinaryHinge { margin } => {
                let short = number(0, margin) - (2.0 * &y - 1.0) * &p;
                // Not a maximum, whose derivative at 0 would not be 0; and NaN stays.
                yes * short.if_at_most(&zero, &zero, &short)
            }
            Self::Custom(ref custom) => custom.expr().clone(),
        };
        // The second input is a raw variance.
        let predictions: &[u8] = if self.predictions_each() == 2 { &[0, 3] } else { &[0] };
        let slopes = predictions.iter().map(|&input| value.derivative(input)).collect();
        Some(LossFormula { value, slopes })
    }
}
