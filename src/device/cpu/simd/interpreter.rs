//! Operations over runs of numbers: the parts of a compiled program.
//!
//! In: operations, and references to their arguments. Out: values in registers.
//! Absent on purpose: which blocks of a matrix are computed, and the use of the results.
//!
//! A whole block is one call of a function with wide vectors. The matches stand outside of the loops, and most loops have a
//! length of a few vectors, so that each becomes a handful of instructions.

use super::compile::{CompiledOp, FusedMulAdd, Operation, ValueRef};
use super::functions::F32Math;
use super::instructions::Work;
use crate::expr::{Binary, Compare, Functions, LANES as RUN, Unary};

/// An argument: one number for all results, or one for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    One(f32),
    Many(&'a [f32]),
}

/// Operations over a run of `len` numbers.
pub(super) struct Actions<'a> {
    pub(super) actions: &'a [CompiledOp],
    pub(super) len: usize,
    pub(super) ones: &'a [f32],
    /// Values of rows.
    pub(super) rows: RowValues<'a>,
    /// Values of columns, and the distance from one to the next.
    pub(super) columns: (&'a [f32], usize),
    pub(super) arguments: &'a [&'a [f32]],
    /// Registers, and the distance from one to the next.
    pub(super) registers: (&'a mut [f32], usize),
    /// Destination of the last operation's result instead of a register.
    pub(super) to: Option<&'a mut [f32]>,
}

/// Storage of the values of rows.
#[derive(Clone, Copy)]
pub(super) enum RowValues<'a> {
    /// Values of one row: each value of the list `stride` numbers from the last.
    One(&'a [f32], usize),
    /// Values of several rows, repeated for their elements, and the distance from one value to the next.
    Several(&'a [f32], usize),
}

impl Work for Actions<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        let Self { actions, len, ones, rows, columns, arguments, registers, mut to } = self;
        let (registers, stride) = registers;
        let Some((last, others)) = actions.split_last() else { return };
        for action in others.iter().chain([last]) {
            // The registers are split around the one that is written, so that all others can be read at the same time.
            let (before, rest) = registers.split_at_mut(action.out * stride);
            let (out, after) = rest.split_at_mut(stride);
            let find = |place: ValueRef| match place {
                ValueRef::Register(register) if register < action.out => {
                    Value::Many(&before[register * stride..][..len])
                }
                ValueRef::Register(register) => {
                    Value::Many(&after[(register - action.out - 1) * stride..][..len])
                }
                ValueRef::One(index) => Value::One(ones[index]),
                ValueRef::Argument(index) => Value::Many(&arguments[index][..len]),
                ValueRef::Column(index) => Value::Many(&columns.0[index * columns.1..][..len]),
                ValueRef::Row(index) => match rows {
                    RowValues::One(values, stride) => Value::One(values[index * stride]),
                    RowValues::Several(values, stride) => {
                        Value::Many(&values[index * stride..][..len])
                    }
                },
            };
            // Compared by address: an equal operation may occur twice.
            let out = match &mut to {
                Some(to) if std::ptr::eq(action, last) => &mut to[..len],
                _ => &mut out[..len],
            };
            let [a, b, c, d] = action.arguments;
            match action.operation {
                Operation::Unary(function) => each::<FUSED>(function, find(a), out),
                Operation::Binary(function) => pairs::<FUSED>(function, find(a), find(b), out),
                Operation::Join(join) => triples(join, find(a), find(b), find(c), out),
                Operation::Select(compare) => {
                    choose::<FUSED>(compare, [find(a), find(b), find(c), find(d)], out);
                }
                Operation::Copy => copy(find(a), out),
            }
        }
    }
}

/// Copies a value to all results.
#[inline(always)]
fn copy(value: Value<'_>, out: &mut [f32]) {
    match value {
        Value::One(value) => out.fill(value),
        Value::Many(values) => out.copy_from_slice(values),
    }
}

/// Applies a function, so small that it is always inlined, to one, two or three arguments, lane by lane.
macro_rules! runs {
    ($name:ident: $($x:ident),*) => {
        #[inline(always)]
        fn $name(out: &mut [f32], $($x: &[f32],)* of: impl Fn($(runs!(number $x)),*) -> f32) {
            let (outs, rest) = out.as_chunks_mut::<RUN>();
            $(let ($x, tail) = $x.as_chunks::<RUN>(); let $x = ($x, tail);)*
            for (run, out) in outs.iter_mut().enumerate() {
                $(let $x = &$x.0[run];)*
                for lane in 0..RUN {
                    out[lane] = of($($x[lane]),*);
                }
            }
            if !rest.is_empty() {
                $(let $x = &$x.1[..rest.len()];)*
                for lane in 0..rest.len() {
                    rest[lane] = of($($x[lane]),*);
                }
            }
        }
    };
    (number $x:ident) => { f32 };
}

runs!(of_one: x);
runs!(of_two: x, y);
runs!(of_three: x, y, z);

/// Applies a function of one number.
#[inline(always)]
fn each<const FUSED: bool>(function: Unary, x: Value<'_>, out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match (function, x) {
                $((Unary::$name, Value::One(x)) => out.fill(F32Math::<FUSED>::apply(Unary::$name, x)),
                (Unary::$name, Value::Many(x)) => {
                    let ((outs, rest), (xs, tail)) = (out.as_chunks_mut::<RUN>(), x.as_chunks::<RUN>());
                    for (out, x) in outs.iter_mut().zip(xs) {
                        for lane in 0..RUN {
                            out[lane] = F32Math::<FUSED>::apply(Unary::$name, x[lane]);
                        }
                    }
                    // The rest is padded to a whole run, so that the function is compiled once, with wide vectors.
                    if !rest.is_empty() {
                        let (mut x, mut out) = ([0.0; RUN], [0.0; RUN]);
                        x[..tail.len()].copy_from_slice(tail);
                        for lane in 0..RUN {
                            out[lane] = F32Math::<FUSED>::apply(Unary::$name, x[lane]);
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

/// Applies a function of two numbers.
#[inline(always)]
fn pairs<const FUSED: bool>(function: Binary, a: Value<'_>, b: Value<'_>, out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match (function, a, b) {
                $((Binary::$name, Value::Many(a), Value::Many(b)) => {
                    of_two(out, a, b, |a, b| F32Math::<FUSED>::combine(Binary::$name, a, b));
                }
                (Binary::$name, Value::Many(a), Value::One(b)) => {
                    of_one(out, a, |a| F32Math::<FUSED>::combine(Binary::$name, a, b));
                }
                (Binary::$name, Value::One(a), Value::Many(b)) => {
                    of_one(out, b, |b| F32Math::<FUSED>::combine(Binary::$name, a, b));
                }
                (Binary::$name, Value::One(a), Value::One(b)) => {
                    out.fill(F32Math::<FUSED>::combine(Binary::$name, a, b));
                })*
            }
        };
    }
    arms!(Add, Sub, Mul, Div, Min, Max);
}

/// Applies a fused multiplication and addition.
#[inline(always)]
fn triples(join: FusedMulAdd, a: Value<'_>, b: Value<'_>, c: Value<'_>, out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident $of:expr),*) => {
            match (join, a, b, c) {
                $((FusedMulAdd::$name, Value::Many(a), Value::Many(b), Value::Many(c)) => {
                    of_three(out, a, b, c, |a, b, c| $of(a, b, c));
                }
                (FusedMulAdd::$name, Value::Many(a), Value::Many(b), Value::One(c)) => {
                    of_two(out, a, b, |a, b| $of(a, b, c));
                }
                // Factors may be exchanged, so one arm serves both orders.
                (FusedMulAdd::$name, Value::Many(a), Value::One(b), Value::Many(c))
                | (FusedMulAdd::$name, Value::One(b), Value::Many(a), Value::Many(c)) => {
                    of_two(out, a, c, |a, c| $of(a, b, c));
                }
                (FusedMulAdd::$name, Value::Many(a), Value::One(b), Value::One(c))
                | (FusedMulAdd::$name, Value::One(b), Value::Many(a), Value::One(c)) => {
                    of_one(out, a, |a| $of(a, b, c));
                }
                (FusedMulAdd::$name, Value::One(a), Value::One(b), Value::Many(c)) => {
                    of_one(out, c, |c| $of(a, b, c));
                }
                (FusedMulAdd::$name, Value::One(a), Value::One(b), Value::One(c)) => {
                    out.fill($of(a, b, c));
                })*
            }
        };
    }
    arms!(
        MulAdd | a: f32, b: f32, c: f32 | a * b + c,
        MulSub | a: f32, b: f32, c: f32 | a * b - c,
        SubMul | a: f32, b: f32, c: f32 | c - a * b
    );
}

/// Returns the numbers of a run, repeated or padded if it is not whole.
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

/// Selects one of two values by a comparison.
#[inline(always)]
fn choose<const FUSED: bool>(compare: Compare, parts: [Value<'_>; 4], out: &mut [f32]) {
    macro_rules! arms {
        ($($name:ident),*) => {
            match (compare, parts) {
                // The combinations that activations and updates have; all others take the last arm.
                $((Compare::$name, [Value::Many(a), Value::One(b), Value::One(yes), Value::Many(no)]) => {
                    of_two(out, a, no, |a, no| {
                        if F32Math::<FUSED>::compares(Compare::$name, a, b) { yes } else { no }
                    });
                }
                (Compare::$name, [Value::Many(a), Value::One(b), Value::Many(yes), Value::One(no)]) => {
                    of_two(out, a, yes, |a, yes| {
                        if F32Math::<FUSED>::compares(Compare::$name, a, b) { yes } else { no }
                    });
                }
                (Compare::$name, [Value::Many(a), Value::One(b), Value::Many(yes), Value::Many(no)]) => {
                    of_three(out, a, yes, no, |a, yes, no| {
                        if F32Math::<FUSED>::compares(Compare::$name, a, b) { yes } else { no }
                    });
                }
                (Compare::$name, [Value::Many(a), Value::One(b), Value::One(yes), Value::One(no)]) => {
                    of_one(out, a, |a| {
                        if F32Math::<FUSED>::compares(Compare::$name, a, b) { yes } else { no }
                    });
                }
                (Compare::$name, [Value::One(a), Value::One(b), yes, no]) => {
                    copy(if F32Math::<FUSED>::compares(Compare::$name, a, b) { yes } else { no }, out);
                }
                (Compare::$name, _) => for (run, out) in out.chunks_mut(RUN).enumerate() {
                    let [a, b, yes, no] = parts.map(|value| run_of(value, run * RUN, out.len()));
                    let mut chosen = [0.0; RUN];
                    for lane in 0..RUN {
                        let holds = F32Math::<FUSED>::compares(Compare::$name, a[lane], b[lane]);
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

/// The sum of numbers, or the maximum, in lanes that are then combined in halves.
pub(super) struct Fold<'a> {
    pub(super) values: &'a [f32],
    pub(super) maximum: bool,
}

impl Work for Fold<'_> {
    type Out = f32;

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) -> f32 {
        let larger = |a: f32, b: f32| F32Math::<FUSED>::combine(Binary::Max, a, b);
        // As many lanes for every instruction set, so that all of them add in the same order.
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
pub(super) struct AddSlices<'a> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl Work for AddSlices<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        for ((out, &a), &b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = a + b;
        }
    }
}

/// out = values · by
pub(super) struct Scaled<'a> {
    pub(super) values: &'a [f32],
    pub(super) by: f32,
    pub(super) out: &'a mut [f32],
}

impl Work for Scaled<'_> {
    type Out = ();

    #[inline(always)]
    fn run<const FUSED: bool, const LANES: usize>(self) {
        for (out, &value) in self.out.iter_mut().zip(self.values) {
            *out = value * self.by;
        }
    }
}
