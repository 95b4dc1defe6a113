//! YAML (and JSON) inventories: groups are maps of `hosts`, `vars` and `children`.

use std::path::Path;

use super::builder::ALL;
use super::builder::InventoryBuilder;
use super::builder::host_names;
use super::diagnostic::Diagnostic;
use super::diagnostic::did_you_mean;
use super::document;
use super::document::Content;
use super::document::Key;
use super::document::Node;

/// The keys of a group.
const SECTIONS: [&str; 3] = ["hosts", "vars", "children"];

/// The words for an error in a YAML file.
const YAML: Words =
    Words { map: "a map", instead_of_list: "Write each entry as `name:` with a colon, without the dash." };

/// The words of a file format for errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// A map, with its article.
    pub(super) map: &'static str,
    /// What to write instead of a list.
    pub(super) instead_of_list: &'static str,
}

/// Adds the hosts, groups and variables of a YAML file to the builder.
///
/// Returns warnings.
pub(super) fn read(file: &Path, text: &str, builder: &mut InventoryBuilder) -> Result<Vec<Diagnostic>, Diagnostic> {
    let (document, repeated) = document::read_repeated(file, text)?;
    read_groups(file, &document, YAML, builder)?;
    Ok(repeated)
}

/// Adds the hosts, groups and variables of a document to the builder.
pub(super) fn read_groups(
    file: &Path,
    document: &Node,
    words: Words,
    builder: &mut InventoryBuilder,
) -> Result<(), Diagnostic> {
    let mut parser = YamlParser { file, words, builder };
    let groups = parser.map(document, "an inventory")?;
    let plugin = groups.iter().find(|(key, _)| key.text == "plugin");
    if let Some((key, name)) = plugin.and_then(|(key, node)| Some((key, node.text()?))) {
        let what = format!("the file is for the inventory plugin `{name}`, and muster runs no plugins");
        let error = Diagnostic::new(file, key.at, what);
        return Err(error.hint("Run `ansible-inventory -i FILE --list --export > hosts.json`, and use hosts.json."));
    }
    groups.iter().try_for_each(|(name, group)| parser.group(name, group))
}

struct YamlParser<'a> {
    file: &'a Path,
    words: Words,
    builder: &'a mut InventoryBuilder,
}

impl YamlParser<'_> {
    fn error(&self, node: &Node, what: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.file, node.at, what)
    }

    /// Returns a map's entries. Null is an empty map.
    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Key, Node)], Diagnostic> {
        let Words { map, instead_of_list } = self.words;
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ if node.is_null() => Ok(&[]),
            Content::List(_) => {
                Err(self.error(node, format!("{what} must be {map}, not a list")).hint(instead_of_list))
            }
            Content::Scalar(_) => Err(self.error(node, format!("{what} must be {map}, not {}", node.kind()))),
        }
    }

    fn group(&mut self, name: &Key, group: &Node) -> Result<(), Diagnostic> {
        let name = name.text.as_str();
        self.builder.add_group(name);
        for (section, node) in self.map(group, &format!("group `{name}`"))? {
            match section.text.as_str() {
                "hosts" => self.hosts(name, node)?,
                "vars" => {
                    for (key, value) in self.map(node, &format!("the `vars` of group `{name}`"))? {
                        let set = self.builder.set_variable(name, &key.text, value.value());
                        set.map_err(|what| Diagnostic::new(self.file, value.at, what))?;
                    }
                }
                "children" => self.children(name, node)?,
                other => return Err(self.unknown(name, section, other)),
            }
        }
        Ok(())
    }

    fn unknown(&self, group: &str, section: &Key, word: &str) -> Diagnostic {
        let mut error = Diagnostic::new(self.file, section.at, format!("group `{group}` has no `{word}`"));
        error.hint = did_you_mean(word, SECTIONS).or_else(|| {
            Some("A group has `hosts`, `vars` and `children`; groups inside it go under `children`.".into())
        });
        error
    }

    fn hosts(&mut self, group: &str, node: &Node) -> Result<(), Diagnostic> {
        if let Some(name) = node.text() {
            let (names, port) = host_names(name).map_err(|what| self.error(node, what))?;
            self.add(group, &names, port, &[]);
            return Ok(());
        }
        for (pattern, vars) in self.map(node, &format!("the `hosts` of group `{group}`"))? {
            let (names, port) =
                host_names(&pattern.text).map_err(|what| Diagnostic::new(self.file, pattern.at, what))?;
            let vars = self.map(vars, &format!("the variables of host `{}`", pattern.text))?;
            self.add(group, &names, port, vars);
        }
        Ok(())
    }

    fn add(&mut self, group: &str, names: &[String], port: Option<u16>, vars: &[(Key, Node)]) {
        for name in names {
            let host = self.builder.add_host(group, name);
            if let Some(port) = port {
                host.insert("ansible_port".to_owned(), port.into());
            }
            host.extend(vars.iter().map(|(key, value)| (key.text.clone(), value.value())));
        }
    }

    fn children(&mut self, parent: &str, node: &Node) -> Result<(), Diagnostic> {
        if let Some(child) = node.text() {
            return self.builder.add_child(parent, child).map_err(|what| self.error(node, what));
        }
        for (child, group) in self.map(node, &format!("the `children` of group `{parent}`"))? {
            if child.text == ALL {
                return Err(Diagnostic::new(self.file, child.at, "group `all` cannot be in another group"));
            }
            let adopted = self.builder.add_child(parent, &child.text);
            adopted.map_err(|what| Diagnostic::new(self.file, child.at, what))?;
            self.group(child, group)?;
        }
        Ok(())
    }
}
