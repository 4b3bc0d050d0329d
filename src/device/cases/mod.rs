//! Description of how kernels are verified: their fusions, awkward sizes, random values, and limits of the error.
//!
//! In: a kernel and sizes. Out: the first values of its arguments. The files of `cpu/kernels/` describe their kernels with it,
//! and `verify` compares them.

pub(super) mod formulas;

use crate::model::Activation;
use crate::plan::{Element, FACTORS, Kernel, LossScaler, StorageTypes};
use crate::random::Random;
use crate::shape::narrow;

/// Three sizes, whose meaning depends on the kernel: for products m, n, k; else rows, columns, valid rows.
pub(super) type Triple = [usize; 3];

/// Sizes and first values of an argument, by its name and the case's sizes.
pub(super) type FirstValues = Box<dyn Fn(&str, Triple) -> Fill>;

/// Kernels of one or several names with every fusion that is verified, and how they are verified.
pub(super) struct Cases {
    pub(super) kernels: Vec<Kernel>,
    spec: Box<dyn Fn(Kernel) -> TestSpec + Send + Sync>,
}

impl Cases {
    /// Makes cases of kernels, each of which is verified as the function says.
    pub(super) fn of(
        kernels: impl Into<Vec<Kernel>>,
        spec: impl Fn(Kernel) -> TestSpec + Send + Sync + 'static,
    ) -> Self {
        Self { kernels: kernels.into(), spec: Box::new(spec) }
    }

    /// Returns whether these are the cases of a kernel, whatever its fusions.
    pub(super) fn has(&self, kernel: &Kernel) -> bool {
        self.kernels.iter().any(|other| other.name() == kernel.name())
    }

    /// Returns how one of the kernels is verified.
    pub(super) fn spec(&self, kernel: Kernel) -> TestSpec {
        (self.spec)(kernel)
    }
}

/// Description of how a kernel is verified.
pub(super) struct TestSpec {
    /// Initial values of its arguments.
    pub(super) values: FirstValues,
    /// Absolute and relative limits of the error.
    pub(super) limits: Box<dyn Fn(Triple) -> (f64, f64)>,
    pub(super) sizes: Vec<Triple>,
    pub(super) cpu_sizes: Vec<Triple>,
    pub(super) half: Vec<StorageTypes>,
    pub(super) arena: bool,
    pub(super) divisor: Option<f64>,
}

/// Half precision in the slots that are read and in those that are written.
pub(super) const HALF: StorageTypes = StorageTypes { read: Element::F16, write: Element::F16 };
/// From single precision to half.
pub(super) const DOWN: StorageTypes = StorageTypes { read: Element::F32, write: Element::F16 };
/// From half precision to single.
pub(super) const UP: StorageTypes = StorageTypes { read: Element::F16, write: Element::F32 };

/// Unit roundoff in single precision.
pub(super) const ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// Returns the error of a sum of this many terms, as [`TestSpec::new`] derives it.
pub(super) fn sum_error(terms: usize) -> f64 {
    (terms as f64 + 4.0) * ROUNDOFF * (terms as f64) / 2.0
}

impl TestSpec {
    /// Makes a spec from the first values of arguments, by their names and the sizes, and from the absolute and relative
    /// limits of the error.
    ///
    /// Limits come from the length of the sums and from what WGSL promises of its functions. Unit roundoff u = 2⁻²⁴. A sum of
    /// k products of numbers up to 1 errs by at most about k u times the sum of their sizes (Higham 2002, section 3.1), which
    /// is at most k; inputs here average a quarter of that. WGSL allows exp 3 + 2|x| ulp, division 2.5 ulp, log an absolute
    /// 2⁻²¹.
    pub(super) fn new(
        values: impl Fn(&str, Triple) -> Fill + 'static,
        limits: impl Fn(Triple) -> (f64, f64) + 'static,
    ) -> Self {
        Self {
            values: Box::new(values),
            limits: Box::new(limits),
            sizes: vec![[1, 1, 1], [5, 1, 3], [63, 7, 63], [65, 64, 64], [130, 13, 1]],
            cpu_sizes: vec![],
            half: vec![],
            arena: false,
            divisor: None,
        }
    }

    /// Sets awkward sizes instead of the usual ones: one, tiles less and plus one, primes, more than 65,535 workgroups.
    pub(super) fn sizes(self, sizes: impl Into<Vec<Triple>>) -> Self {
        Self { sizes: sizes.into(), ..self }
    }

    /// Adds sizes for the CPU, which would take software adapters too long.
    pub(super) fn cpu_sizes(self, cpu_sizes: impl Into<Vec<Triple>>) -> Self {
        Self { cpu_sizes: cpu_sizes.into(), ..self }
    }

    /// Sets the variants in half precision that plans may ask for.
    pub(super) fn half(self, half: impl Into<Vec<StorageTypes>>) -> Self {
        Self { half: half.into(), ..self }
    }

    /// Says that the kernel visits an arena, which may be bound in parts; other slots may not.
    pub(super) fn arena(self) -> Self {
        Self { arena: true, ..self }
    }
}

/// Returns loss scales before a step: without an event, about to double, at the largest, after an overflow, at the
/// smallest, after a loss that is not finite.
pub(super) fn scalings() -> [LossScaler; 6] {
    let good = LossScaler { scale: 4.0, inverse: 0.25, good: 5.0, overflow: 0.0, skipped: 3.0 };
    let largest = LossScaler::LARGEST as f32;
    let last = LossScaler { good: (LossScaler::GROW_AFTER - 1) as f32, ..good };
    [
        good,
        last,
        LossScaler { scale: largest, inverse: 1.0 / largest, ..last },
        LossScaler { overflow: 1.0, ..good },
        LossScaler { scale: 1.0 / largest, inverse: largest, overflow: 1.0, ..good },
        LossScaler { overflow: LossScaler::LOST, ..good },
    ]
}

/// Returns which of these an update finds: the first, or the one after an overflow if the third size is 0.
pub(super) fn update_scaling(k: usize) -> usize {
    if k == 0 { 3 } else { 0 }
}

/// Index in the log of a case's step.
pub(super) const LOG: usize = 3;

/// Sizes and first values of an argument.
pub(super) struct Fill {
    pub(super) sizes: Vec<usize>,
    pub(super) values: Generator,
}

/// Draws a value for an element.
type Draw<T> = Box<dyn Fn(&mut Random, usize) -> T>;

pub(super) enum Generator {
    Floats(Draw<f64>),
    Indices(Draw<u32>),
}

impl Fill {
    pub(super) fn floats(
        sizes: impl Into<Vec<usize>>,
        value: impl Fn(&mut Random, usize) -> f64 + 'static,
    ) -> Self {
        Self { sizes: sizes.into(), values: Generator::Floats(Box::new(value)) }
    }

    pub(super) fn indices(len: usize, value: impl Fn(&mut Random, usize) -> u32 + 'static) -> Self {
        Self { sizes: vec![len], values: Generator::Indices(Box::new(value)) }
    }

    /// Returns numbers that are uniform within ±bound.
    pub(super) fn within(bound: f64, sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, move |random, _| random.uniform(-bound, bound))
    }

    /// Returns numbers that are uniform within ±1.
    pub(super) fn unit(sizes: impl Into<Vec<usize>>) -> Self {
        Self::within(1.0, sizes)
    }

    /// Returns numbers that are uniform in 0..1.
    pub(super) fn positive(sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, |random, _| random.unit())
    }

    /// Returns 0 or 1 at random.
    pub(super) fn truths(sizes: impl Into<Vec<usize>>) -> Self {
        Self::floats(sizes, |random, _| f64::from(random.below(2)))
    }

    /// Returns numbers that are uniform within ±8, and first some that overflow in carelessly written functions.
    pub(super) fn extreme(sizes: impl Into<Vec<usize>>) -> Self {
        const EDGES: [f64; 10] = [0.0, -0.0, 1e4, -1e4, 88.5, -88.5, 1e-30, -1e-30, 20.5, -20.5];
        Self::floats(sizes, |random, i| {
            EDGES.get(i).copied().unwrap_or_else(|| random.uniform(-8.0, 8.0))
        })
    }

    /// Returns integers below `bound` as floats, in three columns.
    pub(super) fn numbers(rows: usize, bound: u32) -> Self {
        Self::floats([rows, 3], move |random, _| random.below(bound).into())
    }

    /// Returns integers below `bound`.
    pub(super) fn below(len: usize, bound: usize) -> Self {
        let bound = narrow(bound);
        Self::indices(len, move |random, _| random.below(bound))
    }

    /// Returns the slot of one of the loss scales.
    pub(super) fn scaling(which: usize) -> Self {
        let values = scalings()[which].values();
        Self::floats([LossScaler::LEN], move |_, i| values[i].into())
    }

    /// Returns the losses of eight steps, of which the case's own may be infinite.
    pub(super) fn log(lost: bool) -> Self {
        Self::floats(
            [8],
            move |random, i| {
                if lost && i == LOG { f64::INFINITY } else { random.unit() }
            },
        )
    }

    /// Returns a table of factors for this many blocks; the second block's parameter stays as it is, every other one is a
    /// matrix.
    pub(super) fn factors(blocks: usize) -> Self {
        Self::floats([1 + blocks, FACTORS], |random, i| match i % FACTORS {
            0 if i == 2 * FACTORS => 0.0,
            3 => (i / FACTORS % 2) as f64,
            _ => 0.1 + random.unit(),
        })
    }
}

/// Returns the limits of an activation's error, beside that of its argument.
pub(super) fn smooth(act: Activation) -> (f64, f64) {
    match act {
        Activation::Identity | Activation::Relu | Activation::LeakyRelu => {
            (0.0, 4.0 * 2_f64.powi(-24))
        }
        _ => (2e-6, 2e-5),
    }
}
