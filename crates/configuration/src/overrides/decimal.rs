//! Python's `Decimal`, as far as `range()` with floats needs it: exact doubles, sums of 28 digits.

use std::cmp::Ordering;

/// Digits that a sum keeps: Python's default context.
const PRECISION: usize = 28;

/// `digits × 10^exponent`, digits most significant first and without leading zeros; zero has none.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// The exact value of a finite double.
    pub(super) fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        // A double has at most 1074 digits after the point; Rust writes all of them.
        let text = format!("{:.1074}", value.abs());
        let (whole, fraction) = text.split_once('.')?;
        let fraction = fraction.trim_end_matches('0');
        let digits =
            whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').skip_while(|d| *d == 0).collect();
        let exponent = -i32::try_from(fraction.len()).ok()?;
        Some(Self { negative: value.is_sign_negative(), digits, exponent })
    }

    pub(super) fn to_f64(&self) -> f64 {
        let digits: String = self.digits.iter().map(|d| char::from(b'0' + d)).collect();
        let sign = if self.negative { "-" } else { "" };
        let digits = if digits.is_empty() { "0" } else { &digits };
        format!("{sign}{digits}e{}", self.exponent).parse().unwrap_or(f64::NAN)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub(super) fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// The sum, rounded half to even to 28 digits.
    pub(super) fn add_rounded(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.aligned(exponent), other.aligned(exponent));
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, add(&a, &b))
        } else if compare(&a, &b) == Ordering::Less {
            (other.negative, subtract(&b, &a))
        } else {
            (self.negative, subtract(&a, &b))
        };
        // A sum of opposites is plain zero.
        let negative = negative && (!digits.is_empty() || self.negative == other.negative);
        Self { negative, digits, exponent }.rounded()
    }

    /// The digits with zeros appended, so that they count units of `10^exponent`.
    fn aligned(&self, exponent: i32) -> Vec<u8> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or_default();
        let mut digits = self.digits.clone();
        if !digits.is_empty() {
            digits.resize(digits.len() + zeros, 0);
        }
        digits
    }

    fn rounded(mut self) -> Self {
        let Some(excess) = self.digits.len().checked_sub(PRECISION).filter(|excess| *excess > 0) else {
            return self;
        };
        let tail = self.digits.split_off(PRECISION);
        self.exponent += i32::try_from(excess).unwrap_or_default();
        let half = tail[0].cmp(&5).then(if tail[1..].iter().any(|d| *d > 0) {
            Ordering::Greater
        } else {
            Ordering::Equal
        });
        let odd = self.digits.last().is_some_and(|d| d % 2 == 1);
        if half == Ordering::Greater || (half == Ordering::Equal && odd) {
            self.digits = add(&self.digits, &[1]);
        }
        self
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let exponent = self.exponent.min(other.exponent);
        let magnitude = compare(&self.aligned(exponent), &other.aligned(exponent));
        Some(match (self.is_negative(), other.is_negative()) {
            (false, false) => magnitude,
            (true, true) => magnitude.reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        })
    }
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    let (mut a, mut b) = (a.iter().rev(), b.iter().rev());
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() && carry == 0 {
            sum.reverse();
            return sum;
        }
        let digit = x.copied().unwrap_or(0) + y.copied().unwrap_or(0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
}

/// `a - b` for `a >= b`.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = Vec::with_capacity(a.len());
    let mut borrow = 0;
    let mut b = b.iter().rev();
    for x in a.iter().rev() {
        let take = b.next().copied().unwrap_or(0) + borrow;
        borrow = u8::from(*x < take);
        difference.push(x + 10 * borrow - take);
    }
    while difference.last() == Some(&0) {
        difference.pop();
    }
    difference.reverse();
    difference
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn sums_are_those_of_pythons_decimal() {
        let step = Decimal::from_f64(0.1).unwrap();
        let mut next = step.clone();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(next.to_f64());
            next = next.add_rounded(&step);
        }
        assert_eq!(seen, [0.1, 0.2, 0.300_000_000_000_000_04, 0.4]);
    }

    #[test]
    fn signs_and_sizes_compare() {
        let d = |x: f64| Decimal::from_f64(x).unwrap();
        assert!(d(-1.5) < d(0.25));
        assert!(d(10.0) > d(9.75));
        assert!(d(2.5).add_rounded(&d(-2.5)).to_f64().is_sign_positive());
        assert!(d(-2.5).add_rounded(&d(2.5)).to_f64().is_sign_positive());
        assert_eq!(d(1e300).to_f64(), 1e300);
        assert_eq!(d(5e-324).to_f64(), 5e-324);
    }
}
