//! Derivatives of expressions, one rule for each function.

use std::collections::HashMap;

use super::{Binary, Expr, ExprNode, Unary};

impl Expr {
    /// Returns ∂ / ∂ input. At a kink the rule of the branch taken there holds; the derivative of |x| at 0 is 0.
    pub fn derivative(&self, input: u8) -> Self {
        self.derive_in(input, &mut HashMap::new())
    }

    fn derive_in(&self, input: u8, known: &mut HashMap<*const ExprNode, Self>) -> Self {
        // By address: a part that occurs many times is differentiated once, and its derivative is shared.
        let place: *const ExprNode = self.node();
        if let Some(done) = known.get(&place) {
            return done.clone();
        }
        let done = match self.node() {
            ExprNode::Const(_) | ExprNode::Quantity(_) => Self::constant(0.0),
            ExprNode::Input(index) => Self::constant(if *index == input { 1.0 } else { 0.0 }),
            ExprNode::Unary(function, x) => {
                let d = x.derive_in(input, known);
                // Without the input below, the derivative of the function is not needed.
                if d.number() == Some(0.0) { d } else { self.slope(*function, x) * d }
            }
            ExprNode::Binary(function, a, b) => {
                let (d_a, d_b) = (a.derive_in(input, known), b.derive_in(input, known));
                match function {
                    Binary::Add => d_a + d_b,
                    Binary::Sub => d_a - d_b,
                    Binary::Mul => d_a * b + a * d_b,
                    // (a/b)' = (a' − (a/b) b') / b
                    Binary::Div => (d_a - self * d_b) / b,
                    // The value at equality comes from a, so the derivative does too.
                    Binary::Min => Self::if_at_most(a, b, &d_a, &d_b),
                    Binary::Max => Self::if_at_most(b, a, &d_a, &d_b),
                }
            }
            ExprNode::Select(compare, [a, b, yes, no]) => {
                // The comparison itself has no derivative: the result jumps there or is continuous.
                let (d_yes, d_no) = (yes.derive_in(input, known), no.derive_in(input, known));
                Self::select(*compare, a, b, &d_yes, &d_no)
            }
        };
        known.insert(place, done.clone());
        done
    }

    /// Returns the derivative of `function` at x; `self` is its value there.
    fn slope(&self, function: Unary, x: &Self) -> Self {
        match function {
            Unary::Neg => Self::constant(-1.0),
            Unary::Abs => x.sign(),
            Unary::Sign => Self::constant(0.0),
            Unary::Exp => self.clone(),
            Unary::Expm1 => x.exp(),
            Unary::Ln => 1.0 / x,
            Unary::Log1p => 1.0 / (1.0 + x),
            // Written with the value itself where possible, which the program has computed already.
            Unary::Sqrt => 0.5 / self,
            Unary::Sin => x.cos(),
            Unary::Cos => -x.sin(),
            Unary::Tanh => 1.0 - self * self,
            // Not s (1 − s), which loses all digits if s rounds to 1.
            Unary::Sigmoid => self * (-x).sigmoid(),
            Unary::Softplus => x.sigmoid(),
            Unary::NormalCdf => x.normal_density(),
            Unary::NormalDensity => -x * self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_differences() {
        let x = Expr::input(0);
        let functions = Unary::ALL.map(|function| x.unary(function));
        let y = Expr::input(1);
        let more = [
            &x * &y,
            &x / (1.0 + y.square()),
            x.min(&y),
            x.max(&y),
            x.if_less(&y, &x.square(), &x.exp()),
            (&x * 0.3).tanh() * x.softplus(),
        ];
        for expr in functions.iter().chain(&more) {
            for at in [0.3, 0.9, 1.7, 2.6] {
                for input in 0..2 {
                    let h = 1e-6;
                    let value = |shift: f64| {
                        let mut inputs = [at, 1.2];
                        inputs[usize::from(input)] += shift;
                        expr.program().value(&inputs)
                    };
                    let numeric = (value(h) - value(-h)) / (2.0 * h);
                    let slope = expr.derivative(input).program().value(&[at, 1.2]);
                    assert!((slope - numeric).abs() < 1e-8, "{expr} at {at}: {slope} {numeric}");
                }
            }
        }
    }

    #[test]
    fn ends_give_numbers() {
        let x = Expr::input(0);
        for expr in [x.sigmoid(), x.tanh(), x.softplus(), x.normal_cdf(), &x * x.softplus().tanh()]
        {
            for at in [-1e4, -1e2, 0.0, 1e2, 1e4] {
                assert!(expr.derivative(0).program().value(&[at]).is_finite(), "{expr} {at}");
            }
        }
    }
}
