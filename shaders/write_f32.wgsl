// Storage type of a kernel's results.
alias Write = f32;
// 1 if storing rounds, else 0.
const ROUNDS: u32 = 0u;

fn stored(z: f32) -> Write {
    return z;
}
