//! Templates of applications: files whose names end in `.j2`. How they are rendered, and with which variables, is not known here.

use std::path::Path;

use super::BadApplication;

/// The ending of a template's name. The rendered file has the name without it.
pub(super) const ENDING: &str = ".j2";

/// Renders the templates of applications.
pub trait Templates: Sync {
    /// Renders a template of an application, given the application's folder and the path of the template. An error is a text.
    fn render(&self, folder: &Path, path: &Path, text: &str) -> Result<String, String>;
}

/// Returns the content of a file, rendered if it is a template.
pub(super) fn rendered(
    templates: &dyn Templates,
    folder: &Path,
    path: &Path,
    content: Vec<u8>,
) -> Result<Vec<u8>, BadApplication> {
    if !path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes()) {
        return Ok(content);
    }
    let bad = |error: String| BadApplication::Template { path: path.to_owned(), error };
    let text = String::from_utf8(content).map_err(|_| bad("it is not UTF-8".to_owned()))?;
    templates.render(folder, path, &text).map(String::into_bytes).map_err(bad)
}
