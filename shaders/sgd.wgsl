// g += wd w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v). The settings are fields of `params`.

struct Sgd {
    weight: vec4<f32>,
    velocity: vec4<f32>,
}

fn sgd(weight: vec4<f32>, gradient: vec4<f32>, velocity: vec4<f32>) -> Sgd {
    let g = gradient + params.weight_decay * step.decay * weight;
    var change = g;
    var v = velocity;
    if MOMENTUM == 1u {
        v = params.momentum * velocity + g;
        change = v;
        if NESTEROV == 1u {
            change = g + params.momentum * v;
        }
    }
    return Sgd(weight - step.lr * change, v);
}
