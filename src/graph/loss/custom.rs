//! A loss of the user's own: an expression of a prediction and its target.
//!
//! In: a text or an expression. Out: a checked [`CustomLoss`], and the same loss for a target that was divided by a number.

use std::fmt;

use crate::error::{Error, Result};
use crate::expr::{Binary, Expr, ExprNode, parse_with_names};
use crate::model::call;

/// Names of the inputs of a loss: the prediction and the target.
const NAMES: [&str; 2] = ["p", "y"];

/// l(p, y), the loss of one number: p the prediction and y the target, both in the target's own units. Value, gradient and
/// GPU code come from the one expression.
///
/// ```
/// use wgrad::graph::{CustomLoss, Loss};
/// // Too low costs four times as much as too high.
/// let loss = CustomLoss::new("if(p < y, 4 * (y - p), p - y)")?;
/// assert_eq!(Loss::Custom(loss), "custom(if(p < y, 4 * (y - p), p - y))".parse()?);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CustomLoss {
    value: Expr,
}

impl CustomLoss {
    /// Reads the expression's text, in which `p` is the prediction and `y` the target; it may call activations by their names.
    ///
    /// # Errors
    /// If the text is no expression, or no loss.
    pub fn new(text: &str) -> Result<Self> {
        let input = |name: &str| {
            let place = (0_u8..).zip(NAMES).find(|(_, known)| *known == name);
            place.map(|(index, _)| Expr::input(index))
        };
        let value = parse_with_names(text, ("p, y", &input), &call)
            .map_err(|problem| Error::setting("loss", format!("custom({text}): {problem}")))?;
        Self::of(value)
    }

    /// Takes an expression: input 0 is the prediction, input 1 the target.
    ///
    /// # Errors
    /// If the expression does not use both of them, uses anything else, or has a derivative of 0 everywhere.
    pub fn of(value: Expr) -> Result<Self> {
        let custom = Self { value };
        match custom.problem() {
            Some(problem) => Err(Error::setting("loss", format!("{custom}: {problem}"))),
            None => Ok(custom),
        }
    }

    /// Returns the expression.
    pub fn expr(&self) -> &Expr {
        &self.value
    }

    /// Returns what is wrong with the expression as a loss.
    fn problem(&self) -> Option<String> {
        let (mut used, mut beyond, mut steps) = ([false; 2], false, false);
        self.value.replaced(&mut |node| {
            match node {
                ExprNode::Input(index) => match used.get_mut(usize::from(*index)) {
                    Some(used) => *used = true,
                    None => beyond = true,
                },
                ExprNode::Quantity(_) => steps = true,
                _ => {}
            }
            None
        });
        if beyond || steps {
            return Some(
                "it may use the prediction p and the target y alone; leave other names out"
                    .to_string(),
            );
        }
        if let Some(value) = self.value.endless() {
            return Some(format!("a part of it is {value} for every p and y; leave that part out"));
        }
        if let Some(missing) = used.iter().position(|used| !used) {
            return Some(format!(
                "it does not use {}; p is the prediction, y the target",
                NAMES[missing]
            ));
        }
        if self.value.derivative(0).number() == Some(0.0) {
            return Some(
                "its derivative by p is 0 everywhere, so that nothing can be learned from it; take one that changes with p"
                    .into(),
            );
        }
        // Files hold the loss as a text, with the target's unit in it.
        let unit = 1.0 / 3.0;
        let text = self.in_units_of(unit).value.text_with(&NAMES);
        let input = |name: &str| NAMES.iter().position(|it| *it == name).map(|_| Expr::input(0));
        let read = parse_with_names(&text, ("p, y", &input), &call);
        read.err().map(|problem| {
            format!("it is too long to be kept in a file: {problem}; make it shorter")
        })
    }

    /// Returns true if the loss depends on the difference of p and y alone: `p - y`, `y - p` and comparisons of the two are
    /// the only places of both.
    pub(crate) fn is_of_difference(&self) -> bool {
        let mut left = false;
        // Another input in place of p - y, with its sign: a number could make other parts of the expression disappear.
        let other = |node: &ExprNode| {
            let sign =
                if difference(node)? == Expr::input(0) - Expr::input(1) { 1.0 } else { -1.0 };
            Some(sign * Expr::input(2))
        };
        with_differences(&self.value).replaced(&mut { other }).replaced(&mut |node| {
            left |= matches!(node, ExprNode::Input(0 | 1));
            None
        });
        !left
    }

    /// Returns the same loss, value for value, of a prediction and a target that were divided by `unit`.
    #[must_use]
    pub fn in_units_of(&self, unit: f64) -> Self {
        let value = with_differences(&self.value).replaced(&mut |node| match node {
            ExprNode::Input(index) => Some(unit * Expr::input(*index)),
            // The difference first: it has more digits than both.
            _ => difference(node).map(|difference| unit * difference),
        });
        Self { value }
    }
}

/// Returns the expression with `p - y < 0` for `p < y`, and so on.
fn with_differences(expr: &Expr) -> Expr {
    expr.replaced(&mut |node| match node {
        ExprNode::Select(compare, [a, b, yes, no]) => {
            let difference = a - b;
            self::difference(difference.node())?;
            let [yes, no] = [yes, no].map(with_differences);
            Some(Expr::select(*compare, &difference, &0.0.into(), &yes, &no))
        }
        _ => None,
    })
}

/// Returns the difference of prediction and target, if a part of an expression is one.
fn difference(node: &ExprNode) -> Option<Expr> {
    let ExprNode::Binary(Binary::Sub, a, b) = node else { return None };
    match (a.node(), b.node()) {
        (ExprNode::Input(x), ExprNode::Input(y)) if x != y => Some(a - b),
        _ => None,
    }
}

impl fmt::Display for CustomLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custom({})", self.value.text_with(&NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loss;
    use super::*;

    #[test]
    fn texts_are_losses_of_a_prediction_and_its_target() {
        let loss: Loss = "custom(abs(y - p))".parse().unwrap();
        assert_eq!(loss.to_string(), "custom(abs(y - p))");
        assert_eq!(loss.formula().unwrap().program().values(&[1.0, 3.0], |_| 0.0), [2.0, -1.0]);
        let hinge: Loss = " Custom( relu(1 - y*p) )".parse().unwrap();
        assert_eq!(hinge.to_string().parse::<Loss>().unwrap(), hinge);
    }

    #[test]
    fn what_is_no_loss_is_refused() {
        for (text, part) in [
            ("abs(x)", "expected p, y, a number or a function at character 5"),
            ("p ^ 2", "does not use y"),
            ("abs(y)", "does not use p"),
            ("sign(y - p)", "derivative by p is 0"),
            ("(y - p) / 0 * exp(1000)", "inf"),
            ("", "at its end"),
        ] {
            let said = CustomLoss::new(text).unwrap_err().to_string();
            assert!(said.starts_with("loss: custom(") && said.contains(part), "{text}: {said}");
        }
        let long = format!("abs(y - p){}", " + p * y".repeat(150));
        assert!(CustomLoss::new(&long).unwrap_err().to_string().contains("too long"));
        let other = CustomLoss::of(Expr::input(0) * Expr::input(1) * Expr::input(2));
        assert!(other.unwrap_err().to_string().contains("alone"));
    }

    #[test]
    fn units_change_no_value() {
        for (text, difference) in [
            ("(y - p) ^ 2 + abs(p - y)", true),
            ("if(p >= y, if(y == p, 0, 3), 4) * (y - p)", true),
            ("abs(y - p) / (1 + abs(y))", false),
            // The same value on both sides, but not the same target.
            ("if(y < -3, y - p, p - y)", false),
            ("abs(y - p) + if(y < 2, 0 * p, 0)", true),
        ] {
            let loss = CustomLoss::new(text).unwrap();
            assert_eq!(loss.is_of_difference(), difference, "{text}");
            let at = |loss: &CustomLoss, p: f64, y: f64| loss.expr().program().value(&[p, y]);
            let scaled = loss.in_units_of(4.0);
            assert_eq!(at(&scaled, 0.5, -1.25), at(&loss, 2.0, -5.0), "{text}");
        }
    }
}
