//! Distributions by their moments and bounds, names by what they write.

use super::*;
use crate::random::{Purpose, Seed};

const SIZES: (usize, usize) = (50, 200);

fn of(text: &str) -> Init {
    text.parse().unwrap()
}

fn values(init: Init, first: bool) -> Vec<f64> {
    let mut values = vec![0.0; SIZES.0 * SIZES.1];
    init.weight(&mut values, SIZES, first, &mut Seed(5).stream(Purpose::Init));
    values.into_iter().map(f64::from).collect()
}

/// Mean, variance and kurtosis: 1.8 of a uniform distribution, 3 of a normal one.
fn moments(values: &[f64]) -> (f64, f64, f64) {
    let mean_of = |power: i32, centre: f64| {
        values.iter().map(|v| (v - centre).powi(power)).sum::<f64>() / values.len() as f64
    };
    let mean = mean_of(1, 0.0);
    let var = mean_of(2, mean);
    (mean, var, mean_of(4, mean) / (var * var))
}

#[test]
fn moments_and_bounds_are_those_stated() {
    let (normal, uniform) = (3.0, 1.8);
    // Uniform within ±b has variance b²/3.
    for (text, std, kurtosis) in [
        ("pytorch", (1.0 / 50.0 / 3.0_f64).sqrt(), uniform),
        ("kaiming-uniform", (2.0 / 50.0_f64).sqrt(), uniform),
        ("kaiming-uniform(gain=tanh)", 5.0 / 3.0 / 50.0_f64.sqrt(), uniform),
        ("kaiming-uniform(fan=out)", (2.0 / 200.0_f64).sqrt(), uniform),
        ("kaiming-normal", (2.0 / 50.0_f64).sqrt(), normal),
        ("kaiming-normal(1, out)", (1.0 / 200.0_f64).sqrt(), normal),
        ("xavier-uniform", (2.0 / 250.0_f64).sqrt(), uniform),
        ("xavier-normal(gain=2)", 2.0 * (2.0 / 250.0_f64).sqrt(), normal),
        ("lecun-uniform", (1.0 / 50.0_f64).sqrt(), uniform),
        ("lecun-normal(selu)", 0.75 * (1.0 / 50.0_f64).sqrt(), normal),
        ("siren", (6.0 / 50.0_f64).sqrt() / 30.0 / 3.0_f64.sqrt(), uniform),
        ("ntk", 1.0, normal),
        ("unit-variance", 1.0, normal),
    ] {
        let values = values(of(text), false);
        let (mean, var, got) = moments(&values);
        // 10,000 values: five standard errors of mean and variance, more of the kurtosis.
        assert!(mean.abs() < 0.05 * std, "{text}: mean {mean}");
        assert!((var / (std * std) - 1.0).abs() < 0.07, "{text}: {var}, want {}", std * std);
        assert!((got - kurtosis).abs() < 0.25, "{text}: kurtosis {got}, want {kurtosis}");
        if kurtosis == uniform {
            let largest = values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            let bound = std * 3.0_f64.sqrt();
            assert!(largest <= bound * 1.000_001 && largest > 0.99 * bound, "{text}: {largest}");
        }
    }
    assert!(values(of("constant(0.5)"), false).iter().all(|&value| value == 0.5));
}

#[test]
fn truncated_normals_keep_their_interval_and_their_shape() {
    // scipy.stats.truncnorm(low, high).stats() for wide, one-sided and narrow intervals, also far from the mean.
    for (text, bounds, mean, var) in [
        ("trunc-normal", (-2.0, 2.0), 0.0, 0.773_741_303_550_f64),
        ("trunc-normal(std=0.02)", (-2.0, 2.0), 0.0, 0.000_4),
        ("trunc-normal(0, 1, -0.5, 0.5)", (-0.5, 0.5), 0.0, 0.080_589_154_601),
        ("trunc-normal(0, 1, 2, 3)", (2.0, 3.0), 2.315_821_327, 0.061_520_780),
        ("trunc-normal(mean=1, std=2, a=2, b=9)", (2.0, 9.0), 3.281_522_225, 1.070_105_346),
    ] {
        let values = values(of(text), false);
        assert!(values.iter().all(|v| (bounds.0..=bounds.1).contains(v)), "{text}");
        let (got_mean, got_var, _) = moments(&values);
        assert!(
            (got_mean - mean).abs() < 0.06 * var.sqrt(),
            "{text}: mean {got_mean}, want {mean}"
        );
        assert!((got_var / var - 1.0).abs() < 0.08, "{text}: variance {got_var}, want {var}");
    }
}

#[test]
fn sirens_first_layer_has_bounds_of_its_own() {
    let largest =
        |first| values(of("siren"), first).iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    assert!((0.99..=1.000_001).contains(&(largest(true) * 50.0)));
    let bound = (6.0 / 50.0_f64).sqrt() / 30.0;
    assert!((0.99..=1.000_001).contains(&(largest(false) / bound)));
}

#[test]
fn biases_are_zero_but_where_it_is_said() {
    for (index, entry) in Init::VOCABULARY.iter().enumerate() {
        let init = of(EXAMPLES[index]);
        let mut bias = vec![7.0; 100];
        init.bias(&mut bias, 25, &mut Seed(5).stream(Purpose::Init));
        let largest = bias.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let own = ["pytorch", "siren"].contains(&entry.name);
        assert!(if own { largest > 0.15 && largest <= 0.2 } else { largest == 0.0 }, "{init}");
    }
}

/// One of each, in the vocabulary's order.
const EXAMPLES: [&str; 13] = [
    "pytorch",
    "kaiming-uniform(gain=1, fan=out)",
    "kaiming-normal(gain=1.5, fan=in)",
    "xavier-uniform(gain=0.5)",
    "xavier-normal",
    "lecun-uniform(gain=1)",
    "lecun-normal(gain=0.75)",
    "orthogonal(gain=1)",
    "trunc-normal(mean=0, std=0.02, a=-2, b=2)",
    "constant(value=-0.1)",
    "siren(omega=30)",
    "ntk",
    "unit-variance",
];

#[test]
fn the_vocabulary_lists_the_known_names() {
    let names: Vec<_> = Init::VOCABULARY.iter().map(|entry| entry.name).collect();
    assert_eq!(names, EXAMPLES.map(|text| of(text).name()));
}

#[test]
fn what_is_written_is_read() {
    for text in EXAMPLES {
        assert_eq!(of(text).to_string(), text);
        let json = serde_json::to_string(&of(text)).unwrap();
        assert_eq!(serde_json::from_str::<Init>(&json).unwrap(), of(text));
    }
    // Files of earlier versions have bare names.
    assert_eq!(serde_json::from_str::<Init>("\"kaiming-uniform\"").unwrap(), Init::KAIMING_UNIFORM);
    assert_eq!(of("Kaiming_Uniform(gain=relu)").to_string(), "kaiming-uniform");
    assert_eq!(of("lecun-normal").to_string(), "lecun-normal(gain=1)");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (text, want) in [
        ("ones", "unknown scheme \"ones\"; known: pytorch, kaiming-uniform"),
        ("constant", "constant needs value: write constant(value=NUMBER)"),
        ("constant(inf)", "value of constant is inf, but it must be a finite number"),
        (
            "orthogonal(gain=gelu)",
            "gain of orthogonal is \"gelu\"; give a number, or one of linear",
        ),
        ("kaiming-normal(fan=both)", "fan of kaiming-normal is \"both\"; known: in, out"),
        ("xavier-normal(0)", "gain of xavier-normal is 0, but it must be a finite number above 0"),
        ("trunc-normal(a=3)", "b of trunc-normal is 2, but it must be a finite number above a = 3"),
        ("trunc-normal(mean=9)", "mean of trunc-normal is 9, but it must be within 2 std of"),
        ("ntk(gain=1)", "unknown argument \"gain\"; ntk has no arguments"),
    ] {
        let said = text.parse::<Init>().unwrap_err().to_string();
        assert!(said.starts_with(&format!("init: {want}")), "{said}");
    }
}

#[test]
fn gains_are_pytorchs() {
    // torch.nn.init.calculate_gain of each; leaky_relu with its slope of 0.01.
    for (name, want) in [
        ("linear", 1.0),
        ("sigmoid", 1.0),
        ("tanh", 5.0 / 3.0),
        ("relu", 2_f64.sqrt()),
        ("leaky_relu", 1.414_142_856_997_835_4),
        ("selu", 0.75),
    ] {
        assert!((gain(name).unwrap() - want).abs() < 1e-15, "{name}");
    }
    assert_eq!(gain("gelu"), None);
}
