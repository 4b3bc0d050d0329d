// Counter-based random numbers: the twin of src/random.rs.

fn mixed(x: u32) -> u32 {
    let y = (x ^ (x >> 16u)) * 0x21f0aaadu;
    let z = (y ^ (y >> 15u)) * 0x735a2d97u;
    return z ^ (z >> 15u);
}

// Uniform in [0, 1), with 24 bits: the number of a place in this step, in a stream of its own.
fn unit_at(stream: u32, at: u32) -> f32 {
    let key = mixed(step.seed ^ mixed(step.step ^ mixed(stream ^ 0x85ebca6bu)));
    return f32(mixed(key ^ mixed(at ^ key)) >> 8u) * (1.0 / 16777216.0);
}

// Factor of dropout for an element: 0, or 1 / (1 - rate).
fn keep(stream: u32, rate: f32, at: u32) -> f32 {
    let r = rate * step.dropout;
    return select(1.0 / (1.0 - r), 0.0, unit_at(stream, at) < r);
}
