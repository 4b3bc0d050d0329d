// A product as a kernel of its own: its operands are bindings.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    fused: u32,
    stream: u32,
    rate: f32,
}

@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<Read>;
@group(0) @binding(3) var<storage, read> b: array<Read>;
@group(0) @binding(4) var<storage, read> extra: array<Read>;
@group(0) @binding(5) var<storage, read_write> out: array<Write>;
@group(0) @binding(6) var<storage, read_write> extra_out: array<Write>;

// The set of fusions is a constant where each combination has a pipeline of its own, else a uniform.
fn size_of_product() -> Size {
    return Size(params.m, params.n, params.k, select(FUSED, params.fused, ONE_PIPELINE == 1u));
}

// Factor of dropout for an element.
fn dropout(at: u32) -> f32 {
    return keep(params.stream, params.rate, at + step.batch_row * params.n);
}

fn load_a(at: u32) -> f32 {
    return f32(a[at]);
}

fn load_b(at: u32) -> f32 {
    return f32(b[at]);
}

fn load_extra(at: u32) -> f32 {
    return f32(extra[at]);
}

fn load_out(at: u32) -> f32 {
    return f32(out[at]);
}

fn store_out(at: u32, value: f32) {
    out[at] = stored(value);
}

fn store_extra(at: u32, value: f32) {
    extra_out[at] = stored(value);
}
