//! Programs run over blocks of numbers.

use std::ops::{Add, Div, Mul, Sub};

use super::{Binary, Compare, Instruction, Number, Program, StepValue, Unary};

/// Numbers of a block: enough that the loop over instructions costs nothing beside them.
pub const LANES: usize = 64;

/// Numbers that are added, multiplied and compared.
pub trait Numeric:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
}

impl Numeric for f32 {}

impl Numeric for f64 {}

/// The primitive functions in one precision.
pub trait Functions<T: Numeric> {
    /// From a constant.
    fn constant(value: f64) -> T;
    /// A function of one number.
    fn apply(function: Unary, x: T) -> T;
    /// A function of two.
    #[inline(always)]
    fn combine(function: Binary, a: T, b: T) -> T {
        match function {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Binary::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
    /// Returns whether two numbers compare so.
    #[inline(always)]
    fn compares(compare: Compare, a: T, b: T) -> bool {
        match compare {
            Compare::Lt => a < b,
            Compare::Le => a <= b,
            Compare::Eq => a == b,
        }
    }
}

/// Double precision by the standard library and libm: the reference.
#[derive(Clone, Copy, Debug)]
pub struct F64Math;

impl F64Math {
    /// [`Functions::apply`]
    pub fn apply(function: Unary, x: f64) -> f64 {
        match function {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            // `signum` gives ±1 at ±0.
            Unary::Sign => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            Unary::Exp => x.exp(),
            Unary::Expm1 => x.exp_m1(),
            Unary::Ln => x.ln(),
            Unary::Log1p => x.ln_1p(),
            Unary::Sqrt => x.sqrt(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Tanh => x.tanh(),
            // By the form whose exponential cannot overflow.
            Unary::Sigmoid if x < 0.0 => x.exp() / (1.0 + x.exp()),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::Softplus => {
                let far = if x > 0.0 { x } else { 0.0 };
                far + (-x.abs()).exp().ln_1p()
            }
            Unary::NormalCdf => 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Unary::NormalDensity => (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt(),
        }
    }
}

impl Functions<f64> for F64Math {
    fn constant(value: f64) -> f64 {
        value
    }

    fn apply(function: Unary, x: f64) -> f64 {
        Self::apply(function, x)
    }
}

impl Program {
    /// The first result for these arguments, in double precision; 0 for an argument that is missing or that only a
    /// step brings.
    pub fn value(&self, inputs: &[f64]) -> f64 {
        self.values(inputs, |_| 0.0)[0]
    }

    /// All results for these arguments, in double precision.
    pub fn values(&self, inputs: &[f64], quantity: impl Fn(StepValue) -> f64) -> Vec<f64> {
        let mut registers = self.registers::<f64>();
        self.run::<f64, F64Math>(
            &mut registers,
            1,
            |index, to| to[0] = inputs.get(usize::from(index)).copied().unwrap_or(0.0),
            |which, to| to[0] = quantity(which),
        );
        self.outputs().iter().map(|&place| registers[usize::from(place)][0]).collect()
    }

    /// Room for the values of a block's instructions.
    pub fn registers<T: Copy + Default>(&self) -> Vec<[T; LANES]> {
        vec![[T::default(); LANES]; self.instructions().len()]
    }

    /// Runs all instructions over the first `len` lanes of a block; `input` and `quantity` fill these.
    #[inline(always)]
    pub fn run<T: Numeric, F: Functions<T>>(
        &self,
        registers: &mut [[T; LANES]],
        len: usize,
        mut input: impl FnMut(u8, &mut [T]),
        mut quantity: impl FnMut(StepValue, &mut [T]),
    ) {
        for (place, instruction) in self.instructions().iter().enumerate() {
            let (before, rest) = registers.split_at_mut(place);
            let out = &mut rest[0];
            let of = |place: u16| &before[usize::from(place)];
            match *instruction {
                Instruction::Const(Number(value)) => out.fill(F::constant(value)),
                Instruction::Input(index) => input(index, &mut out[..len]),
                Instruction::Quantity(which) => quantity(which, &mut out[..len]),
                Instruction::Unary(function, x) => each::<T, F>(function, of(x), out),
                Instruction::Binary(function, a, b) => pairs::<T, F>(function, of(a), of(b), out),
                Instruction::Select(compare, parts) => {
                    choose::<T, F>(compare, parts.map(of), out);
                }
            }
        }
    }
}

/// The match stands outside of the loops, so that each is one of vectors; and they are loops, not closures, since the
/// compiler leaves the larger closures outside of the function that has the wide vectors.
#[inline(always)]
fn each<T: Numeric, F: Functions<T>>(function: Unary, x: &[T; LANES], out: &mut [T; LANES]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match function {
                $(Unary::$name => for lane in 0..LANES {
                    out[lane] = F::apply(Unary::$name, x[lane]);
                },)*
            }
        };
    }
    arms!(
        Neg,
        Abs,
        Sign,
        Exp,
        Expm1,
        Ln,
        Log1p,
        Sqrt,
        Sin,
        Cos,
        Tanh,
        Sigmoid,
        Softplus,
        NormalCdf,
        NormalDensity
    );
}

#[inline(always)]
fn pairs<T: Numeric, F: Functions<T>>(
    function: Binary,
    a: &[T; LANES],
    b: &[T; LANES],
    out: &mut [T; LANES],
) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match function {
                $(Binary::$name => out.iter_mut().zip(a).zip(b)
                    .for_each(|((out, &a), &b)| *out = F::combine(Binary::$name, a, b)),)*
            }
        };
    }
    arms!(Add, Sub, Mul, Div, Min, Max);
}

#[inline(always)]
fn choose<T: Numeric, F: Functions<T>>(
    compare: Compare,
    [a, b, yes, no]: [&[T; LANES]; 4],
    out: &mut [T; LANES],
) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match compare {
                $(Compare::$name => for lane in 0..LANES {
                    let holds = F::compares(Compare::$name, a[lane], b[lane]);
                    out[lane] = if holds { yes[lane] } else { no[lane] };
                },)*
            }
        };
    }
    arms!(Lt, Le, Eq);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_what_the_functions_say() {
        for (function, x, want) in [
            (Unary::Sigmoid, -1e4, 0.0),
            (Unary::Sigmoid, 1e4, 1.0),
            (Unary::Softplus, 1e4, 1e4),
            (Unary::Softplus, -1e4, 0.0),
            (Unary::Sign, -0.0, 0.0),
            (Unary::NormalCdf, -1e4, 0.0),
            (Unary::Exp, 1e4, f64::INFINITY),
        ] {
            assert_eq!(F64Math::apply(function, x), want, "{function:?} {x}");
        }
        for function in Unary::ALL {
            assert!(F64Math::apply(function, f64::NAN).is_nan(), "{function:?}");
        }
        assert!((F64Math::apply(Unary::Softplus, 0.0) - 2.0_f64.ln()).abs() < 1e-15);
    }
}
