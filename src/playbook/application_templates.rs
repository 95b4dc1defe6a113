//! Templates of applications, rendered as those of playbooks. They read no host: all machines get the same files.

use std::path::Path;
use std::sync::Arc;

use super::template::Layer;
use super::template::Scope;
use super::template::Syntax;
use crate::application::Templates;
use crate::inventory::Vars;
use crate::inventory::load::read_vars_file;
use crate::vault::Keyring;

/// The files of an application's folder with its variables. The first that is there counts.
const FILES: [&str; 2] = ["vars.yaml", "vars.yml"];

/// Renders templates with the variables of the application's folder, and with others that win over them.
#[derive(Debug, Default)]
pub struct ApplicationTemplates {
    /// The variables that win.
    pub extra: Arc<Vars>,
    /// The passwords of encrypted values.
    pub vault: Arc<Keyring>,
}

impl Templates for ApplicationTemplates {
    fn render(&self, folder: &Path, path: &Path, text: &str) -> Result<String, String> {
        let file = FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let own = file.map(|file| read_vars_file(&file, &self.vault).map_err(|error| error.to_string()));
        let (own, _) = own.transpose()?.unwrap_or_default();
        let layers = vec![Layer::written(Arc::new(own)), Layer::written(Arc::clone(&self.extra))];
        Scope::new(layers).with_vault(&self.vault).render_file_in(text, path.parent(), Syntax::default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_reads_the_variables_of_its_folder_and_those_that_win() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vars.yaml"), "version: 1\nimage: \"shop:{{ version }}\"\n").unwrap();
        fs::write(folder.path().join("part"), "part of {{ image }}").unwrap();
        let path = folder.path().join("web.container.j2");
        let render = |templates: &ApplicationTemplates, text: &str| templates.render(folder.path(), &path, text);
        let mut templates = ApplicationTemplates::default();
        let text = "Image={{ image }}\n{% if version | int > 1 %}Memory=1g\n{% endif %}{% include 'part' %}\n";
        assert_eq!(render(&templates, text).unwrap(), "Image=shop:1\npart of shop:1\n");
        templates.extra = Arc::new(json!({ "version": "2" }).as_object().cloned().unwrap());
        assert_eq!(render(&templates, text).unwrap(), "Image=shop:2\nMemory=1g\npart of shop:2\n");
        assert!(render(&templates, "{{ missing }}").unwrap_err().contains("`missing` is undefined"));
    }
}
