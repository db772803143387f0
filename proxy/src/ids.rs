//! Random numbers in hex digits, as ids of requests and traces are written.
//!
//! Owns how they are drawn and spelled: two of them are made for every request. They tell things
//! apart, and are no secret: nothing may rest on their being hard to guess (`session/id.rs`).

/// Any number, in 16 digits; never zero, which ids of traces must not be.
pub(crate) fn sixteen_digits() -> [u8; 16] {
    spell(fastrand::u64(..).max(1))
}

fn spell(number: u64) -> [u8; 16] {
    let digits = u128::from(eight_digits(number >> 32)) << 64 | u128::from(eight_digits(number));
    digits.to_be_bytes()
}

/// The low half of a number as text, the first digit in the highest byte. All eight at once.
fn eight_digits(number: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    // A digit to each byte, by halves of halves.
    let number = number & 0xffff_ffff;
    let number = (number | (number << 16)) & 0x0000_ffff_0000_ffff;
    let number = (number | (number << 8)) & 0x00ff_00ff_00ff_00ff;
    let number = (number | (number << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte of a digit above 9: these are letters.
    let letters = ((number + ONES * 6) >> 4) & ONES;
    number + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_is_spelled_at_every_place() {
        for digit in 0..16_u64 {
            for place in 0..16 {
                let number = digit << (4 * place);
                assert_eq!(spell(number), *format!("{number:016x}").as_bytes());
            }
        }
        assert_eq!(&spell(0x0123_4567_89ab_cdef), b"0123456789abcdef");
        assert_ne!(sixteen_digits(), sixteen_digits());
    }
}
