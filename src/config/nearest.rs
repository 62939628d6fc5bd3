//! The word that was probably meant.

/// The known word nearest to `word`, if one is near enough to be meant: a third of its letters may be wrong.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let scored = known.iter().map(|k| (strsim::osa_distance(&word, &plain(k)), *k));
    scored.filter(|(d, k)| *d <= 1.max(k.len().min(word.len()) / 3)).min_by_key(|(d, _)| *d).map(|(_, k)| k)
}

/// What to do about an unknown key: the nearest known one, else the section it belongs to, else all that are
/// known here.
pub fn remedy(key: &str, known: &[&str], here: &str) -> String {
    if key == "<<" {
        return "merge keys are not part of YAML 1.2; what several rules share goes into a rule above them"
            .into();
    }
    if let Some(near) = nearest(key, known) {
        return format!("did you mean `{near}`?");
    }
    let homes: Vec<String> = super::schema::homes(key).into_iter().filter(|home| home != here).collect();
    if !homes.is_empty() {
        return format!("`{key}` belongs into {}", homes.join(" or "));
    }
    format!("known here: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_enough_or_not_at_all() {
        let known = ["ttl", "default_ttl", "stale_if_error", "tags"];
        assert_eq!(nearest("tll", &known), Some("ttl"));
        assert_eq!(nearest("stale-if-errors", &known), Some("stale_if_error"));
        assert_eq!(nearest("Tags", &known), Some("tags"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest("x", &known), None);
    }
}
