//! The program `wgrad`.
fn main() {}
