// m, v = running means of g and g^2; w = keep w - rate m / (sqrt(v) / correction2 + eps), with
// rate = lr / correction1. Decay is coupled (g += wd w) or decoupled (keep = 1 - lr wd). The settings are fields of
// `params`: rest1 and rest2 are 1 - beta1 and 1 - beta2, rounded once.

struct Adam {
    weight: vec4<f32>,
    m: vec4<f32>,
    v: vec4<f32>,
}

fn adam(weight: vec4<f32>, gradient: vec4<f32>, m: vec4<f32>, v: vec4<f32>) -> Adam {
    var w = weight;
    var g = gradient;
    if DECOUPLED == 1u {
        w *= 1.0 - step.lr * params.weight_decay * step.decay;
    } else {
        g += params.weight_decay * step.decay * w;
    }
    let m_new = params.beta1 * m + params.rest1 * g;
    let v_new = params.beta2 * v + params.rest2 * g * g;
    return Adam(w - step.rate * m_new / (sqrt(v_new) / step.correction2 + params.eps), m_new, v_new);
}
