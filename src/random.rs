//! Seeds and the generator behind every random choice.
//!
//! In: one seed of the user's and a purpose. Out: independent streams whose values are the same on
//! every machine and in every version of this crate.
//! Absent on purpose: global generators, the clock.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// The number that determines all random choices of a run.
///
/// ```
/// use wgrad::prelude::*;
///
/// let split = |seed| wgrad::data::synth::xor(100, 0.2, Seed(1)).split(0.2, Seed(seed));
/// assert_eq!(split(7)?, split(7)?);
/// assert_ne!(split(7)?, split(8)?);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// Purpose of a stream of random numbers. Streams of one seed never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights of the network.
    Init,
    /// Rows that are held out for validation.
    Split,
    /// Rows and shares from which initial weights are measured.
    StartValues,
    /// Order of rows in the epoch given (from 0).
    Order(u32),
    /// Values made for tests, examples and benchmarks.
    Synthetic,
    /// Seed of a member of an ensemble (from 1).
    Member(u32),
    /// Settings of a trial of a search (from 0).
    Trial(u32),
    /// Shuffling a column, to see what it is worth.
    Permutation,
}

impl Seed {
    /// Returns both halves mixed to 32 bits, for the counter-based generator that devices share.
    pub fn folded(self) -> u32 {
        let [low, high] = [self.0 as u32, (self.0 >> 32) as u32];
        mixed(low ^ mixed(high ^ 0x9e37_79b9))
    }

    /// Returns the seed of a member of an ensemble: member 0 has the seed itself, and each other one the first 53 bits of its
    /// stream, which every format of numbers holds exactly. Ensembles of other seeds share no members.
    #[must_use]
    pub fn of_member(self, member: u32) -> Self {
        match member {
            0 => self,
            _ => Self(self.stream(Purpose::Member(member)).rng.next_u64() >> 11),
        }
    }

    /// Returns the generator for one purpose: ChaCha with 8 rounds, whose 64-bit stream number is the purpose.
    pub fn stream(self, purpose: Purpose) -> Random {
        let stream = match purpose {
            Purpose::Init => 1,
            Purpose::Split => 2,
            Purpose::Synthetic => 3,
            Purpose::Permutation => 4,
            Purpose::StartValues => 5,
            Purpose::Order(epoch) => (1 << 32) | u64::from(epoch),
            Purpose::Member(member) => (2 << 32) | u64::from(member),
            Purpose::Trial(trial) => (3 << 32) | u64::from(trial),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(self.0);
        rng.set_stream(stream);
        Random { rng }
    }
}

/// Returns a hash of 32 bits: each bit of the result depends on each bit of the argument. The constants are those of
/// <https://github.com/skeeto/hash-prospector> with the least bias.
fn mixed(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
    let x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
    x ^ (x >> 15)
}

/// Returns the key that all numbers of one step and one stream share: see [`unit_at`].
pub fn key(seed: u32, step: u32, stream: u32) -> u32 {
    mixed(seed ^ mixed(step ^ mixed(stream ^ 0x85eb_ca6b)))
}

/// Returns the number of a place in a step: uniform in [0, 1), with 24 bits; the twin of `unit_at` in
/// `shaders/random.wgsl`. It depends on its arguments only, so every device computes the same, in any order.
#[inline(always)]
pub fn unit_at(key: u32, at: u32) -> f32 {
    // The upper 24 bits, which an f32 holds exactly.
    (mixed(key ^ mixed(at ^ key)) >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A stream of random numbers. The mappings to numbers are spelled out here, because those of a
/// library may change between its versions.
#[derive(Clone, Debug)]
pub struct Random {
    rng: ChaCha8Rng,
}

impl Random {
    /// Returns a number that is uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        // 53 random bits fit an f64's significand exactly.
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number that is uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Returns a standard normal number, by the polar form of Box and Muller's method.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (a, b) = (self.uniform(-1.0, 1.0), self.uniform(-1.0, 1.0));
            let square = a * a + b * b;
            // A point outside of the circle is drawn again; 0 has no logarithm.
            if square > 0.0 && square < 1.0 {
                return a * (-2.0 * square.ln() / square).sqrt();
            }
        }
    }

    /// Returns a uniform integer in 0..n; unbiased by rejection. `n` must not be 0.
    pub fn below(&mut self, n: u32) -> u32 {
        // The largest multiple of n: beyond it, small remainders would be more frequent.
        let reject = u32::MAX - u32::MAX % n;
        loop {
            let value = self.rng.next_u32();
            if value < reject {
                return value % n;
            }
        }
    }

    /// Shuffles in place, by Fisher and Yates' method.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(bound) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_differ() {
        let mut init = Seed(7).stream(Purpose::Init);
        let first: Vec<u32> = (0..4).map(|_| init.below(1000)).collect();
        let mut again = Seed(7).stream(Purpose::Init);
        assert_eq!(first, (0..4).map(|_| again.below(1000)).collect::<Vec<_>>());
        for purpose in [Purpose::Split, Purpose::Order(0), Purpose::Order(1), Purpose::Synthetic] {
            let mut other = Seed(7).stream(purpose);
            assert_ne!(first, (0..4).map(|_| other.below(1000)).collect::<Vec<_>>(), "{purpose:?}");
        }
    }

    #[test]
    fn places_are_uniform_and_independent() {
        let n = 100_000_u32;
        let of = |step, stream| -> Vec<f64> {
            let key = key(Seed(3).folded(), step, stream);
            (0..n).map(|at| f64::from(unit_at(key, at))).collect()
        };
        let (a, b, c) = (of(0, 0), of(1, 0), of(0, 1));
        let mean = |v: &[f64]| v.iter().sum::<f64>() / f64::from(n);
        let with = |a: &[f64], b: &[f64]| {
            let product = a.iter().zip(b).map(|(a, b)| (a - 0.5) * (b - 0.5)).sum::<f64>();
            product / f64::from(n) * 12.0
        };
        // Five standard errors.
        for values in [&a, &b, &c] {
            assert!((mean(values) - 0.5).abs() < 0.0046);
            assert!((with(values, values) - 1.0).abs() < 0.015);
            assert!(with(values, &values[1..]).abs() < 0.016, "neighbours");
        }
        assert!(with(&a, &b).abs() < 0.016 && with(&a, &c).abs() < 0.016);
        let mut counts = [0_u32; 16];
        a.iter().for_each(|value| counts[(value * 16.0) as usize] += 1);
        assert!(counts.iter().all(|count| count.abs_diff(6250) < 390), "{counts:?}");
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Seed(1).stream(Purpose::Synthetic);
        let n = 20_000;
        let uniform: Vec<f64> = (0..n).map(|_| random.unit()).collect();
        let normal: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let var = |v: &[f64]| v.iter().map(|x| (x - mean(v)).powi(2)).sum::<f64>() / v.len() as f64;
        // Five standard errors of each estimate.
        assert!((mean(&uniform) - 0.5).abs() < 0.011 && (var(&uniform) - 1.0 / 12.0).abs() < 0.003);
        assert!(mean(&normal).abs() < 0.036 && (var(&normal) - 1.0).abs() < 0.05);
    }

    #[test]
    fn shuffle_permutes_without_bias_to_a_place() {
        let mut random = Seed(3).stream(Purpose::Split);
        let mut counts = [0_u32; 5];
        for _ in 0..5_000 {
            let mut items = [0, 1, 2, 3, 4];
            random.shuffle(&mut items);
            counts[items.iter().position(|&i| i == 0).unwrap()] += 1;
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2, 3, 4]);
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }
}
