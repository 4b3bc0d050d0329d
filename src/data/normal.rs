//! The standard normal distribution: its quantiles, and the share of it that lies below a number.
//!
//! In: a share, or a number. Out: the other, to about 1e-15.
//! Absent on purpose: other distributions.

/// Coefficients of a quotient of two polynomials, from the highest power down.
pub(crate) type Quotient<const N: usize, const D: usize> = ([f64; N], [f64; D]);

/// Distance from one half up to which [`CENTRE`] holds.
pub(crate) const CENTRAL: f64 = 0.425;
/// Wichura's quotient (AS 241) for shares near one half, in 0.180625 - q² with q the distance from one half.
pub(crate) const CENTRE: Quotient<8, 8> = (
    [
        2.509_080_928_730_122_7e3,
        3.343_057_558_358_813e4,
        6.726_577_092_700_87e4,
        4.592_195_393_154_987e4,
        1.373_169_376_550_946e4,
        1.971_590_950_306_551_3e3,
        1.331_416_678_917_843_8e2,
        3.387_132_872_796_366_5,
    ],
    [
        5.226_495_278_852_854e3,
        2.872_908_573_572_194_3e4,
        3.930_789_580_009_271e4,
        2.121_379_430_158_659_7e4,
        5.394_196_021_424_751e3,
        6.871_870_074_920_579e2,
        4.231_333_070_160_091e1,
        1.0,
    ],
);
/// Wichura's quotient for the tails down to e^-25, in √(-ln p) - 1.6 with p the smaller share.
pub(crate) const TAIL: Quotient<8, 8> = (
    [
        7.745_450_142_783_414e-4,
        2.272_384_498_926_918_4e-2,
        2.417_807_251_774_506e-1,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        1.519_866_656_361_645_7e-2,
        1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
);
/// Hart's quotient for the share below -|z|, to be multiplied by e^(-z²/2).
pub(crate) const SHARE_BELOW: Quotient<7, 8> = (
    [
        3.526_249_659_989_11e-2,
        0.700_383_064_443_688,
        6.373_962_203_531_65,
        33.912_866_078_383,
        112.079_291_497_871,
        221.213_596_169_931,
        220.206_867_912_376,
    ],
    [
        8.838_834_764_831_84e-2,
        1.755_667_163_182_64,
        16.064_177_579_207,
        86.780_732_202_946_1,
        296.564_248_779_674,
        637.333_633_378_831,
        793.826_512_519_948,
        440.413_735_824_752,
    ],
);
/// Largest size of a number whose share is told; beyond it all but 1e-11 lies on one side.
pub(crate) const WIDEST_Z: f64 = 7.0;

/// Returns the value of a quotient of polynomials.
fn value<const N: usize, const D: usize>((above, below): &Quotient<N, D>, x: f64) -> f64 {
    let polynomial = |coefficients: &[f64]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    polynomial(above) / polynomial(below)
}

/// Returns the number below which a share of the distribution lies; the share has to be within e^-25 of neither 0 nor 1.
pub(super) fn normal_quantile(share: f64) -> f64 {
    let q = share - 0.5;
    if q.abs() <= CENTRAL {
        return q * value(&CENTRE, CENTRAL * CENTRAL - q * q);
    }
    let smaller = if q < 0.0 { share } else { 1.0 - share };
    let size = value(&TAIL, (-smaller.ln()).sqrt() - 1.6);
    if q < 0.0 { -size } else { size }
}

/// Returns the share of the distribution that lies below a number of at most [`WIDEST_Z`], to which larger ones are cut.
pub(super) fn normal_share(z: f64) -> f64 {
    let size = z.abs().min(WIDEST_Z);
    let below = (-size * size / 2.0).exp() * value(&SHARE_BELOW, size);
    if z > 0.0 { 1.0 - below } else { below }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_shares_are_those_of_scipy() {
        // `scipy.stats.norm.ppf` and `.cdf`, scipy 1.x.
        for (share, z) in [
            (1e-7, -5.199_337_582_192_817),
            (0.001, -3.090_232_306_167_813),
            (0.07, -1.475_791_028_179_170_6),
            (0.3, -0.524_400_512_708_041),
            (0.5, 0.0),
            (0.925, 1.439_531_470_938_456),
            (0.9, 1.281_551_565_544_600_4),
        ] {
            assert!((normal_quantile(share) - z).abs() < 1e-14, "{share}");
            assert!((normal_share(z) - share).abs() < 1e-15, "{z}");
        }
        assert!((normal_share(5.2) - 0.999_999_900_355_737_4).abs() < 1e-15);
        assert!(normal_share(-9.0) < 1e-11 && normal_share(9.0) > 1.0 - 1e-11);
    }
}
