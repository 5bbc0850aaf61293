//! Cut-offs of the counting tests, from the entropy claimed and the false alarms accepted.

/// False alarms are accepted with a probability of 2^-40 a test: at 48 bytes every 10 s the
/// repetition test then cries wolf once in some thousands of years, and nobody switches it off.
pub(super) const ALPHA_EXPONENT: i32 = 40;

/// Repetition count test (SP 800-90B, section 4.4.1): C = 1 + ceil(-log2(alpha) / H), for alpha =
/// 2^-`exponent` and `h` bits a sample.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and positive"
)]
pub(super) fn repetition(exponent: i32, h: f64) -> u32 {
    1 + (f64::from(exponent) / h).ceil() as u32
}

/// Adaptive proportion test (SP 800-90B, section 4.4.2): C = 1 + critbinom(W, 2^-H, 1 - alpha),
/// for alpha = 2^-`exponent`, `h` bits a sample and a window of `window` samples.
///
/// critbinom is the smallest k for which at most k successes have a probability of at least
/// 1 - alpha. It is found from the upper tail, where no precision is lost beside 1.
pub(super) fn proportion(exponent: i32, h: f64, window: u32) -> u32 {
    let p = (-h).exp2();
    let alpha = f64::from(-exponent).exp2();
    let ln_ratio = (p / (1.0 - p)).ln();
    let mut ln_term = f64::from(window) * (1.0 - p).ln();
    let mut terms = Vec::with_capacity(window as usize + 1);
    for k in 0..=window {
        terms.push(ln_term.exp());
        ln_term += (f64::from(window - k) / f64::from(k + 1)).ln() + ln_ratio;
    }
    let mut tail = 0.0;
    for k in (0..=window).rev() {
        tail += terms[k as usize];
        if tail > alpha {
            return 1 + k;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::{proportion, repetition};

    /// Repetition and proportion cut-offs for alpha 2^-20, 2^-30 and 2^-40, byte samples, W = 512.
    #[test]
    fn cutoffs_are_those_of_the_table() {
        for (h, row) in [
            (8.0, [(4, 13), (5, 16), (6, 19)]),
            (7.0, [(4, 18), (6, 22), (7, 26)]),
            (6.0, [(5, 25), (6, 31), (8, 35)]),
            (4.0, [(6, 62), (9, 71), (11, 78)]),
        ] {
            for (exponent, expected) in [20, 30, 40].into_iter().zip(row) {
                let found = (repetition(exponent, h), proportion(exponent, h, 512));
                assert_eq!(found, expected, "H = {h}, alpha = 2^-{exponent}");
            }
        }
    }
}
