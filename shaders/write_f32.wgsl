// What a kernel's results are kept in.
alias Write = f32;
// Whether storing rounds.
const ROUNDS: u32 = 0u;

fn stored(z: f32) -> Write {
    return z;
}
