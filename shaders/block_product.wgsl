// Sizes and bindings of products within blocks of columns.

struct Params {
    m: u32,
    blocks: u32,
    n: u32,
    k: u32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
