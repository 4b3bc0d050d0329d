//! Training runs and activations against stored PyTorch results (`tests/oracle`).

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::oracle::{Case, Oracle, replay};
use common::{Tolerance, assert_close};
use wgrad::device::Device;
use wgrad::device::cpu::{CpuDevice, Real};
use wgrad::expr::Program;
use wgrad::model::Activation;

/// Both sides compute in f64 and differ in the order of additions alone: 20 steps, sums of at most 53 terms and
/// products that feed them amplify 1e-16 by no more than 1e7.
const F64: f64 = 1e-9;
/// The same in f32, whose rounding is 6e-8. PyTorch's own f32 run lies within 2e-6 of its f64 run in every case
/// (make.py requires it), and another order of additions may cost a few dozen times that.
const F32: f64 = 1e-4;

#[test]
fn trajectories_in_f64_are_pytorchs() {
    let oracle = Oracle::read("trajectories");
    let cases = oracle.cases();
    assert!(cases.len() >= 25, "only {} cases", cases.len());
    for case in &cases {
        let mut device = CpuDevice::<f64>::new();
        let (plan, losses) = replay(&mut device, &oracle, case);
        assert_eq!(losses.len(), case.steps, "{}", case.name);
        let want = oracle.values(&format!("{}/loss64", case.name));
        let losses = &device.values(plan.ports.log).unwrap()[..case.steps];
        assert_close(
            &format!("{} loss", case.name),
            losses,
            want,
            Tolerance { abs: 0.0, rel: F64 },
        );
        let params = device.values(plan.ports.params).unwrap().to_vec();
        assert_weights(&oracle, &case.name, case, &params, "f64", F64);
    }
}

#[test]
fn trajectories_in_f32_are_pytorchs() {
    let oracle = Oracle::read("trajectories");
    for case in &oracle.cases() {
        assert_f32_trajectory(&mut CpuDevice::<f32>::new(), &oracle, case);
    }
}

#[cfg(feature = "gpu")]
#[test]
fn trajectories_on_the_gpu_are_pytorchs() {
    let Some(mut device) = common::gpu() else { return };
    let oracle = Oracle::read("trajectories");
    for case in &oracle.cases() {
        assert_f32_trajectory(&mut device, &oracle, case);
    }
}

/// Any device of single precision against PyTorch's run in f64 and the one in f32.
fn assert_f32_trajectory(device: &mut dyn Device, oracle: &Oracle, case: &Case) {
    let (plan, losses) = replay(device, oracle, case);
    let want = oracle.values(&format!("{}/loss64", case.name));
    let what = format!("{} on {}", case.name, device.info());
    assert_close(&format!("{what} loss"), &losses, want, Tolerance { abs: 0.0, rel: F32 });
    let params = plan.ports.params;
    let params: Vec<f64> =
        device.read(params, plan.slot(params).len()).unwrap().into_iter().map(f64::from).collect();
    assert_weights(oracle, &what, case, &params, "f64", F32);
    assert_weights(oracle, &what, case, &params, "f32", F32);
}

/// Each weight within a share of itself and of its tensor's largest.
fn assert_weights(oracle: &Oracle, what: &str, case: &Case, arena: &[f64], run: &str, rel: f64) {
    let layout = case.model().layout(case.sizes[0]).unwrap();
    assert!(!layout.is_empty());
    for view in layout.views() {
        let want = oracle.values(&format!("{}/{run}/{}", case.name, view.name));
        let what = format!("{what} {run} {}", view.name);
        assert_close(&what, &arena[view.range()], want, Tolerance::scaled(rel, want));
        let start = oracle.values(&format!("{}/init/{}", case.name, view.name));
        assert_ne!(start, want, "{what}: the oracle's run moved nothing");
    }
}

/// A function of one number in a device's precision.
fn of<T: Real>(program: &Program, x: T) -> T {
    let mut registers = program.registers::<T>();
    program.run::<T, T::Functions>(&mut registers, 1, |_, to| to[0] = x, |_, _| {});
    registers[usize::from(program.outputs()[0])][0]
}

/// Values and gradients at every point of the grid. `rounding` is the distance of two neighbouring numbers
/// at 1. A value is x times a factor that is off by a few of them, and single precision ends at 1.4e-45. A
/// gradient is off by a few too, but for gelu_tanh: there 1 − tanh² is, and is multiplied by
/// x √(2/π) (1 + 0.134 x²) / 2, which comes to 43 before tanh is 1 (at |x| = 9 in f64, earlier in f32).
fn assert_activations<T: Real + Into<f64>>(rounding: f64) {
    let oracle = Oracle::read("activations");
    let mut compared = 0;
    // The others are in tests/activations.rs.
    use Activation::{Gelu, GeluTanh, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
    for act in [Relu, LeakyRelu, Tanh, Sigmoid, Gelu, GeluTanh, Silu] {
        let x = oracle.values(&format!("{act}/x"));
        let y: Vec<T> = x.iter().map(|&x| of(act.value_program(), T::of(x))).collect();
        let saved = |i: usize| if act.gradient_from_output() { y[i] } else { T::of(x[i]) };
        let dy: Vec<T> = (0..x.len()).map(|i| of(act.slope_program(), saved(i))).collect();
        for (i, &at) in x.iter().enumerate() {
            let tolerance =
                Tolerance { abs: 8.0 * rounding * at.abs().min(10.0) + 1e-44, rel: 8.0 * rounding };
            let one = |values: &[T]| -> f64 { values[i].into() };
            let what = format!("{act}({at:e})");
            assert_close(&what, &[one(&y)], &oracle.values(&format!("{act}/y"))[i..=i], tolerance);
            let slack = if act == Activation::GeluTanh { 64.0 } else { 8.0 };
            let tolerance = Tolerance { abs: slack * rounding, rel: 8.0 * rounding };
            let what = format!("{act}'({at:e})");
            assert_close(
                &what,
                &[one(&dy)],
                &oracle.values(&format!("{act}/dy"))[i..=i],
                tolerance,
            );
            compared += 1;
        }
    }
    assert!(compared > 7 * 400, "only {compared} points");
}

#[test]
fn activations_in_f64_are_pytorchs() {
    assert_activations::<f64>(f64::EPSILON);
}

#[test]
fn activations_in_f32_are_pytorchs() {
    assert_activations::<f32>(f64::from(f32::EPSILON));
}
