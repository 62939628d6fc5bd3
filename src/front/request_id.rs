//! The name of a request in logs, error bodies and `X-Request-Id` (ruling 40).

/// 128 random bits, in 32 lower-case hexadecimal digits. Not a secret: unique, not unguessable.
pub fn new_request_id() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = fastrand::u128(..);
    let mut id = String::with_capacity(32);
    for _ in 0..32 {
        id.push(DIGITS.get((bits & 15) as usize).map_or('0', |digit| char::from(*digit)));
        bits >>= 4;
    }
    id
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_32_hex_digits_and_differ() {
        let (a, b) = (super::new_request_id(), super::new_request_id());
        assert_ne!(a, b);
        assert_eq!(a.len(), 32);
        assert!(a.bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()));
    }
}
