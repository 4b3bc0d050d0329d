// out [m, n] = outputs of a network that would predict the mean of what g members predict, whose outputs x [m, g n] stand side by
// side. OUTPUTS says what they are: numbers, logits of classes, logits of labels, logarithms. One lane a row.

fn is_bad(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u;
}

// ln σ(x)
fn log_sigmoid(x: f32) -> f32 {
    return min(x, 0.0) - log(1.0 + exp(-abs(x)));
}

// ln of the mean of exp(sign x), or of σ(sign x), over the members' numbers of one column that begin at `start`.
fn log_mean(start: u32, sign: f32) -> f32 {
    var top = part(start, sign);
    for (var i = 1u; i < params.blocks; i++) {
        top = max(top, part(start + i * params.n, sign));
    }
    var sum = 0.0;
    for (var i = 0u; i < params.blocks; i++) {
        sum += exp(max(part(start + i * params.n, sign) - top, -87.0));
    }
    return top + log(sum / f32(params.blocks));
}

fn part(at: u32, sign: f32) -> f32 {
    if OUTPUTS == 2u {
        return log_sigmoid(sign * x[at]);
    }
    return x[at];
}

// ln of the sum of exp over a member's logits, which begin at `start`.
fn log_sum(start: u32) -> f32 {
    var top = x[start];
    for (var j = 1u; j < params.n; j++) {
        top = max(top, x[start + j]);
    }
    var sum = 0.0;
    for (var j = 0u; j < params.n; j++) {
        sum += exp(max(x[start + j] - top, -87.0));
    }
    return top + log(sum);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) global: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = flat(global, groups, WORKGROUP);
    if row >= params.m {
        return;
    }
    let n = params.n;
    let g = params.blocks;
    let start = row * g * n;
    if OUTPUTS == 0u {
        for (var j = 0u; j < n; j++) {
            var sum = 0.0;
            for (var i = 0u; i < g; i++) {
                sum += x[start + i * n + j];
            }
            out[row * n + j] = sum / f32(g);
        }
        return;
    }
    // Set where a member's output is NaN or infinite: by its bits, since compilers may assume that none is.
    var bad = 0u;
    for (var i = 0u; i < g * n; i++) {
        bad = select(bad, 0x7fc00000u, is_bad(x[start + i]));
    }
    if OUTPUTS == 2u {
        for (var j = 0u; j < n; j++) {
            let value = log_mean(start + j, 1.0) - log_mean(start + j, -1.0);
            out[row * n + j] = bitcast<f32>(bitcast<u32>(value) | bad);
        }
        return;
    }
    if OUTPUTS == 3u {
        for (var j = 0u; j < n; j++) {
            out[row * n + j] = bitcast<f32>(bitcast<u32>(log_mean(start + j, 1.0)) | bad);
        }
        return;
    }
    // Logarithms of classes' sums grow member by member, so that no probability becomes 0.
    for (var i = 0u; i < g; i++) {
        let of_member = log_sum(start + i * n);
        for (var j = 0u; j < n; j++) {
            let value = x[start + i * n + j] - of_member;
            let so_far = out[row * n + j];
            if i == 0u {
                out[row * n + j] = value;
            } else {
                let top = max(so_far, value);
                let low = min(so_far, value);
                out[row * n + j] = top + log(1.0 + exp(max(low - top, -87.0)));
            }
        }
    }
    for (var j = 0u; j < n; j++) {
        let value = out[row * n + j] - log(f32(g));
        out[row * n + j] = bitcast<f32>(bitcast<u32>(value) | bad);
    }
}
