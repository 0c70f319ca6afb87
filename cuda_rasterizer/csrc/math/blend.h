// Front-to-back alpha compositing of one more contribution, and its derivative. V is a number, or a vector of pixels.
//
// A finished pixel is marked by the sign bit of its transmittance: no further contribution can pass the tests then, and
// the magnitude keeps the final value.
#pragma once

#include "math/scalar.h"

SPLAT_NAMESPACE_BEGIN

// alpha_max, alpha_min, transmittance_min of splat/settings.py.
template <class S> struct BlendSettings {
    S alpha_max, alpha_min, transmittance_min;
};

template <class V> struct Blend {
    V alpha;          // clamped
    V weight;         // alpha * transmittance in front; 0 where it does not contribute
    V transmittance;  // behind; negative where the pixel is finished
};

template <class S, class V> SPLAT_HD Blend<V> blend(V alpha_unclamped, V transmittance,
                                                    const BlendSettings<S>& settings) {
    const V alpha = smaller(alpha_unclamped, V{} + settings.alpha_max);
    const V behind = transmittance - alpha * transmittance;
    const auto visible = alpha >= settings.alpha_min;
    const auto contributes = visible & (behind > settings.transmittance_min);
    const V stopped = select(visible, negative_magnitude(transmittance), transmittance);
    return {alpha, select(contributes, alpha * transmittance, V{}), select(contributes, behind, stopped)};
}

// How much a pixel's value changes if this contribution alone were left out: what comes behind would be seen through less.
// `remaining` is the sum of weight * value behind it, background included. Exact as long as the pixel ends where it did.
template <class V> SPLAT_HD V removal_change(const Blend<V>& step, V value, V remaining) {
    return select(step.weight > V{}, step.weight * (value - remaining / step.transmittance), V{});
}

// v_sigma = -alpha dL/dalpha of a contribution. `dot` is its values times the gradients with respect to the pixel's values;
// `remaining` is what comes behind it: sum of weight * dot there, plus the gradient with respect to the final transmittance times
// that transmittance. Where alpha was clamped the gradient is zero.
template <class S, class V>
SPLAT_HD V blend_vjp(const Blend<V>& step, V alpha_unclamped, V dot, V remaining, const BlendSettings<S>& settings) {
    const V v = remaining * approximate_quotient(step.alpha, S(1) - step.alpha) - step.weight * dot;
    return select((step.weight > S(0)) & (alpha_unclamped < settings.alpha_max), v, V{});
}

SPLAT_NAMESPACE_END
