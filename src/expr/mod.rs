//! Elementwise functions as data: an expression, from which its value, its gradient and its WGSL are derived.
//!
//! In: operators on [`Expr`], or a text. Out: derivatives, and a [`Program`] that is evaluated or written as WGSL.
//! Absent on purpose: matrices, devices. The values of the primitive functions at their limits are stated in [`Unary`].

mod derive;
mod eval;
mod program;
mod text;

use std::sync::Arc;

pub use eval::{F64Math, Functions, LANES, Numeric};
pub use program::{Instruction, Program};
pub use text::{CallResolver, NameResolver, parse, parse_with_names};

/// A constant, compared by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Values of a training step that an expression may use besides its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepValue {
    /// Number of valid rows of the batch.
    Rows,
    /// 1 in valid rows, 0 in others.
    Counts,
    /// Factor by which dropout multiplies an element: 0, or 1 / (1 − rate). Each layer has a stream of its own.
    Keep(u32, Number),
    /// One of the step's scalars.
    Scalar(u8),
    /// Factor of one of the loss's settings.
    Loss(u8),
}

/// Functions of one number. All of them keep NaN, and none returns NaN for a number, except where stated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// −x
    Neg,
    /// |x|
    Abs,
    /// −1, 0 or 1
    Sign,
    /// eˣ
    Exp,
    /// eˣ − 1, exact to the last digits for small x
    Expm1,
    /// ln x; NaN for x < 0
    Ln,
    /// ln(1 + x) for x ≥ 0; NaN for x < −1
    Log1p,
    /// √x; NaN for x < 0
    Sqrt,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// tanh x
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// ln(1 + eˣ)
    Softplus,
    /// Φ(x), the standard normal distribution function
    NormalCdf,
    /// φ(x), the standard normal density
    NormalDensity,
}

impl Unary {
    /// Every function.
    pub const ALL: [Self; 15] = [
        Self::Neg,
        Self::Abs,
        Self::Sign,
        Self::Exp,
        Self::Expm1,
        Self::Ln,
        Self::Log1p,
        Self::Sqrt,
        Self::Sin,
        Self::Cos,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softplus,
        Self::NormalCdf,
        Self::NormalDensity,
    ];

    /// Returns the function's name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Abs => "abs",
            Self::Sign => "sign",
            Self::Exp => "exp",
            Self::Expm1 => "expm1",
            Self::Ln => "ln",
            Self::Log1p => "log1p",
            Self::Sqrt => "sqrt",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::NormalCdf => "normal_cdf",
            Self::NormalDensity => "normal_density",
        }
    }
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a · b
    Mul,
    /// a / b
    Div,
    /// The smaller number; a if they are equal or one is NaN
    Min,
    /// The larger number; a if they are equal or one is NaN
    Max,
}

/// Comparison of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// a < b
    Lt,
    /// a ≤ b
    Le,
    /// a = b
    Eq,
}

/// An expression's outermost operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExprNode {
    /// A number.
    Const(Number),
    /// The argument of this index.
    Input(u8),
    /// A value of the training step.
    Quantity(StepValue),
    /// A function of one number.
    Unary(Unary, Expr),
    /// A function of two numbers.
    Binary(Binary, Expr, Expr),
    /// `c` if the comparison of a with b holds, else `d`: `[a, b, c, d]`.
    Select(Compare, [Expr; 4]),
}

/// An expression: cheap to clone, equal to another one if it is written alike.
///
/// ```
/// use wgrad::expr::Expr;
/// let x = Expr::input(0);
/// let silu = &x * x.sigmoid();
/// assert_eq!(silu.to_string(), "x * sigmoid(x)");
/// assert_eq!(silu.derivative(0).program().value(&[0.0]), 0.5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expr(Arc<Inner>);

/// Contents of an expression.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Inner {
    node: ExprNode,
    size: u32,
}

impl Expr {
    fn new(node: ExprNode) -> Self {
        let parts: u32 = match &node {
            ExprNode::Const(_) | ExprNode::Input(_) | ExprNode::Quantity(_) => 0,
            ExprNode::Unary(_, x) => x.size(),
            ExprNode::Binary(_, a, b) => a.size().saturating_add(b.size()),
            ExprNode::Select(_, parts) => {
                parts.iter().fold(0, |sum: u32, part| sum.saturating_add(part.size()))
            }
        };
        Self(Arc::new(Inner { node, size: parts.saturating_add(1) }))
    }

    /// Returns the number of operations, numbers and arguments of the expression as it is written; a part that is used
    /// twice counts twice. A walk over all parts, such as writing the expression, takes that long, and goes no deeper.
    pub fn size(&self) -> u32 {
        self.0.size
    }

    /// Makes a number.
    pub fn constant(value: f64) -> Self {
        Self::new(ExprNode::Const(Number(value)))
    }

    /// Makes the argument of this index, from 0.
    pub fn input(index: u8) -> Self {
        Self::new(ExprNode::Input(index))
    }

    /// Makes a value of the training step.
    pub fn quantity(quantity: StepValue) -> Self {
        Self::new(ExprNode::Quantity(quantity))
    }

    /// Returns the outermost operation.
    pub fn node(&self) -> &ExprNode {
        &self.0.node
    }

    /// Returns the number, if the expression is one.
    pub fn number(&self) -> Option<f64> {
        match self.node() {
            ExprNode::Const(Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// Applies a function to the expression.
    pub fn unary(&self, function: Unary) -> Self {
        // Constants are computed at once, so that derivatives stay small.
        match (function, self.node()) {
            (_, ExprNode::Const(Number(value))) => Self::constant(F64Math::apply(function, *value)),
            (Unary::Neg, ExprNode::Unary(Unary::Neg, inner)) => inner.clone(),
            _ => Self::new(ExprNode::Unary(function, self.clone())),
        }
    }

    /// Combines two expressions. Operations without effect are left out: x + 0, 1 · x, 0 · x.
    pub fn binary(function: Binary, a: &Self, b: &Self) -> Self {
        use Binary::{Add, Div, Mul, Sub};
        match (function, a.number(), b.number()) {
            (_, Some(left), Some(right)) => Self::constant(F64Math::combine(function, left, right)),
            (Add, Some(0.0), _) | (Mul, Some(1.0), _) => b.clone(),
            (Add | Sub, _, Some(0.0)) | (Mul | Div, _, Some(1.0)) => a.clone(),
            (Mul, Some(0.0), _) | (Mul, _, Some(0.0)) | (Div, Some(0.0), _) => Self::constant(0.0),
            (Sub, Some(0.0), _) | (Mul, Some(-1.0), _) => b.unary(Unary::Neg),
            (Mul | Div, _, Some(-1.0)) => a.unary(Unary::Neg),
            _ => Self::new(ExprNode::Binary(function, a.clone(), b.clone())),
        }
    }

    /// Returns `yes` where the comparison of a with b holds, else `no`.
    pub fn select(compare: Compare, a: &Self, b: &Self, yes: &Self, no: &Self) -> Self {
        if yes == no {
            return yes.clone();
        }
        Self::new(ExprNode::Select(compare, [a, b, yes, no].map(Clone::clone)))
    }

    /// Returns `yes` where the expression is below `limit`, else `no`.
    pub fn if_less(&self, limit: &Self, yes: &Self, no: &Self) -> Self {
        Self::select(Compare::Lt, self, limit, yes, no)
    }

    /// Returns `yes` where the expression is at most `limit`, else `no`.
    pub fn if_at_most(&self, limit: &Self, yes: &Self, no: &Self) -> Self {
        Self::select(Compare::Le, self, limit, yes, no)
    }

    /// Returns the smaller of both.
    pub fn min(&self, other: &Self) -> Self {
        Self::binary(Binary::Min, self, other)
    }

    /// Returns the larger of both.
    pub fn max(&self, other: &Self) -> Self {
        Self::binary(Binary::Max, self, other)
    }

    /// x²
    pub fn square(&self) -> Self {
        self * self
    }

    /// Returns the same expression with its arguments replaced by these expressions.
    pub fn with(&self, inputs: &[Self]) -> Self {
        self.replaced(&mut |node| match node {
            ExprNode::Input(index) => inputs.get(usize::from(*index)).cloned(),
            _ => None,
        })
    }

    /// Returns the same expression with some of its parts replaced: those for which `by` returns an expression.
    pub fn replaced(&self, by: &mut dyn FnMut(&ExprNode) -> Option<Self>) -> Self {
        // By address: a part that occurs many times is replaced once, so that the result shares it too.
        let mut known = std::collections::HashMap::new();
        self.replace_in(by, &mut known)
    }

    /// Returns a constant of the expression that is not finite.
    pub(crate) fn endless(&self) -> Option<f64> {
        let mut endless = None;
        self.replaced(&mut |node| {
            if let ExprNode::Const(Number(value)) = node
                && !value.is_finite()
            {
                endless = Some(*value);
            }
            None
        });
        endless
    }

    fn replace_in(
        &self,
        by: &mut dyn FnMut(&ExprNode) -> Option<Self>,
        known: &mut std::collections::HashMap<*const ExprNode, Self>,
    ) -> Self {
        let place: *const ExprNode = self.node();
        if let Some(done) = known.get(&place) {
            return done.clone();
        }
        let done = match by(self.node()) {
            Some(other) => other,
            None => match self.node() {
                ExprNode::Const(_) | ExprNode::Input(_) | ExprNode::Quantity(_) => self.clone(),
                // Rebuilt by the simplifying constructors, since a replaced part may be a constant.
                ExprNode::Unary(function, x) => x.replace_in(by, known).unary(*function),
                ExprNode::Binary(function, a, b) => {
                    Self::binary(*function, &a.replace_in(by, known), &b.replace_in(by, known))
                }
                ExprNode::Select(compare, parts) => {
                    let [a, b, c, d] = parts.each_ref().map(|part| part.replace_in(by, known));
                    Self::select(*compare, &a, &b, &c, &d)
                }
            },
        };
        known.insert(place, done.clone());
        done
    }

    /// Returns the program that computes the expression.
    pub fn program(&self) -> Program {
        Program::of(std::slice::from_ref(self))
    }
}

macro_rules! functions {
    ($($(#[doc = $doc:literal])* $name:ident $function:ident),*) => {
        impl Expr {
            $($(#[doc = $doc])* pub fn $name(&self) -> Self { self.unary(Unary::$function) })*
        }
    };
}

functions! {
    /// |x|
    abs Abs,
    /// −1, 0 or 1
    sign Sign,
    /// eˣ
    exp Exp,
    /// eˣ − 1
    expm1 Expm1,
    /// ln x
    ln Ln,
    /// ln(1 + x)
    log1p Log1p,
    /// √x
    sqrt Sqrt,
    /// sin x
    sin Sin,
    /// cos x
    cos Cos,
    /// tanh x
    tanh Tanh,
    /// 1 / (1 + e⁻ˣ)
    sigmoid Sigmoid,
    /// ln(1 + eˣ)
    softplus Softplus,
    /// Φ(x)
    normal_cdf NormalCdf,
    /// φ(x)
    normal_density NormalDensity
}

impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Self::constant(value)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident),*) => { $(
        impl std::ops::$trait<&Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { Expr::binary(Binary::$function, self, other) }
        }
        impl std::ops::$trait<Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { Expr::binary(Binary::$function, self, &other) }
        }
        impl std::ops::$trait<&Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { Expr::binary(Binary::$function, &self, other) }
        }
        impl std::ops::$trait<Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { Expr::binary(Binary::$function, &self, &other) }
        }
        impl std::ops::$trait<f64> for Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr { Expr::binary(Binary::$function, &self, &other.into()) }
        }
        impl std::ops::$trait<f64> for &Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr { Expr::binary(Binary::$function, self, &other.into()) }
        }
        impl std::ops::$trait<Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr { Expr::binary(Binary::$function, &self.into(), &other) }
        }
        impl std::ops::$trait<&Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr { Expr::binary(Binary::$function, &self.into(), other) }
        }
    )* };
}

operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div);

impl std::ops::Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}

impl std::ops::Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.unary(Unary::Neg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_no_computing_is_left_out() {
        let x = Expr::input(0);
        assert_eq!(&x + 0.0, x);
        assert_eq!(1.0 * &x, x);
        assert_eq!((&x * 0.0).number(), Some(0.0));
        assert_eq!((Expr::constant(2.0) * 3.0).number(), Some(6.0));
        assert_eq!(-(-&x), x);
        assert_eq!(x.if_less(&x, &x, &x), x);
    }

    #[test]
    fn sizes_count_what_is_written() {
        let x = Expr::input(0);
        assert_eq!((x.size(), (&x + 2.0).sin().size()), (1, 4));
        let square = (&x + 2.0).square();
        assert_eq!((square.size(), x.if_less(&square, &x, &square).size()), (7, 17));
        let huge = (0..100).fold(x, |x, _| x.square());
        assert_eq!(huge.size(), u32::MAX);
    }

    #[test]
    fn inputs_are_replaced() {
        let sum = Expr::input(0) + Expr::input(1);
        let twice = sum.with(&[Expr::input(2), Expr::input(2)]);
        assert_eq!(twice, Expr::input(2) + Expr::input(2));
    }
}
