// Storage type of a kernel's results.
alias Write = f16;
// 1 if storing rounds, else 0.
const ROUNDS: u32 = 1u;

// The half next to z. From 65,520 on it is infinity, and of NaN too: WGSL lets adapters choose there, and what has
// overflowed must be seen later. Bits are compared, since compilers may assume that neither occurs.
fn stored(z: f32) -> Write {
    let bits = bitcast<u32>(z);
    let infinity = bitcast<f32>((bits & 0x80000000u) | 0x7f800000u);
    return f16(select(z, infinity, (bits & 0x7fffffffu) >= 0x477ff000u));
}
