//! Similar words: what the author of a misspelt word probably meant.

/// Returns the candidates that are most similar to `word`, the most similar first, at most three.
pub fn similar<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let similarity = |candidate: &&'a str| (strsim::normalized_damerau_levenshtein(word, candidate) * 1000.0).round();
    let mut scored: Vec<_> = candidates.into_iter().map(|name| (similarity(&name), name)).collect();
    scored.retain(|(score, _)| *score >= 500.0);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Returns the candidate of which a word is certainly a misspelling: only a letter or two differ.
pub fn misspelt<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let is_close = |candidate: &&str| strsim::normalized_damerau_levenshtein(word, candidate) >= 0.8;
    similar(word, candidates).into_iter().find(is_close)
}
