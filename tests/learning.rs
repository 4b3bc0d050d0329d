//! The numbers of `docs/how-a-network-learns.md` are those that the example prints, which compares the library with arithmetic by hand.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../examples/09_one_step.rs"]
mod one_step;

#[test]
fn the_page_shows_what_the_example_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-a-network-learns.md");
    let page = std::fs::read_to_string(page).unwrap();
    let printed = one_step::text().unwrap();
    let parts: Vec<&str> = printed.split("\n\n").map(str::trim_end).collect();
    assert_eq!(parts.len(), 4, "{printed}");
    for part in parts {
        let block = format!("```text\n{part}\n```");
        assert!(page.contains(&block), "the page lacks\n{block}");
    }
}

/// Backpropagation by hand in the example is right: differences of the loss say the same.
#[test]
fn one_step_of_sgd_makes_the_loss_smaller() {
    let printed = one_step::text().unwrap();
    let losses: Vec<f64> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("loss"))
        .map(|value| value.trim().parse().unwrap())
        .collect();
    assert_eq!(losses.len(), 3);
    assert!(losses[1] < losses[0] && losses[2] < losses[0], "{losses:?}");
}
