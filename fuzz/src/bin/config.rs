#![no_main]

// Settings of the program are no part of the library: it shows them to this crate alone.
#[cfg(fuzzing)]
wgrad_fuzz::target!(config);

#[cfg(fuzzing)]
fn config(data: &[u8]) {
    use wgrad_fuzz::{memory, targets};

    let Ok(text) = std::str::from_utf8(data) else { return };
    memory::within(targets::allowance(data), || wgrad::cli::check_settings(text));
}

#[cfg(not(fuzzing))]
compile_error!("build it by scripts/fuzz.sh");
