//! One operation over runs of numbers: what programs are made of once they are compiled.
//!
//! In: an operation, its arguments. Out: its values.
//! Absent on purpose: where arguments come from.
//!
//! The matches stand outside of the loops, so that each is one of vectors; and they are loops, not closures, since the
//! compiler leaves the larger closures outside of the function that has the wide vectors.

use super::compiled::Operation;
use super::functions::Single;
use super::instructions::Work;
use crate::expr::{Binary, Compare, Functions, LANES as RUN, Unary};

/// An argument: the same number throughout, or as many as there are results.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    One(f32),
    Many(&'a [f32]),
}

/// out = an operation of its arguments
pub(super) struct Apply<'a> {
    pub(super) operation: Operation,
    pub(super) arguments: [Value<'a>; 4],
    pub(super) out: &'a mut [f32],
}

impl Work for Apply<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { operation, arguments, out } = self;
        let [a, b, c, _] = arguments;
        match operation {
            Operation::Unary(function) => each::<FUSED>(function, a, out),
            Operation::Binary(function) => pairs::<FUSED>(function, a, b, out),
            Operation::Select(compare) => choose::<FUSED>(compare, arguments, out),
            Operation::Copy => match a {
                Value::One(a) => out.fill(a),
                Value::Many(a) => out.copy_from_slice(a),
            },
            Operation::MulAdd => triples(a, b, c, out, |x, y, z| x * y + z),
            Operation::MulSub => triples(a, b, c, out, |x, y, z| x * y - z),
            Operation::SubMul => triples(a, b, c, out, |x, y, z| z - x * y),
        }
    }
}

#[inline(always)]
fn each<const FUSED: bool>(function: Unary, x: Value<'_>, out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match (function, x) {
                $((Unary::$name, Value::One(x)) => out.fill(Single::<FUSED>::apply(Unary::$name, x)),
                (Unary::$name, Value::Many(x)) => {
                    let ((outs, rest), (xs, tail)) = (out.as_chunks_mut::<RUN>(), x.as_chunks::<RUN>());
                    for (out, x) in outs.iter_mut().zip(xs) {
                        for lane in 0..RUN {
                            out[lane] = Single::<FUSED>::apply(Unary::$name, x[lane]);
                        }
                    }
                    if !rest.is_empty() {
                        let (mut x, mut out) = ([0.0; RUN], [0.0; RUN]);
                        x[..tail.len()].copy_from_slice(tail);
                        for lane in 0..RUN {
                            out[lane] = Single::<FUSED>::apply(Unary::$name, x[lane]);
                        }
                        rest.copy_from_slice(&out[..rest.len()]);
                    }
                })*
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
fn pairs<const FUSED: bool>(function: Binary, a: Value<'_>, b: Value<'_>, out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match (function, a, b) {
                $((Binary::$name, Value::Many(a), Value::Many(b)) => {
                    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                        *out = Single::<FUSED>::combine(Binary::$name, a, b);
                    }
                }
                (Binary::$name, Value::Many(a), Value::One(b)) => {
                    for (out, &a) in out.iter_mut().zip(a) {
                        *out = Single::<FUSED>::combine(Binary::$name, a, b);
                    }
                }
                (Binary::$name, Value::One(a), Value::Many(b)) => {
                    for (out, &b) in out.iter_mut().zip(b) {
                        *out = Single::<FUSED>::combine(Binary::$name, a, b);
                    }
                }
                (Binary::$name, Value::One(a), Value::One(b)) => {
                    out.fill(Single::<FUSED>::combine(Binary::$name, a, b));
                })*
            }
        };
    }
    arms!(Add, Sub, Mul, Div, Min, Max);
}

/// Functions that are sums and products, so small that they are always inlined.
#[inline(always)]
fn triples(
    a: Value<'_>,
    b: Value<'_>,
    c: Value<'_>,
    out: &mut [f32],
    of: impl Fn(f32, f32, f32) -> f32,
) {
    match (a, b, c) {
        (Value::Many(a), Value::Many(b), Value::Many(c)) => {
            for (((out, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
                *out = of(a, b, c);
            }
        }
        (Value::Many(a), Value::Many(b), Value::One(c)) => {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = of(a, b, c);
            }
        }
        (Value::Many(a), Value::One(b), Value::Many(c))
        | (Value::One(b), Value::Many(a), Value::Many(c)) => {
            for ((out, &a), &c) in out.iter_mut().zip(a).zip(c) {
                *out = of(a, b, c);
            }
        }
        (Value::Many(a), Value::One(b), Value::One(c))
        | (Value::One(b), Value::Many(a), Value::One(c)) => {
            for (out, &a) in out.iter_mut().zip(a) {
                *out = of(a, b, c);
            }
        }
        (Value::One(a), Value::One(b), Value::Many(c)) => {
            for (out, &c) in out.iter_mut().zip(c) {
                *out = of(a, b, c);
            }
        }
        (Value::One(a), Value::One(b), Value::One(c)) => out.fill(of(a, b, c)),
    }
}

/// The numbers of a run, repeated or copied where it is no whole one.
#[inline(always)]
fn run_of(value: Value<'_>, at: usize, len: usize) -> [f32; RUN] {
    match value {
        Value::One(x) => [x; RUN],
        Value::Many(x) => {
            if let Some(x) = x[at..].first_chunk::<RUN>() {
                *x
            } else {
                let mut run = [0.0; RUN];
                run[..len].copy_from_slice(&x[at..at + len]);
                run
            }
        }
    }
}

#[inline(always)]
fn choose<const FUSED: bool>(compare: Compare, arguments: [Value<'_>; 4], out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match compare {
                $(Compare::$name => for (run, out) in out.chunks_mut(RUN).enumerate() {
                    let [a, b, yes, no] =
                        arguments.map(|value| run_of(value, run * RUN, out.len()));
                    let mut chosen = [0.0; RUN];
                    for lane in 0..RUN {
                        let holds = Single::<FUSED>::compares(Compare::$name, a[lane], b[lane]);
                        chosen[lane] = if holds { yes[lane] } else { no[lane] };
                    }
                    out.copy_from_slice(&chosen[..out.len()]);
                },)*
            }
        };
    }
    arms!(Lt, Le, Eq);
}

/// to += value, element by element
pub(super) struct AddTo<'a> {
    pub(super) value: Value<'a>,
    pub(super) to: &'a mut [f32],
}

impl Work for AddTo<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        match self.value {
            Value::One(value) => self.to.iter_mut().for_each(|to| *to += value),
            Value::Many(values) => {
                for (to, &value) in self.to.iter_mut().zip(values) {
                    *to += value;
                }
            }
        }
    }
}

/// The sum of numbers, or the largest, in lanes that are then folded in halves.
pub(super) struct Fold<'a> {
    pub(super) values: &'a [f32],
    pub(super) maximum: bool,
}

impl Work for Fold<'_> {
    type Out = f32;

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) -> f32 {
        let larger = |a: f32, b: f32| Single::<FUSED>::combine(Binary::Max, a, b);
        let (whole, rest) = self.values.as_chunks::<RUN>();
        if self.maximum {
            let mut lanes = [f32::NEG_INFINITY; RUN];
            for values in whole {
                for lane in 0..RUN {
                    lanes[lane] = larger(lanes[lane], values[lane]);
                }
            }
            for (lane, &value) in lanes.iter_mut().zip(rest) {
                *lane = larger(*lane, value);
            }
            return lanes.into_iter().fold(f32::NEG_INFINITY, larger);
        }
        let mut lanes = [0.0_f32; RUN];
        for values in whole {
            for lane in 0..RUN {
                lanes[lane] += values[lane];
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += value;
        }
        let mut half = RUN / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// to *= by, element by element
pub(super) struct Times<'a> {
    pub(super) by: &'a [f32],
    pub(super) to: &'a mut [f32],
}

impl Work for Times<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        for (to, &by) in self.to.iter_mut().zip(self.by) {
            *to *= by;
        }
    }
}

/// out = a + b, element by element
pub(super) struct Sum<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Work for Sum<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        for ((out, &a), &b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = a + b;
        }
    }
}
