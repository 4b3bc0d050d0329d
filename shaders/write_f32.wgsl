// What a kernel's results are kept in.
alias Write = f32;

fn stored(z: f32) -> Write {
    return z;
}
