//! Names that are made up: `generateName`, and texts from hashes.

/// The characters of random names: no vowels and no look-alikes, so that no words come out.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many random characters a generated name ends in.
pub const RANDOM_LENGTH: usize = 5;

/// Makes a name from `generateName`: the prefix and five random characters, at most 63 in all.
///
/// `random` returns uniformly distributed bits. A generated name may be taken; then the caller tries again.
pub fn generate_name(prefix: &str, mut random: impl FnMut() -> u64) -> String {
    let cut = prefix.floor_char_boundary(super::MAX_LABEL - RANDOM_LENGTH);
    let mut name = prefix[..cut].to_owned();
    let full = name.len() + RANDOM_LENGTH;
    while name.len() < full {
        let mut bits = random();
        // Five bits choose a character; the few values beyond the alphabet are skipped, or some characters would
        // come more often than others.
        for _ in 0..(u64::BITS / 5) {
            if let Some(&c) = ALPHABET.get((bits & 31) as usize)
                && name.len() < full
            {
                name.push(char::from(c));
            }
            bits >>= 5;
        }
    }
    name
}

/// Writes any text in the characters of random names, one for one.
///
/// Kubernetes does so with hashes, such as the `pod-template-hash`, to keep accidental words out of names.
pub fn safe_encode(text: &str) -> String {
    text.chars().map(|c| char::from(ALPHABET[c as usize % ALPHABET.len()])).collect()
}
