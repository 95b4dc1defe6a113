//! The pages of fleet's lists. A token says which page is next: the base64 of two 16-bit numbers, as fleet had it.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::api::error::ApiError;

/// How many entries a page has.
const LIMIT: u16 = 100;

/// The name of the parameter and of the field.
const TOKEN: &str = "nextPageToken";

/// A page of a list; the first has the number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page(u16);

impl Page {
    /// Returns the page that a request asks for: the first, if it does not say.
    pub(super) fn requested(parameters: &[(String, String)]) -> Result<Self, ApiError> {
        let mut tokens = parameters.iter().filter(|(name, _)| name == TOKEN).map(|(_, token)| token);
        let bad = |why: String| Err(ApiError::new(StatusCode::BAD_REQUEST, why));
        let Some(token) = tokens.next() else { return Ok(Self(1)) };
        if tokens.next().is_some() {
            return bad("too many values for page token".to_owned());
        }
        let bytes = URL_SAFE.decode(token).unwrap_or_default();
        let [limit_low, limit_high, page_low, page_high] = bytes.as_slice() else {
            return bad(format!("invalid page token {token:?}"));
        };
        if u16::from_le_bytes([*limit_low, *limit_high]) != LIMIT {
            return bad(format!("token limit must be {LIMIT}"));
        }
        match u16::from_le_bytes([*page_low, *page_high]) {
            0 => bad("token page must be greater than zero".to_owned()),
            page => Ok(Self(page)),
        }
    }

    fn token(self) -> String {
        let ([a, b], [c, d]) = (LIMIT.to_le_bytes(), self.0.to_le_bytes());
        URL_SAFE.encode([a, b, c, d])
    }

    /// Returns the page of a list, under the name of the list. An empty page has no list, as in fleet.
    pub(super) fn of<T, E: Serialize>(
        self,
        name: &str,
        all: impl Iterator<Item = T>,
        entity: impl Fn(T) -> E,
    ) -> Map<String, Value> {
        let mut rest = all.skip(usize::from(self.0 - 1) * usize::from(LIMIT));
        let entries: Vec<Value> = rest.by_ref().take(usize::from(LIMIT)).map(|entry| json!(entity(entry))).collect();
        let mut page = Map::new();
        if !entries.is_empty() {
            page.insert(name.to_owned(), Value::Array(entries));
        }
        // fleet could not count further than its numbers.
        if let Some(next) = self.0.checked_add(1).filter(|_| rest.next().is_some()) {
            page.insert(TOKEN.to_owned(), Value::String(Self(next).token()));
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(tokens: &[&str]) -> Result<Page, ApiError> {
        let parameters: Vec<_> = tokens.iter().map(|token| (TOKEN.to_owned(), (*token).to_owned())).collect();
        Page::requested(&parameters)
    }

    #[test]
    fn a_token_is_that_of_fleet() {
        assert_eq!(Page(2).token(), "ZAACAA==");
        assert_eq!(requested(&["ZAACAA=="]), Ok(Page(2)));
        assert_eq!(requested(&[]), Ok(Page(1)));
    }

    #[test]
    fn a_wrong_token_is_refused() {
        let refused = |tokens: &[&str]| requested(tokens).unwrap_err();
        assert_eq!(refused(&["ZQACAA=="]), ApiError::bad("token limit must be 100"));
        assert_eq!(refused(&["ZAAAAA=="]), ApiError::bad("token page must be greater than zero"));
        assert_eq!(refused(&["ZAACAA==", "x"]), ApiError::bad("too many values for page token"));
        assert_eq!(refused(&[""]), ApiError::bad("invalid page token \"\""));
    }

    #[test]
    fn the_pages_of_a_list_have_each_entry_once() {
        let numbers = |page: Page| page.of("numbers", 0..200, |number| number);
        let first = numbers(Page(1));
        assert_eq!((first["numbers"][0].clone(), first["numbers"][99].clone()), (json!(0), json!(99)));
        assert_eq!(first[TOKEN], "ZAACAA==");
        let last = numbers(Page(2));
        assert_eq!((last["numbers"][0].clone(), last.get(TOKEN)), (json!(100), None));
        assert_eq!(json!(numbers(Page(3))), json!({}));
        assert_eq!(json!(numbers(Page(u16::MAX))), json!({}));
    }
}
