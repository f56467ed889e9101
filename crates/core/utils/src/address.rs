//! Randomness by address: what is drawn is a function of where, never of when.
//!
//! A stream of random numbers depends on the order in which threads take from it. An [`Address`] does not: the same
//! (seed, epoch, sample) gives the same numbers on any thread, in any order, after any restart.
//! The generator is SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), keyed by its own finaliser.

/// The constant by which SplitMix64 moves on: 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A place from which random numbers are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(u64);

impl Address {
    /// The root of all addresses of a run with this seed.
    pub const fn root(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(GOLDEN)))
    }

    /// The address below this one for `key`: an epoch, a sample's index, a step.
    #[must_use]
    pub const fn at(self, key: u64) -> Self {
        Self(mix(self.0 ^ mix(key.wrapping_add(GOLDEN))))
    }

    /// The address below this one for a named use, so that two uses of one key never draw the same.
    #[must_use]
    pub fn named(self, use_name: &str) -> Self {
        // FNV-1a: stable over versions of the compiler, which `std::hash` does not promise.
        let hash = use_name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        self.at(hash)
    }

    /// A seed for a generator of someone else's, such as libtorch's.
    pub const fn seed(self) -> u64 {
        mix(self.0.wrapping_add(GOLDEN))
    }

    /// A generator that starts here.
    pub const fn draws(self) -> Draws {
        Draws(self.0)
    }

    /// The numbers `0..len` in an order drawn here (Fisher and Yates).
    pub fn permutation(self, len: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        let mut draws = self.draws();
        for last in (1..len).rev() {
            order.swap(last, draws.below(last as u64 + 1) as usize);
        }
        order
    }
}

/// Random numbers from one [`Address`].
#[derive(Debug, Clone)]
pub struct Draws(u64);

impl Draws {
    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub const fn uniform(&mut self) -> f64 {
        // 53 bits: all that a double can hold below one.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..bound`, without bias (Lemire 2019, arXiv:1805.10941). `0` for a bound of 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = self.next_u64() as u128 * bound as u128;
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }
}

/// SplitMix64's finaliser: a bijection in which each input bit moves each output bit about half of the time.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_draws_the_same_numbers() {
        let here = || Address::root(42).named("shuffle").at(3).at(17).draws();
        assert_eq!(here().next_u64(), here().next_u64());
        assert_ne!(here().next_u64(), Address::root(42).named("augment").at(3).at(17).draws().next_u64());
    }

    #[test]
    fn splitmix_gives_its_published_numbers() {
        // First outputs for the state 1234567, from the reference implementation.
        let mut draws = Draws(1_234_567);
        assert_eq!(draws.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next_u64(), 3_203_168_211_198_807_973);
    }

    proptest::proptest! {
        #[test]
        fn a_permutation_holds_each_number_once(seed: u64, len in 0_usize..300) {
            let mut order = Address::root(seed).permutation(len);
            order.sort_unstable();
            proptest::prop_assert!(order.into_iter().eq(0..len));
        }

        #[test]
        fn draws_stay_within_their_bounds(seed: u64, bound in 1_u64..1000) {
            let mut draws = Address::root(seed).draws();
            proptest::prop_assert!(draws.below(bound) < bound);
            proptest::prop_assert!((0.0..1.0).contains(&draws.uniform()));
        }
    }
}
