// Sizes and bindings of kernels over blocks of columns that stand side by side.

struct Params {
    m: u32,
    n: u32,
    blocks: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
