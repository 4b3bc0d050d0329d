//! Tests of the tests' own helpers: a comparison must be able to fail.

mod common;

use common::{Tolerance, assert_close};

const EXACT: Tolerance = Tolerance { abs: 0.0, rel: 0.0 };
const LOOSE: Tolerance = Tolerance { abs: 1e6, rel: 1e6 };

#[test]
fn limits_add_up() {
    assert_close("sum", &[1.0_f32, 0.5], &[1.0_f64, 0.25], Tolerance { abs: 0.2, rel: 0.2 });
    assert_close::<f64, f64>("nothing", &[], &[], EXACT);
    let scaled = Tolerance::scaled(0.01, &[-200.0_f64, 1.0]);
    assert!((scaled.abs - 2.0).abs() < 1e-12 && (scaled.rel - 0.01).abs() < 1e-12);
}

#[test]
#[should_panic(expected = "sum[1]: got 0.5, want 0.25")]
fn beyond_the_limit_fails_with_its_index() {
    assert_close("sum", &[1.0_f32, 0.5], &[1.0_f32, 0.25], Tolerance { abs: 0.1, rel: 0.1 });
}

#[test]
#[should_panic(expected = "y[1]: got NaN")]
fn nan_fails() {
    assert_close("y", &[1.0, f32::NAN], &[1.0_f32, 2.0], LOOSE);
}

#[test]
#[should_panic(expected = "y[0]: got inf")]
fn an_infinite_result_fails() {
    assert_close("y", &[f64::INFINITY], &[2.0], LOOSE);
}

#[test]
#[should_panic(expected = "y[0]: the reference itself is inf")]
fn an_infinite_reference_fails() {
    assert_close("y", &[f64::INFINITY], &[f64::INFINITY], LOOSE);
}

#[test]
#[should_panic(expected = "y[0]: the reference itself is NaN")]
fn a_reference_that_is_nan_fails() {
    assert_close("y", &[1.0], &[f64::NAN], LOOSE);
}

#[test]
#[should_panic(expected = "lengths differ")]
fn another_length_fails() {
    assert_close("y", &[1.0], &[1.0, 1.0], LOOSE);
}

#[test]
#[should_panic(expected = "the tolerance is")]
fn an_infinite_tolerance_fails() {
    assert_close("y", &[1.0], &[1.0], Tolerance { abs: f64::INFINITY, rel: 0.0 });
}
